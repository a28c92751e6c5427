/** Files of one JSON object a line that are looked up by the page: where each line is and what it is found by, kept while the file is the same. */

import { setImmediate } from "node:timers/promises";
import { ByteBudget } from "./byte-budget.ts";
import { type OpenFile, openFile, parseObject, readRange } from "./files.ts";

const CHUNK = 2 ** 20;
const LONGEST_LINE = 2 ** 24;
const NEWLINE = 10;
/** Of all indices that are kept, at this many bytes for an entry. */
const INDEX_BYTES = 64 * 2 ** 20;
const ENTRY_BYTES = 100;

interface JsonLine {
  readonly value: Record<string, unknown>;
  /** Where it is in the file, in bytes. */
  readonly start: number;
  readonly end: number;
}

/** The lines of a file that are JSON objects, in order; half a line at its end is none. */
export async function* jsonLines(file: OpenFile): AsyncGenerator<JsonLine> {
  let [position, chunk] = [0, CHUNK];
  while (position < file.size) {
    const bytes = await readRange(file, position, Math.min(file.size, position + chunk));
    const whole = bytes.lastIndexOf(NEWLINE) + 1;
    if (whole === 0) {
      if (position + bytes.length >= file.size || chunk >= LONGEST_LINE) return;
      chunk *= 2;
      continue;
    }
    for (let start = 0; start < whole; ) {
      const end = bytes.indexOf(NEWLINE, start);
      const value = parseObject(bytes.toString("utf8", start, end));
      if (value !== undefined) yield { value, start: position + start, end: position + end };
      start = end + 1;
    }
    position += whole;
    chunk = CHUNK;
    await setImmediate();
  }
}

/** A line by what `describe` says of it, and where it is. */
export type Entry<T> = T & { readonly start: number; readonly end: number };

/** Indices of files of one kind. `describe` says what a line is found by; undefined for one that is not of the kind. */
export class LineIndex<T extends object> {
  private readonly indices = new ByteBudget<readonly Entry<T>[]>(INDEX_BYTES);

  constructor(private readonly describe: (line: Record<string, unknown>) => T | undefined) {}

  /** The lines of a file that fit, in order of the file. A file that is missing has none. */
  async entries(path: string): Promise<readonly Entry<T>[]> {
    await using file = await openFile(path);
    if (file === undefined) return [];
    const { mtimeMs } = await file.handle.stat();
    const key = JSON.stringify([path, file.inode, file.size, mtimeMs]);
    const known = this.indices.get(key);
    if (known) return known;
    const entries: Entry<T>[] = [];
    for await (const { value, start, end } of jsonLines(file)) {
      const described = this.describe(value);
      if (described !== undefined) entries.push({ ...described, start, end });
    }
    this.indices.set(key, entries, ENTRY_BYTES * (entries.length + 1));
    return entries;
  }
}

/** The lines of some entries, in their order. One that was overwritten meanwhile is left out. */
export async function readEntries(
  path: string,
  entries: readonly { readonly start: number; readonly end: number }[],
): Promise<Record<string, unknown>[]> {
  await using file = await openFile(path);
  if (file === undefined) return [];
  const lines: Record<string, unknown>[] = [];
  for (const { start, end } of entries) {
    const value = parseObject((await readRange(file, start, end)).toString());
    if (value !== undefined) lines.push(value);
  }
  return lines;
}
