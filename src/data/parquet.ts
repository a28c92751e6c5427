/**
 * Rows of a Parquet file, a row group at a time. Nested lists and structs become arrays and objects; a whole number is a number
 * as far as one can hold it, else its digits; bytes are UTF-8 text; a date is its text.
 */

import {
  type AsyncBuffer,
  asyncBufferFromFile,
  type FileMetaData,
  parquetMetadataAsync,
  parquetReadObjects,
} from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { DataError } from "../errors.ts";
import type { RowOrigin } from "./example.ts";
import { excerpt } from "./problem.ts";

/** A row group is in memory while its rows are read. Writers make them of some MB to some hundred. */
const maxGroupBytes = 2 ** 31;
const maxGroupRows = 2 ** 27;

/** Yields a file's rows in order, their numbers counted from 1. Throws DataError for a file that is damaged or too large to be read. */
export async function* parquetRows(file: string): AsyncGenerator<{ origin: RowOrigin; value: unknown }> {
  const buffer = await reading(file, () => asyncBufferFromFile(file));
  const metadata = await reading(file, () => parquetMetadataAsync(buffer));
  let rowStart = 0;
  for (const [index, group] of metadata.row_groups.entries()) {
    const count = Number(group.num_rows);
    refuseImpossible(file, index, group, buffer.byteLength);
    const rowEnd = rowStart + count;
    const rows = await reading(file, () => groupRows(buffer, metadata, rowStart, rowEnd));
    if (rows.length !== count) throw damaged(file, `row group ${index + 1} has ${rows.length} rows, not ${count}`);
    for (const [i, row] of rows.entries()) {
      yield { origin: { file, line: rowStart + i + 1, unit: "row" }, value: plainValue(row) };
    }
    rowStart = rowEnd;
  }
}

async function groupRows(file: AsyncBuffer, metadata: FileMetaData, rowStart: number, rowEnd: number) {
  return await parquetReadObjects({ file, metadata, compressors, rowStart, rowEnd });
}

/** A file's own figures decide how much memory is taken, so they are held against its size first. */
function refuseImpossible(
  file: string,
  index: number,
  { num_rows: count, columns }: FileMetaData["row_groups"][number],
  size: number,
): void {
  const sum = (name: "total_compressed_size" | "total_uncompressed_size") =>
    columns.reduce((total, column) => total + Number(column.meta_data?.[name] ?? 0), 0);
  const name = `row group ${index + 1}`;
  if (count < 0n || count > maxGroupRows) throw damaged(file, `${name} claims ${count} rows`);
  const packed = sum("total_compressed_size");
  if (packed < 0 || packed > size) throw damaged(file, `${name} claims ${packed} bytes of a file of ${size}`);
  const bytes = sum("total_uncompressed_size");
  if (bytes >= 0 && bytes <= maxGroupBytes) return;
  throw new DataError(
    `${file}: ${name} takes ${bytes} bytes of memory, of at most ${maxGroupBytes}. Write the file with smaller row groups.`,
  );
}

/** Whatever a library throws at a file is about the file. */
async function reading<T>(file: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw damaged(file, (error as Error).message, error);
  }
}

function damaged(file: string, what: string, cause?: unknown): DataError {
  return new DataError(`${file}: the Parquet data can't be read (${excerpt(what, 160)}). Get the file again.`, {
    cause,
  });
}

/** A value as JSON has it. */
function plainValue(value: unknown): unknown {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (value instanceof Date) return value.toISOString();
  if (ArrayBuffer.isView(value)) return Array.from(value as Uint8Array, plainValue);
  if (Array.isArray(value)) return value.map(plainValue);
  if (typeof value !== "object" || value === null) return value ?? null;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plainValue(item)]));
}
