/**
 * Rows of a Parquet file, a row group at a time. Nested lists and structs become arrays and objects; a whole number is a number
 * as far as one can hold it, else its digits; bytes are UTF-8 text; a date is its text.
 */

import { type FileHandle, open } from "node:fs/promises";
import { type AsyncBuffer, type FileMetaData, parquetMetadataAsync, parquetSchema, type SchemaTree } from "hyparquet";
import { DataError } from "../../errors.ts";
import type { RowOrigin } from "../example.ts";
import { excerpt } from "../problem.ts";
import { ParquetThread } from "./parquet-thread.ts";

/** A row group is in memory while its rows are read. Writers make them of some MB to some hundred. */
const maxGroupBytes = 2 ** 31;
const maxGroupRows = 2 ** 27;

/** Yields a file's rows in order, their numbers counted from 1. Throws DataError for a file that is damaged or too large to be read. */
export async function* parquetRows(file: string): AsyncGenerator<{ origin: RowOrigin; value: unknown }> {
  await using handle = await open(file);
  const buffer = await bufferOf(handle);
  const metadata = await reading(file, () => parquetMetadataAsync(buffer));
  const columns = await reading(file, async () => leavesOf(parquetSchema(metadata)));
  for (const [index, group] of metadata.row_groups.entries()) {
    refuseOtherColumns(file, index, group, columns);
    refuseImpossible(file, index, group, buffer.byteLength);
  }
  const sizes = metadata.row_groups.map((group) => bytesOf(group, "total_uncompressed_size"));
  await using thread = new ParquetThread(file, Math.max(0, ...sizes));
  let rowStart = 0;
  for (const [index, group] of metadata.row_groups.entries()) {
    const count = Number(group.num_rows);
    const rows = thread.rows({ rowStart, rowEnd: rowStart + count }, sizes[index]!);
    let found = 0;
    for (; found < count; found++) {
      const { value, done } = await reading(file, () => rows.next());
      if (done) throw damaged(file, `row group ${index + 1} has ${found} rows, not ${count}`);
      yield { origin: { file, line: rowStart + found + 1, unit: "row" }, value: plainValue(value) };
    }
    rowStart += count;
  }
}

/** The file's bytes by range, as far as there are any. */
async function bufferOf(handle: FileHandle): Promise<AsyncBuffer> {
  const { size: byteLength } = await handle.stat();
  const slice = async (from: number, to = byteLength) => {
    const [start, end] = [from < 0 ? byteLength + from : from, to < 0 ? byteLength + to : to];
    const bytes = new Uint8Array(Math.max(0, Math.min(end, byteLength) - Math.max(0, start)));
    await handle.read(bytes, 0, bytes.length, Math.max(0, start));
    return bytes.buffer;
  };
  return { byteLength, slice };
}

/** The paths of a schema's columns, in order. */
function leavesOf({ children, path }: SchemaTree): string[] {
  return children.length === 0 ? [path.join(".")] : children.flatMap(leavesOf);
}

/** The library reads every column that a row group has, and looks at those of the schema: what it read besides would be lost. */
function refuseOtherColumns(
  file: string,
  index: number,
  { columns }: FileMetaData["row_groups"][number],
  expected: readonly string[],
): void {
  const found = columns.map(({ meta_data: data }) => data?.path_in_schema?.join("."));
  if (found.length === expected.length && found.every((path, i) => path === expected[i])) return;
  throw damaged(file, `row group ${index + 1} has other columns than the schema`);
}

function bytesOf(
  { columns }: FileMetaData["row_groups"][number],
  name: "total_compressed_size" | "total_uncompressed_size",
): number {
  return columns.reduce((total, column) => total + Number(column.meta_data?.[name] ?? 0), 0);
}

/** A file's own figures decide how much memory is taken, so they are held against its size first. */
function refuseImpossible(file: string, index: number, group: FileMetaData["row_groups"][number], size: number): void {
  const { num_rows: count } = group;
  const name = `row group ${index + 1}`;
  if (count < 0n || count > maxGroupRows) throw damaged(file, `${name} claims ${count} rows`);
  const packed = bytesOf(group, "total_compressed_size");
  if (packed < 0 || packed > size) throw damaged(file, `${name} claims ${packed} bytes of a file of ${size}`);
  const bytes = bytesOf(group, "total_uncompressed_size");
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
