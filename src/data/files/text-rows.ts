/**
 * Rows from the bytes of a text, one at a time: JSON lines, one JSON array, comma- or tab-separated values. JSON is told by the first
 * bytes; separated values by the name's ending, or, without a name, by their not being JSON. Memory is a chunk and the row at hand.
 */

import { DataError } from "../../errors.ts";
import type { RowOrigin } from "../example.ts";
import { excerpt, RowProblem } from "../problem.ts";
import { isSpace, joined, latin1, startsWith } from "./bytes.ts";
import { parseRecord, recordSplitter } from "./csv.ts";
import { arraySplitter, lineSplitter, type RawRow, type Splitter } from "./split.ts";
import { nameOf, STDIN } from "./standard-input.ts";

/** A row's value, or why there is none. */
export type RawValue =
  | { readonly origin: RowOrigin; readonly value: unknown }
  | { readonly origin: RowOrigin; readonly problem: RowProblem };

/**
 * Yields the rows that the bytes of a file hold, in order; chunks may end anywhere. `path` names it in messages, and by its ending
 * separated values. Throws DataError for a file that is empty, damaged or of another kind.
 */
export async function* textRows(
  path: string,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<RawValue> {
  let reader: TextReader | undefined;
  for await (const chunk of textChunks(nameOf(path), chunks)) {
    reader ??= readerFor(path, chunk);
    for (const raw of reader.splitter.push(chunk)) yield* reader.rows(raw);
  }
  for (const raw of reader?.splitter.finish() ?? []) yield* reader!.rows(raw);
}

interface TextReader {
  readonly splitter: Splitter;
  /** The row that the bytes hold: none where they are a table's head. */
  rows(raw: RawRow): RawValue[];
}

/** How a file's text is read, told from its name and its first bytes. */
function readerFor(path: string, start: Uint8Array): TextReader {
  const file = nameOf(path);
  const first = start.find((code) => !isSpace(code));
  const delimiter = delimiterOf(path, first, start);
  const decoder = new TextDecoder("utf-8", { fatal: true });
  if (delimiter === undefined) {
    const isArray = first === 0x5b;
    let isFirst = true;
    const origin = (line: number): RowOrigin => ({ file, line, ...(isArray && { unit: "element" as const }) });
    return {
      splitter: isArray ? arraySplitter(file) : lineSplitter(file),
      rows: ({ number, bytes }) => {
        if (isFirst && !isArray) refuseOneObject(file, bytes);
        isFirst = false;
        return [{ origin: origin(number), ...parseJson(bytes, decoder) }];
      },
    };
  }
  let head: readonly string[] | undefined;
  return {
    splitter: recordSplitter(file, delimiter),
    rows({ number, bytes }) {
      const origin = { file, line: number };
      try {
        const cells = parseRecord(decode(bytes, decoder, "not CSV"), delimiter);
        if (head !== undefined) return [{ origin, value: namedCells(head, cells) }];
        head = columnNames(file, cells, delimiter);
        return [];
      } catch (error) {
        if (!(error instanceof RowProblem)) throw error;
        if (head === undefined) throw new DataError(`${file}: its first line, the columns' names: ${error.message}.`);
        return [{ origin, problem: error }];
      }
    },
  };
}

/** A line that only opens an object is one of an object that is written over many. */
function refuseOneObject(file: string, firstLine: Uint8Array): void {
  if (latin1(firstLine).trim() !== "{") return;
  throw new DataError(
    `${file} is one JSON object over several lines. Give its rows as an array, [{...}, {...}], or each on a line of its own.`,
  );
}

/** What stands between a row's cells; undefined for JSON. */
function delimiterOf(path: string, first: number | undefined, start: Uint8Array): "," | "\t" | undefined {
  const ending = /\.(csv|tsv)(?:\.(?:gz|zst))?$/i.exec(path)?.[1]?.toLowerCase();
  if (ending !== undefined) return ending === "csv" ? "," : "\t";
  const isJson = first === 0x5b || first === 0x7b;
  if (path !== STDIN || isJson) return undefined;
  const end = start.indexOf(0x0a);
  return start.subarray(0, end < 0 ? start.length : end).includes(0x09) ? "\t" : ",";
}

const separators: Readonly<Record<string, string>> = { ",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars" };

function columnNames(file: string, names: readonly string[], delimiter: string): readonly string[] {
  const other = Object.keys(separators).find((sign) => sign !== delimiter && names[0]?.includes(sign));
  if (names.length === 1 && other !== undefined) {
    throw new DataError(
      `${file}: the columns in its first line are parted by ${separators[other]}, and were read as parted by ${separators[delimiter]}. Part cells by commas in .csv, by tabs in .tsv.`,
    );
  }
  const seen = new Set<string>();
  const twice = names.find((name) => name !== "" && (seen.has(name) || !seen.add(name)));
  if (twice === undefined) return names;
  throw new DataError(`${file} has two columns named ${excerpt(twice)}. Rename one in its first line.`);
}

/** A column without a name is an index that a program has left there. */
function namedCells(names: readonly string[], cells: readonly string[]): unknown {
  if (cells.length === names.length) {
    return Object.fromEntries(names.flatMap((name, i) => (name === "" ? [] : [[name, cellValue(cells[i]!)]])));
  }
  const columns = names.length === 1 ? "1 column" : `${names.length} columns`;
  throw new RowProblem(
    "not CSV",
    `the row has ${cells.length} cells for ${columns} (it starts with ${excerpt(cells[0]!)}): a cell with the separator or a newline in it stands in quotes`,
  );
}

/** A cell is text; a list of messages, which no cell can hold otherwise, is written as JSON. */
function cellValue(cell: string): unknown {
  if (!/^\s*\[\s*\{/.test(cell)) return cell;
  try {
    const list = JSON.parse(cell) as unknown[];
    return list.every(isMessage) ? list : cell;
  } catch {
    return cell;
  }
}

function isMessage(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  return ("role" in value && "content" in value) || ("from" in value && "value" in value);
}

function parseJson(bytes: Uint8Array, decoder: TextDecoder): { value: unknown } | { problem: RowProblem } {
  try {
    const text = decode(bytes, decoder, "not JSON");
    try {
      return { value: JSON.parse(text) };
    } catch (error) {
      const start = text.trim() === "" ? "it is empty" : `it starts with ${excerpt(text.trim())}`;
      return { problem: new RowProblem("not JSON", `not JSON: ${(error as Error).message} (${start})`) };
    }
  } catch (error) {
    if (error instanceof RowProblem) return { problem: error };
    throw error;
  }
}

function decode(bytes: Uint8Array, decoder: TextDecoder, cause: "not JSON" | "not CSV"): string {
  try {
    return decoder.decode(bytes);
  } catch {
    const start = excerpt(latin1(bytes).trim());
    throw new RowProblem(cause, `${cause}: the text is not UTF-8 (it starts with ${start})`);
  }
}

/** The file's text as bytes, without byte order mark; the first chunk holds more than white space. */
async function* textChunks(
  file: string,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let head: Uint8Array | undefined = new Uint8Array(0);
  for await (const chunk of chunks) {
    if (head === undefined) {
      yield chunk;
      continue;
    }
    head = joined([head, chunk]);
    if (head.length < longestMagic) continue;
    refuseOtherKinds(file, head);
    const text = withoutByteOrderMark(head);
    if (text.every(isSpace)) {
      refuseEndlessSpace(file, head);
      continue;
    }
    yield text;
    head = undefined;
  }
  if (head === undefined) return;
  refuseOtherKinds(file, head);
  const text = withoutByteOrderMark(head);
  if (text.every(isSpace)) throw new DataError(`${file} is empty. Give ${fileKinds}.`);
  yield text;
}

/** White space before the first row is kept, for it has lines that count. */
const maxLeadingSpace = 2 ** 20;

function refuseEndlessSpace(file: string, head: Uint8Array): void {
  if (head.length <= maxLeadingSpace) return;
  throw new DataError(`${file} begins with more than ${maxLeadingSpace} bytes of white space. Give ${fileKinds}.`);
}

const fileKinds = "a file of JSON lines, one JSON array, CSV, TSV or Parquet";
export const parquetMagic = [0x50, 0x41, 0x52, 0x31];

/** Files that people take for rows, by their first bytes. */
const otherKinds: readonly (readonly [string, readonly number[]])[] = [
  ["a packed Parquet file, or one from standard input: give the Parquet file itself", parquetMagic],
  ["a zip archive", [0x50, 0x4b, 0x03, 0x04]],
  ["an Arrow file", [0x41, 0x52, 0x52, 0x4f]],
  ["packed by bzip2: unpack it", codes("BZh")],
  ["packed by xz: unpack it", [0xfd, 0x37, 0x7a, 0x58]],
  ["a Git LFS pointer, which says where the file is: get that by git lfs pull", codes("version https://git-lfs")],
  ["a web page: download the file that it shows", codes("<!DOCTYPE")],
  ["a web page: download the file that it shows", codes("<!doctype")],
  ["a web page: download the file that it shows", codes("<html")],
  ["UTF-16 text", [0xff, 0xfe]],
  ["UTF-16 text", [0xfe, 0xff]],
];

function codes(text: string): number[] {
  return Array.from(text, (character) => character.charCodeAt(0));
}

/** Bytes that are needed to tell a file's kind. */
const longestMagic = Math.max(...otherKinds.map(([, magic]) => magic.length));

function refuseOtherKinds(file: string, head: Uint8Array): void {
  const kind = otherKinds.find(([, magic]) => startsWith(head, magic));
  const isBinary = kind !== undefined || head.includes(0);
  if (!isBinary) return;
  throw new DataError(
    `${file} is ${kind?.[0] ?? "a binary file"}. Give ${fileKinds}; text in UTF-8, packed by gzip or Zstandard or not.`,
  );
}

function withoutByteOrderMark(head: Uint8Array): Uint8Array {
  return head[0] === 0xef && head[1] === 0xbb && head[2] === 0xbf ? head.subarray(3) : head;
}
