/**
 * Where the views have their numbers from: a server (http-source.ts) while runs are watched, or the file itself in a report
 * (report/embedded-source.ts). Every method throws an Error whose message can be shown.
 */

import { getContext, setContext } from "svelte";
import type {
  Axis,
  Difference,
  EvalRowPage,
  EvalRowSort,
  RunDetail,
  SamplePage,
  Series,
  SuspectPage,
} from "../../../src/dashboard/protocol.ts";

export interface SeriesQuery {
  readonly runs: readonly string[];
  readonly metrics: readonly string[];
  readonly axis: Axis;
  /** The most points a series has. */
  readonly points: number;
  /** Bounds on the axis, inclusive; the whole run without. */
  readonly from?: number;
  readonly to?: number;
  /** Wait until no series is an estimate. */
  readonly exact?: boolean;
}

export interface EvalRowQuery {
  readonly sort: EvalRowSort;
  readonly search: string;
  readonly offset: number;
  readonly limit: number;
}

export interface DataSource {
  run(id: string, signal: AbortSignal): Promise<RunDetail>;
  series(query: SeriesQuery, signal: AbortSignal): Promise<readonly Series[]>;
  samples(id: string, prompt: number | undefined, signal: AbortSignal): Promise<SamplePage>;
  evalRows(id: string, query: EvalRowQuery, signal: AbortSignal): Promise<EvalRowPage>;
  suspects(id: string, offset: number, limit: number, signal: AbortSignal): Promise<SuspectPage>;
  difference(ids: readonly string[], signal: AbortSignal): Promise<Difference>;
  /** These metrics of these runs as text/csv, in as much detail as there is. */
  csv(runs: readonly string[], metrics: readonly string[]): Promise<string>;
}

const KEY = Symbol("data source");

/** Call it while a component is set up. */
export function provideSource(source: DataSource): void {
  setContext(KEY, source);
}

/** Call it while a component is set up, below one that provided it. */
export function useSource(): DataSource {
  return getContext<DataSource>(KEY);
}
