/**
 * Rows from a file, one at a time: texts (text-rows.ts) and Parquet; all but Parquet also packed by gzip or Zstandard, and from
 * standard input. Parquet and packing are told by the file's bytes. Memory is a chunk of the file and the row at hand (Parquet: a row
 * group).
 */

import { closeSync, openSync, readSync, statSync } from "node:fs";
import { startsWith } from "./bytes.ts";
import { parquetRows } from "./parquet.ts";
import { STDIN } from "./standard-input.ts";
import { parquetMagic, type RawValue, textRows } from "./text-rows.ts";
import { unpackedChunks } from "./unpack.ts";

/** Yields a file's rows in order. Throws DataError for a file that is missing, empty, damaged or of another kind. */
export async function* readRows(path: string): AsyncGenerator<RawValue> {
  if (isParquet(path)) yield* parquetRows(path);
  else yield* textRows(path, unpackedChunks(path));
}

/** Parquet is read from its end, so it is told before anything is read in order. */
function isParquet(path: string): boolean {
  // What a pipe has given once it does not give again.
  if (path === STDIN || !statSync(path, { throwIfNoEntry: false })?.isFile()) return false;
  let descriptor: number;
  try {
    descriptor = openSync(path, "r");
  } catch {
    return false; // Reading it says why it can't be opened.
  }
  try {
    const head = new Uint8Array(parquetMagic.length);
    return readSync(descriptor, head, 0, head.length, 0) === head.length && startsWith(head, parquetMagic);
  } finally {
    closeSync(descriptor);
  }
}
