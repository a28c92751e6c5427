/**
 * Metrics of runs as the page draws them. The columns of the logs that were read last are kept; a long log that is not among them is
 * first answered from evenly spaced lines, and read when the exact answer is waited for.
 */

import { stat } from "node:fs/promises";
import { join } from "node:path";
import { ByteBudget } from "./byte-budget.ts";
import { downsample, type Points } from "./downsample.ts";
import { evenlySpacedLines } from "./excerpt.ts";
import { openFile } from "./files.ts";
import { MetricLines } from "./metric-lines.ts";
import { type LogPart, MetricLog } from "./metric-log.ts";
import type { Axis, Series } from "./protocol.ts";
import { rowsWithin, type Table } from "./table.ts";

/** Twenty runs of 100,000 steps. */
const LOG_BYTES = 400 * 2 ** 20;
const ANSWER_BYTES = 64 * 2 ** 20;
/** Read while somebody waits for the first answer: a few hundredths of a second. */
const QUICK_BYTES = 4 * 2 ** 20;
/** Lines of long logs that a first answer is drawn from: of all runs together, and at least of each. */
const SAMPLED_LINES = 5000;
const FEWEST_LINES = 40;
/** Where so few metrics of several runs are compared, the others are not read. */
const FEW_METRICS = 4;

/** A run as it was found: what it is called, and its folder. */
interface FoundRun {
  readonly id: string;
  readonly path: string;
}

interface SeriesRequest {
  readonly metrics: readonly string[];
  readonly axis: Axis;
  readonly points: number;
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  /** How many runs are asked for the same. */
  readonly runs: number;
  /** When to answer with what can be had at once (as `performance.now()` counts); infinite for what is exact. */
  readonly deadline: number;
}

export class SeriesReader {
  private readonly logs = new ByteBudget<MetricLog>(LOG_BYTES);
  private readonly answers = new ByteBudget<Series>(ANSWER_BYTES);

  /** Those of the metrics that the run has, in the order asked. */
  async series(run: FoundRun, request: SeriesRequest): Promise<Series[]> {
    const file = join(run.path, "metrics.jsonl");
    const found = await stat(file).catch(() => undefined);
    if (found === undefined) return [];
    const { axis, points, from, to } = request;
    const keyOf = (metric: string) => JSON.stringify([file, found.size, found.mtimeMs, axis, points, from, to, metric]);
    const known = request.metrics.map((metric) => this.answers.get(keyOf(metric)));
    if (known.every((series) => series !== undefined)) return known;
    const sources = new Map<boolean, Source>();
    const answer: Series[] = [];
    for (const metric of request.metrics) {
      const evaluation = isOfEvaluation(metric);
      const source = sources.get(evaluation) ?? (await this.source(file, found.size, evaluation, request));
      sources.set(evaluation, source);
      const drawn = seriesOf(run.id, metric, source, request);
      if (drawn === undefined) continue;
      if (drawn.exact) this.answers.set(keyOf(metric), drawn, 40 * drawn.x.length + 500);
      answer.push(drawn);
    }
    return answer;
  }

  /** The lines of a run's log, all of them. */
  async lines({ path }: Pick<FoundRun, "path">): Promise<MetricLines> {
    return (await this.read(join(path, "metrics.jsonl"), {})).lines;
  }

  /** Lines of a log if they are at hand, or are quickly. */
  async linesAtHand({ path }: Pick<FoundRun, "path">): Promise<MetricLines | undefined> {
    const file = join(path, "metrics.jsonl");
    const size = (await stat(file).catch(() => undefined))?.size ?? 0;
    return this.bytesToRead(file, size, {}) <= QUICK_BYTES ? this.lines({ path }) : undefined;
  }

  private async source(file: string, size: number, evaluation: boolean, request: SeriesRequest): Promise<Source> {
    const { deadline, points, runs } = request;
    const left = this.bytesToRead(file, size, {});
    if (left <= (evaluation ? 0 : QUICK_BYTES)) return exactly(await this.read(file, {}));
    const part = evaluation ? { evaluationsOnly: true } : partFor(request);
    const inTime = deadline === Infinity || (evaluation && performance.now() < deadline);
    if (inTime || this.bytesToRead(file, size, part) <= QUICK_BYTES) return exactly(await this.read(file, part));
    await using open = await openFile(file);
    if (open === undefined) return { lines: new MetricLines(), exact: true };
    // One line in a thousand is an evaluation: the first and the last are all that is found without reading on.
    const lines = evaluation ? 0 : Math.min(points, Math.floor(SAMPLED_LINES / runs));
    return { lines: await evenlySpacedLines(open, Math.max(FEWEST_LINES, lines)), exact: false };
  }

  private bytesToRead(file: string, size: number, part: LogPart): number {
    return size - (this.logs.get(keyOfLog(file, part))?.position ?? 0);
  }

  private async read(file: string, part: LogPart): Promise<MetricLog> {
    const key = keyOfLog(file, part);
    const log = this.logs.get(key) ?? new MetricLog(file, part);
    this.logs.set(key, log, log.lines.bytes);
    await log.catchUp();
    this.logs.set(key, log, log.lines.bytes);
    return log;
  }
}

interface Source {
  readonly lines: MetricLines;
  readonly exact: boolean;
}

function exactly({ lines }: MetricLog): Source {
  return { lines, exact: true };
}

function keyOfLog(file: string, { evaluationsOnly = false, wanted = new Set() }: LogPart): string {
  return JSON.stringify([file, evaluationsOnly, ...wanted]);
}

/** What is read of a log to draw some of its metrics. One run's charts are all drawn sooner or later. */
function partFor({ metrics, runs }: SeriesRequest): LogPart {
  const training = metrics.filter((metric) => !isOfEvaluation(metric));
  return runs === 1 || training.length > FEW_METRICS ? {} : { wanted: new Set(training.toSorted()) };
}

function isOfEvaluation(metric: string): boolean {
  return metric.startsWith("eval_");
}

function seriesOf(run: string, metric: string, { lines, exact }: Source, request: SeriesRequest): Series | undefined {
  const { axis, points, from, to } = request;
  const table = tableOf(lines, metric);
  const [values, along] = [table.values(metric), table.axis(axis)];
  if (values === undefined || along === undefined) return undefined;
  const [start, end] = rowsWithin(along, from, to);
  const { x, mean, min, max, count, bucket } = downsample(along, values, { start, end, points });
  const single = count === x.length;
  const drawn = { x, mean: single ? mean : mean.map(rounded), ...(!single && { min, max }) };
  return { run, metric, axis, count, bucket, exact, ...drawn } satisfies Series & Partial<Points>;
}

/** The lines that have a metric: those of evaluations, or of training steps. */
export function tableOf({ training, evaluation }: MetricLines, metric: string): Table {
  return isOfEvaluation(metric) ? evaluation : training;
}

/** A mean has no more digits than can be seen, which makes answers half as long. */
function rounded(mean: number): number {
  return Number(mean.toPrecision(9));
}
