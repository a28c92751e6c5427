/**
 * Comma- and tab-separated values as RFC 4180 has them: a cell with a separator, a newline or a quote in it stands in double quotes,
 * and a quote in it is written twice. A quote within a cell that does not begin with one is text, as other readers take it.
 */

import { excerpt, RowProblem } from "../problem.ts";
import { type RawRow, RowPieces, type Splitter } from "./split.ts";

type Delimiter = "," | "\t";

const QUOTE = 0x22;
const NEWLINE = 0x0a;
const RETURN = 0x0d;

/** Where in a record a byte stands: at a cell's beginning, in it, in its quotes, or behind a quote that may have closed them. */
type Place = "start" | "bare" | "quoted" | "closing";

/** Rows are records; a row's number is the line on which it begins. Blank lines are no rows, but they count as lines. */
export function recordSplitter(file: string, delimiter: Delimiter): Splitter {
  const separator = delimiter.charCodeAt(0);
  const pieces = new RowPieces(
    file,
    "A quote that is opened on that line is never closed: close it, or write it twice.",
  );
  let line = 1;
  let begins = 1;
  let place: Place = "start";
  const take = (): RawRow[] => {
    const bytes = withoutReturn(pieces.take());
    const row = { number: begins, bytes };
    begins = line;
    return bytes.length === 0 ? [] : [row];
  };
  return {
    push(chunk) {
      const rows: RawRow[] = [];
      let start = 0;
      for (let i = 0; i < chunk.length; i++) {
        const code = chunk[i]!;
        if (code === NEWLINE) line++;
        place = placeAfter(code, place, separator);
        if (code !== NEWLINE || place === "quoted") continue;
        pieces.add(chunk.subarray(start, i), begins);
        rows.push(...take());
        start = i + 1;
      }
      pieces.add(chunk.subarray(start), begins);
      return rows;
    },
    finish: take,
  };
}

function placeAfter(code: number, place: Place, separator: number): Place {
  if (place === "quoted") return code === QUOTE ? "closing" : "quoted";
  if (code === separator || code === NEWLINE) return "start";
  if (code === QUOTE && place !== "bare") return "quoted";
  return place === "closing" && code === RETURN ? "closing" : "bare";
}

function withoutReturn(bytes: Uint8Array): Uint8Array {
  return bytes.at(-1) === RETURN ? bytes.subarray(0, -1) : bytes;
}

/** The cells of one record. Throws RowProblem for quotes that are never closed, or that close before the cell's end. */
export function parseRecord(record: string, delimiter: Delimiter): string[] {
  if (!record.includes('"')) return record.split(delimiter);
  const cells: string[] = [];
  for (let at = 0; ; at++) {
    const { cell, end } = record[at] === '"' ? quotedCell(record, at, delimiter) : bareCell(record, at, delimiter);
    cells.push(cell);
    at = end;
    if (at >= record.length) return cells;
  }
}

interface Cell {
  readonly cell: string;
  /** Where its separator stands, or where the record ends. */
  readonly end: number;
}

function bareCell(record: string, start: number, delimiter: Delimiter): Cell {
  const found = record.indexOf(delimiter, start);
  const end = found < 0 ? record.length : found;
  return { cell: record.slice(start, end), end };
}

function quotedCell(record: string, start: number, delimiter: Delimiter): Cell {
  let close = record.indexOf('"', start + 1);
  while (close >= 0 && record[close + 1] === '"') close = record.indexOf('"', close + 2);
  const beginning = excerpt(record.slice(start));
  if (close < 0) throw new RowProblem("not CSV", `a quote is opened and never closed: ${beginning}`);
  const end = close + 1;
  if (end < record.length && record[end] !== delimiter) {
    throw new RowProblem(
      "not CSV",
      `text follows a quote that closes: ${beginning}; a quote in a quoted cell is written twice`,
    );
  }
  return { cell: record.slice(start + 1, close).replaceAll('""', '"'), end };
}
