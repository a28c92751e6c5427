/**
 * Remembers the token ids of a text's words. A tokenizer that begins a new piece at every space between two letters, as byte-level
 * BPE does, gives a text the ids of its stretches between such spaces, one after the other. Words come again and again, so most
 * texts need no tokenizing but looking up. Where else a new piece begins for certain is found by trying.
 */

import { hashWith, NO_CHARACTERS, WordTable } from "./word-table.ts";

/** Where a new piece begins whatever stands around it: the codes of the characters after which it does. */
interface Openings {
  /** At a space and a letter, besides after letters. */
  readonly words: ReadonlySet<number>;
  /** At a line end. */
  readonly lines: ReadonlySet<number>;
}

/** Beyond this many stretches those are forgotten that came up the longest ago. A language's running text is nearly all made of 30,000 words. */
const CAPACITY = 2 ** 18;
/** A longer stretch (code, a text without spaces) is not likely to come again. */
const LONGEST = 64;

const SPACE = 0x20;
const LINE_END = 0x0a;

export class WordCache {
  private recent: WordTable;
  private older: WordTable;
  private buffer = new Int32Array(1024);

  constructor(
    private readonly encode: (text: string) => readonly number[],
    private readonly openings: Openings = { words: new Set(), lines: new Set() },
    capacity = CAPACITY,
  ) {
    this.recent = new WordTable(capacity / 2);
    this.older = new WordTable(1);
  }

  /** The ids of a text. */
  idsOf(text: string): Int32Array {
    let count = 0;
    let start = 0;
    let hash = NO_CHARACTERS;
    for (let at = 0; at <= text.length; at++) {
      if (at === text.length || (at > 0 && this.startsPiece(text, at))) {
        count = this.take(text, start, at, hash, count);
        start = at;
        hash = NO_CHARACTERS;
      }
      hash = hashWith(hash, text.charCodeAt(at));
    }
    return this.buffer.slice(0, count);
  }

  /** Puts the ids of a stretch into the buffer behind the first `count`, and returns how many are there then. */
  private take(text: string, start: number, end: number, hash: number, count: number): number {
    const { recent, older } = this;
    const known = recent.find(text, start, end, hash);
    if (known > 0) return this.copy(recent, known, count);
    const before = older.find(text, start, end, hash);
    const after =
      before > 0 ? this.copy(older, before, count) : this.append(this.encode(text.slice(start, end)), count);
    if (end - start <= LONGEST) this.keep(text, start, end, hash, this.buffer.subarray(count, after));
    return after;
  }

  private copy(table: WordTable, at: number, count: number): number {
    const after = count + table.idCount(at);
    if (after > this.buffer.length) this.grow(after);
    table.copyIds(at, this.buffer, count);
    return after;
  }

  private append(ids: readonly number[], count: number): number {
    if (count + ids.length > this.buffer.length) this.grow(count + ids.length);
    this.buffer.set(ids, count);
    return count + ids.length;
  }

  private keep(text: string, start: number, end: number, hash: number, ids: Int32Array): void {
    if (this.recent.size === this.recent.capacity) {
      [this.older, this.recent] = [this.recent, new WordTable(this.recent.capacity)];
    }
    this.recent.add(text, start, end, hash, ids);
  }

  /** Whether a new piece begins at an index above 0 for certain. */
  private startsPiece(text: string, at: number): boolean {
    const code = text.charCodeAt(at);
    if (code === LINE_END) return this.openings.lines.has(text.charCodeAt(at - 1));
    if (code !== SPACE || at + 1 === text.length || !isLetterAt(text, at + 1)) return false;
    return isLetterBefore(text, at) || this.openings.words.has(text.charCodeAt(at - 1));
  }

  private grow(size: number): void {
    const buffer = new Int32Array(Math.max(size, 2 * this.buffer.length));
    buffer.set(this.buffer);
    this.buffer = buffer;
  }
}

function isLetterAt(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  if (code < 0x80) return isAsciiLetter(code);
  return /^\p{L}/u.test(text.slice(at, at + 2));
}

function isLetterBefore(text: string, at: number): boolean {
  const code = text.charCodeAt(at - 1);
  if (code < 0x80) return isAsciiLetter(code);
  return /\p{L}$/u.test(text.slice(Math.max(0, at - 2), at));
}

function isAsciiLetter(code: number): boolean {
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x7a;
}

/** Characters that texts are full of: printable ASCII, and what typographers write. */
const COMMON = [
  ...Array.from({ length: 0x5f }, (_, i) => String.fromCharCode(0x20 + i)),
  ..."\u2018\u2019\u201c\u201d\u2013\u2014\u2026",
];

/** Where new pieces begin, by what a pre-tokenizer does with each common character in several places. */
export function findOpenings(preTokenize: (text: string) => readonly string[]): Openings {
  const parts = (left: string, right: string) =>
    [...preTokenize(left), ...preTokenize(right)].join("|") === preTokenize(left + right).join("|");
  const after = (rights: readonly string[]) =>
    COMMON.filter((character) =>
      ["ab", "1", ".", "ab ", character, `ab${character}`, "\n"].every((before) =>
        rights.every((right) => parts(before + character, right)),
      ),
    ).map((character) => character.charCodeAt(0));
  return {
    words: new Set(preTokenize(" cd").length === 1 ? after([" cd"]) : []),
    lines: new Set(after(["\n", "\n\n", "\ncd", "\n\ncd", "\n cd", "\n\n  cd", "\n- cd", "\n1"])),
  };
}
