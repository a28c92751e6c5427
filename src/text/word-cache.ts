/**
 * Remembers the token ids of a text's words. A tokenizer that begins a new piece at every space between two letters, as byte-level
 * BPE does, gives a text the ids of its stretches between such spaces, one after the other. Words come again and again, so most
 * texts need no tokenizing but looking up. Where else a new piece begins for certain is found by trying.
 */

/** Where a new piece begins whatever stands around it: the codes of the characters after which it does. */
export interface Openings {
  /** At a space and a letter, besides after letters. */
  readonly words: ReadonlySet<number>;
  /** At a line end. */
  readonly lines: ReadonlySet<number>;
}

/** Beyond this many stretches those are forgotten that came up the longest ago. A language's running text is nearly all made of 30,000 words. */
const CAPACITY = 100_000;
/** A longer stretch (code, a text without spaces) is not likely to come again. */
const LONGEST = 64;

const SPACE = 0x20;
const LINE_END = 0x0a;

export class WordCache {
  private recent = new Map<string, readonly number[]>();
  private older = new Map<string, readonly number[]>();
  private buffer = new Int32Array(1024);

  constructor(
    private readonly encode: (text: string) => readonly number[],
    private readonly openings: Openings = { words: new Set(), lines: new Set() },
    private readonly capacity = CAPACITY,
  ) {}

  /** The ids of a text. */
  idsOf(text: string): Int32Array {
    let count = 0;
    let start = 0;
    for (let end = this.nextStart(text, 1); ; end = this.nextStart(text, end + 1)) {
      const ids = this.lookUp(text.slice(start, end));
      if (count + ids.length > this.buffer.length) this.grow(count + ids.length);
      for (let i = 0; i < ids.length; i++) this.buffer[count++] = ids[i]!;
      if (end === text.length) return this.buffer.slice(0, count);
      start = end;
    }
  }

  private lookUp(stretch: string): readonly number[] {
    if (stretch.length > LONGEST) return this.encode(stretch);
    const recent = this.recent.get(stretch);
    if (recent !== undefined) return recent;
    const ids = this.older.get(stretch) ?? this.encode(stretch);
    if (2 * this.recent.size >= this.capacity) [this.older, this.recent] = [this.recent, new Map()];
    this.recent.set(detached(stretch), ids);
    return ids;
  }

  /** The next index from `from` on at which a new piece begins for certain; the text's length where there is none. */
  private nextStart(text: string, from: number): number {
    const { words, lines } = this.openings;
    for (let at = from; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === LINE_END && lines.has(text.charCodeAt(at - 1))) return at;
      if (code !== SPACE || at + 1 === text.length || !isLetterAt(text, at + 1)) continue;
      if (words.has(text.charCodeAt(at - 1)) || isLetterBefore(text, at)) return at;
    }
    return text.length;
  }

  private grow(size: number): void {
    const buffer = new Int32Array(Math.max(size, 2 * this.buffer.length));
    buffer.set(this.buffer);
    this.buffer = buffer;
  }
}

/** A copy: the slice of a text keeps all of the text in memory. */
function detached(slice: string): string {
  const codes = new Array<number>(slice.length);
  for (let i = 0; i < slice.length; i++) codes[i] = slice.charCodeAt(i);
  return String.fromCharCode(...codes);
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
