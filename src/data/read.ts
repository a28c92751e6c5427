/**
 * Rows from a file, one at a time: JSON lines or one JSON array, either of them gzipped. The kind is told by the file's first
 * bytes, never by its name. Memory is a chunk of the file and the row at hand.
 */

import { createReadStream } from "node:fs";
import { pipeline } from "node:stream";
import { createGunzip } from "node:zlib";
import { DataError } from "../errors.ts";
import type { RowOrigin } from "./example.ts";
import { excerpt, RowProblem } from "./problem.ts";
import { arraySplitter, lineSplitter, type RawRow, type Splitter } from "./split.ts";

/** A row's value, or why there is none. */
export type Row =
  | { readonly origin: RowOrigin; readonly value: unknown }
  | { readonly origin: RowOrigin; readonly problem: RowProblem };

/** Yields a file's rows in order. Throws DataError for a file that is missing, empty, damaged or of another kind. */
export async function* readRows(file: string): AsyncGenerator<Row> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let splitter: Splitter | undefined;
  let isArray = false;
  const row = ({ number, bytes }: RawRow): Row => {
    const origin: RowOrigin = { file, line: number, ...(isArray ? { unit: "element" as const } : {}) };
    return { origin, ...parse(bytes, decoder) };
  };
  for await (const chunk of textChunks(file)) {
    if (splitter === undefined) {
      isArray = chunk.find((code) => !isSpace(code)) === 0x5b;
      splitter = isArray ? arraySplitter(file) : lineSplitter(file);
    }
    for (const raw of splitter.push(chunk)) yield row(raw);
  }
  for (const raw of splitter?.finish() ?? []) yield row(raw);
}

function parse(bytes: Uint8Array, decoder: TextDecoder): { value: unknown } | { problem: RowProblem } {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    const start = excerpt(Buffer.from(bytes).toString("latin1").trim());
    return { problem: new RowProblem("not JSON", `not JSON: the text is not UTF-8 (it starts with ${start})`) };
  }
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    const start = text.trim() === "" ? "it is empty" : `it starts with ${excerpt(text.trim())}`;
    return { problem: new RowProblem("not JSON", `not JSON: ${(error as Error).message} (${start})`) };
  }
}

/** The file's bytes, unpacked, without byte order mark; the first chunk holds more than white space. */
async function* textChunks(file: string): AsyncGenerator<Uint8Array> {
  let head: Uint8Array | undefined = new Uint8Array(0);
  for await (const chunk of unpackedChunks(file)) {
    if (head === undefined) {
      yield chunk;
      continue;
    }
    head = Buffer.concat([head, chunk]);
    if (head.length < longestMagic) continue;
    refuseBinary(file, head);
    const text = withoutByteOrderMark(head);
    if (text.every(isSpace)) continue;
    yield text;
    head = undefined;
  }
  if (head === undefined) return;
  refuseBinary(file, head);
  const text = withoutByteOrderMark(head);
  if (text.every(isSpace)) throw new DataError(`${file} is empty. Give a file of JSON lines or one JSON array.`);
  yield text;
}

async function* unpackedChunks(file: string): AsyncGenerator<Uint8Array> {
  const source = createReadStream(file);
  try {
    const chunks = source[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
    const { value: first, done } = await chunks.next();
    if (done) return;
    const packed = first[0] === 0x1f && first[1] === 0x8b;
    // The pipeline passes every failure on to the stream that is read here.
    yield* packed ? pipeline(prepend(first, chunks), createGunzip(), () => {}) : prepend(first, chunks);
  } catch (error) {
    throw fileError(file, error as NodeJS.ErrnoException);
  } finally {
    source.destroy();
  }
}

/** One chunk, then the others: a pipe can't be read twice, so its kind is told from the chunk at hand. */
async function* prepend(first: Uint8Array, others: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield first;
  yield* { [Symbol.asyncIterator]: () => others };
}

function fileError(file: string, error: NodeJS.ErrnoException): DataError {
  const { code = "", message } = error;
  const reasons: Record<string, string> = {
    ENOENT: "there is no such file. Check the path",
    EISDIR: "it is a folder. Name the preference file in it",
    EACCES: "it may not be read. Check its permissions",
  };
  const damaged = code.startsWith("Z_")
    ? `the gzip data is damaged or cut off (${message}). Get the file again`
    : undefined;
  return new DataError(`${file}: ${reasons[code] ?? damaged ?? `it can't be read (${message})`}.`, { cause: error });
}

/** Files that people take for text, by their first bytes. */
const binaryKinds: readonly (readonly [string, readonly number[]])[] = [
  ["a Parquet file", [0x50, 0x41, 0x52, 0x31]],
  ["a zip archive", [0x50, 0x4b, 0x03, 0x04]],
  ["Zstandard data", [0x28, 0xb5, 0x2f, 0xfd]],
  ["UTF-16 text", [0xff, 0xfe]],
  ["UTF-16 text", [0xfe, 0xff]],
];

const longestMagic = 4;

function refuseBinary(file: string, head: Uint8Array): void {
  const kind = binaryKinds.find(([, magic]) => magic.every((code, i) => head[i] === code));
  const isBinary = kind !== undefined || head.includes(0);
  if (!isBinary) return;
  throw new DataError(
    `${file} is ${kind?.[0] ?? "a binary file"}. Give JSON lines or one JSON array in UTF-8 text, gzipped or not.`,
  );
}

function withoutByteOrderMark(head: Uint8Array): Uint8Array {
  return head[0] === 0xef && head[1] === 0xbb && head[2] === 0xbf ? head.subarray(3) : head;
}

function isSpace(code: number): boolean {
  return code === 0x20 || (code >= 0x09 && code <= 0x0d);
}
