/**
 * Cuts a stream of bytes into the texts of its rows: lines, or the elements of one JSON array. Both work byte by byte on
 * chunks of any size: every character that matters is ASCII, and no byte of a longer UTF-8 sequence is.
 */

import { DataError } from "../../errors.ts";
import { isSpace, joined } from "./bytes.ts";

/** Bytes of one row and its number, counted from 1. */
export interface RawRow {
  readonly number: number;
  readonly bytes: Uint8Array;
}

export interface Splitter {
  /** Rows that a chunk completes. */
  push(chunk: Uint8Array): RawRow[];
  /** Rows that the end of the file completes. Throws DataError when the file ends too early. */
  finish(): RawRow[];
}

/** A row above this size is no preference pair but a file of another kind, and would fill the memory. */
const maxRowBytes = 64 * 2 ** 20;

const byte = {
  newline: 0x0a,
  comma: 0x2c,
  quote: 0x22,
  backslash: 0x5c,
  openBracket: 0x5b,
  closeBracket: 0x5d,
  openBrace: 0x7b,
  closeBrace: 0x7d,
} as const;

/** Collects the pieces of one row over chunks. */
export class RowPieces {
  private pieces: Uint8Array[] = [];
  private size = 0;

  /** `advice` is for whoever has a file with such a row. */
  constructor(
    private readonly file: string,
    private readonly advice = "A preference file has one row a line, or is one JSON array of rows.",
  ) {}

  add(piece: Uint8Array, row: number): void {
    this.size += piece.length;
    if (this.size > maxRowBytes) {
      throw new DataError(`${this.file}: row ${row} is longer than ${maxRowBytes / 2 ** 20} MiB. ${this.advice}`);
    }
    this.pieces.push(piece);
  }

  take(): Uint8Array {
    const bytes = this.pieces.length === 1 ? this.pieces[0]! : joined(this.pieces);
    this.pieces = [];
    this.size = 0;
    return bytes;
  }
}

/** Rows are lines; blank lines are no rows, but they count as lines. */
export function lineSplitter(file: string): Splitter {
  const pieces = new RowPieces(file);
  let line = 1;
  const take = (): RawRow[] => {
    const bytes = pieces.take();
    const row = { number: line++, bytes };
    return isBlank(bytes) ? [] : [row];
  };
  return {
    push(chunk) {
      const rows: RawRow[] = [];
      let start = 0;
      for (let end = chunk.indexOf(byte.newline); end >= 0; end = chunk.indexOf(byte.newline, start)) {
        pieces.add(chunk.subarray(start, end), line);
        rows.push(...take());
        start = end + 1;
      }
      pieces.add(chunk.subarray(start), line);
      return rows;
    },
    finish: take,
  };
}

/** Rows are the elements of a JSON array; the first byte that is not white space must be its `[`. */
export function arraySplitter(file: string): Splitter {
  const pieces = new RowPieces(file);
  let element = 1;
  let depth = 0;
  let inString = false;
  let escaped = false;
  let closed = false;

  /** Advances over one byte; true where it ends an element. */
  function endsElement(code: number): boolean {
    if (inString) {
      if (escaped) escaped = false;
      else if (code === byte.backslash) escaped = true;
      else if (code === byte.quote) inString = false;
      return false;
    }
    switch (code) {
      case byte.quote:
        inString = true;
        return false;
      case byte.openBracket:
      case byte.openBrace:
        depth++;
        return false;
      case byte.closeBracket:
      case byte.closeBrace:
        depth--;
        closed = depth === 0;
        return closed;
      default:
        return code === byte.comma && depth === 1;
    }
  }

  return {
    push(chunk) {
      const rows: RawRow[] = [];
      let start = 0;
      for (let i = 0; i < chunk.length && !closed; i++) {
        const opensArray = depth === 0;
        const ends = endsElement(chunk[i]!);
        if (opensArray) start = i + 1;
        if (!ends) continue;
        pieces.add(chunk.subarray(start, i), element);
        start = i + 1;
        const bytes = pieces.take();
        // Before the closing bracket nothing may stand: the array is empty.
        if (!(closed && element === 1 && isBlank(bytes))) rows.push({ number: element, bytes });
        element++;
      }
      const rest = chunk.subarray(start);
      if (!closed) pieces.add(rest, element);
      else if (!isBlank(rest)) {
        throw new DataError(
          `${file}: there is text after the end of the JSON array. Leave one array, or write one row a line.`,
        );
      }
      return rows;
    },
    finish() {
      if (!closed) {
        throw new DataError(
          `${file}: the JSON array is never closed; the file ends within element ${element}. It seems to be cut off: get the whole file.`,
        );
      }
      return [];
    },
  };
}

function isBlank(bytes: Uint8Array): boolean {
  return bytes.every(isSpace);
}
