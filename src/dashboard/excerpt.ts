/**
 * What can be said of a long log without reading all of it: its first and last lines, its last evaluation, lines evenly spaced
 * over it, and the line of a step.
 */

import { type OpenFile, parseObject, readRange } from "./files.ts";
import { MetricLines } from "./metric-lines.ts";

/** Some seventy lines. */
const END_BYTES = 2 ** 16;
/** Searched at once for the last evaluation. */
const BLOCK = 2 ** 20;
/** An evaluation, and the first steps. */
const FIRST_LINES = 3;
/** A step, and an evaluation after it. */
const LAST_LINES = 2;
const NEWLINE = 10;
const EVALUATION = '"eval_';

/** A line of metrics.jsonl as it stands. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly step: number };

/** The whole lines at the beginning of a log. */
export async function headLines(file: OpenFile): Promise<LogLine[]> {
  return linesOf(await readRange(file, 0, END_BYTES), { fromStart: true });
}

/** The whole lines at its end. */
export async function tailLines(file: OpenFile): Promise<LogLine[]> {
  const start = Math.max(0, file.size - END_BYTES);
  return linesOf(await readRange(file, start, file.size), { fromStart: start === 0 });
}

/** The lines that are whole and have a step. */
function linesOf(bytes: Buffer, { fromStart }: { fromStart: boolean }): LogLine[] {
  const lines = bytes
    .toString()
    .split("\n")
    .slice(fromStart ? 0 : 1, -1);
  return lines.flatMap((line) => asLogLine(parseObject(line)) ?? []);
}

function asLogLine(line: Record<string, unknown> | undefined): LogLine | undefined {
  return Number.isFinite(line?.step) ? (line as LogLine) : undefined;
}

/** The last evaluation in the bytes from `from` on, which is where a line begins; the log is searched from its end. */
export async function lastEvaluation(file: OpenFile, from = 0): Promise<LogLine | undefined> {
  for (let end = file.size; end > from; end -= BLOCK) {
    // A line that is found in this block may begin before it and end after it.
    const start = Math.max(from, end - BLOCK - END_BYTES);
    const bytes = await readRange(file, start, Math.min(file.size, end + END_BYTES));
    for (let at = bytes.lastIndexOf(EVALUATION); at >= 0; ) {
      const lineStart = bytes.lastIndexOf(NEWLINE, at) + 1;
      const lineEnd = bytes.indexOf(NEWLINE, at);
      const line = lineEnd < 0 ? undefined : asLogLine(parseObject(bytes.toString("utf8", lineStart, lineEnd)));
      if (line !== undefined) return line;
      at = lineStart === 0 ? -1 : bytes.lastIndexOf(EVALUATION, lineStart - 1);
    }
  }
  return undefined;
}

/** At most so many lines, 8 or more, evenly spaced over the log, with its first and last ones. */
export async function evenlySpacedLines(file: OpenFile, count: number): Promise<MetricLines> {
  const found = new MetricLines();
  const head = await readRange(file, 0, END_BYTES);
  const longest = longestLine(head);
  const stride = Math.ceil(file.size / (count - FIRST_LINES - LAST_LINES));
  let done = addLines(found, head, 0, FIRST_LINES);
  const places: number[] = [];
  for (let at = stride; at < file.size - END_BYTES; at += stride) places.push(at);
  const windows = await Promise.all(places.map((at) => readRange(file, at, at + 3 * longest)));
  windows.forEach((bytes, i) => {
    const at = places[i]!;
    if (at >= done) done = at + addLines(found, bytes, bytes.indexOf(NEWLINE) + 1, 1);
  });
  const start = Math.max(done, file.size - END_BYTES);
  const tail = await readRange(file, start, file.size);
  let last = tail.lastIndexOf(NEWLINE) + 1;
  for (let i = 0; i < LAST_LINES && last > 1; i++) last = tail.lastIndexOf(NEWLINE, last - 2) + 1;
  addLines(found, tail, last, LAST_LINES);
  return found;
}

function longestLine(bytes: Buffer): number {
  let [longest, start] = [1024, 0];
  for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
    longest = Math.max(longest, end + 1 - start);
    start = end + 1;
  }
  return longest;
}

/** Adds at most so many lines from `start` on, which is where one begins, and returns where they end. */
function addLines(lines: MetricLines, bytes: Buffer, start: number, most: number): number {
  for (let i = 0; i < most; i++) {
    const end = bytes.indexOf(NEWLINE, start) + 1;
    if (end === 0) break;
    lines.add(bytes.toString("latin1", start, end));
    start = end;
  }
  return start;
}

/** The first line of a step or a later one; undefined where there is none. Steps never decrease along a log. */
export async function lineOfStep(file: OpenFile, step: number): Promise<LogLine | undefined> {
  let [low, high] = [0, file.size];
  while (high - low > END_BYTES) {
    const middle = Math.floor((low + high) / 2);
    const [line] = linesOf(await readRange(file, middle, middle + END_BYTES), { fromStart: false });
    if (line !== undefined && line.step < step) low = middle;
    else high = middle;
  }
  const bytes = await readRange(file, low, high + END_BYTES);
  return linesOf(bytes, { fromStart: low === 0 }).find((line) => line.step >= step);
}
