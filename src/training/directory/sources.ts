/**
 * What a run is made from, by names on the hub or paths of this machine: found and fetched, and the names pinned to the commits
 * that they were at, so that a resumed run is made from the same.
 */

import {
  type DataPurpose,
  type HubOptions,
  isPinned,
  resolveAdapter,
  resolveDataset,
  sameName,
} from "../../hub/index.ts";
import type { FlatConfig, TrainingConfig } from "../config.ts";

/** What the rows of each setting are for. */
const dataPurposes = {
  data: "training",
  evalData: "evaluation",
  regularizationData: "training",
} as const satisfies Partial<Record<keyof TrainingConfig, DataPurpose>>;

const dataKeys = Object.keys(dataPurposes) as (keyof typeof dataPurposes)[];

/** The settings that say what a run is made from besides its model. */
type Sources = Pick<TrainingConfig, "adapter" | keyof typeof dataPurposes>;

/** A source of rows as it is given: a text, perhaps with a weight, or an object. */
type GivenSource = string | { readonly path: string };

interface FetchedSources {
  /** The settings as they were, each name on the hub with its commit. */
  readonly pinned: Sources;
  /** Path of the adapter on this machine. */
  readonly adapter: string | undefined;
}

/** Fetches what is on the hub besides the model. Throws ConfigError, CheckpointError, DataError or HubError. */
export async function fetchSources(config: Sources, options: HubOptions): Promise<FetchedSources> {
  const adapter = config.adapter === undefined ? undefined : await resolveAdapter(config.adapter, options);
  const data: [string, readonly GivenSource[]][] = [];
  for (const key of dataKeys) {
    const given = config[key];
    if (given !== undefined) data.push([key, await pinSources(given, dataPurposes[key], options)]);
  }
  const rows = Object.fromEntries(data) as Pick<Sources, keyof typeof dataPurposes>;
  return { pinned: { ...(adapter && { adapter: adapter.reference }), ...rows }, adapter: adapter?.path };
}

/** Sources of rows with the commits of those on the hub, which are fetched. Throws as fetchSources. */
export async function pinSources<T extends GivenSource>(
  given: readonly T[],
  purpose: DataPurpose,
  options: HubOptions,
): Promise<T[]> {
  const pinned: T[] = [];
  for (const source of given) {
    const { reference } = await resolveDataset(pathOf(source), purpose, options);
    pinned.push(withPath(source, reference));
  }
  return pinned;
}

/** The settings of a resumed run, in which names on the hub have the commits that they had before. */
export function pinnedAs(before: FlatConfig, config: TrainingConfig): TrainingConfig {
  const again = (name: string, earlier: unknown, kind: "model" | "dataset") =>
    typeof earlier === "string" && !isPinned(name, kind) && sameName(name, earlier, kind) ? earlier : name;
  const data = dataKeys.flatMap((key) => {
    const [given, earlier] = [config[key] as readonly GivenSource[] | undefined, before[key]];
    if (given === undefined || !Array.isArray(earlier)) return [];
    const pinned = given.map((source, i) =>
      withPath(source, again(pathOf(source), isSource(earlier[i]) ? pathOf(earlier[i]) : undefined, "dataset")),
    );
    return [[key, pinned] as const];
  });
  return {
    ...config,
    model: again(config.model, before.model, "model"),
    ...(config.adapter !== undefined && { adapter: again(config.adapter, before.adapter, "model") }),
    ...Object.fromEntries(data),
  };
}

function isSource(value: unknown): value is GivenSource {
  return typeof value === "string" || (typeof value === "object" && value !== null && "path" in value);
}

/** A name on the hub, and the weight in a mixture that may stand after it. */
const weighted = /^(hf:.+?)(:(?:\d+\.?\d*|\.\d+))?$/s;

function pathOf(source: GivenSource): string {
  return typeof source === "string" ? (weighted.exec(source)?.[1] ?? source) : source.path;
}

function withPath<T extends GivenSource>(source: T, path: string): T {
  if (typeof source !== "string") return { ...(source as object), path } as T;
  return `${path}${weighted.exec(source)?.[2] ?? ""}` as T;
}
