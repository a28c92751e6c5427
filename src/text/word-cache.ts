/**
 * Remembers the token ids of a text's words. A tokenizer that begins a new piece at every space between two letters, as byte-level
 * BPE does, gives a text the ids of its stretches between such spaces, one after the other. Words come again and again, so most
 * texts need no tokenizing but looking up. After which other characters a space and a letter begin a new piece is found by trying.
 */

/** Beyond this many stretches the oldest are forgotten. A language's running text is nearly all made of 30,000 words. */
const CAPACITY = 100_000;
/** A longer stretch (code, a text without spaces) is not likely to come again. */
const LONGEST = 64;

export class WordCache {
  private recent = new Map<string, readonly number[]>();
  private older = new Map<string, readonly number[]>();
  private buffer = new Int32Array(1024);

  constructor(
    private readonly encode: (text: string) => readonly number[],
    /** Codes of ASCII characters, besides letters, after which a space and a letter begin a new piece. */
    private readonly openers: ReadonlySet<number> = new Set(),
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
    const known = this.recent.get(stretch) ?? this.older.get(stretch);
    const ids = known ?? this.encode(stretch);
    if (known === undefined) {
      if (2 * this.recent.size >= this.capacity) [this.older, this.recent] = [this.recent, new Map()];
      this.recent.set(stretch, ids);
    }
    return ids;
  }

  /** The next index from `from` on at which a space and a letter begin a new piece; the text's length where there is none. */
  private nextStart(text: string, from: number): number {
    for (let at = text.indexOf(" ", from); at >= 0; at = text.indexOf(" ", at + 1)) {
      if (at + 1 === text.length || !isLetterAt(text, at + 1)) continue;
      if (this.openers.has(text.charCodeAt(at - 1)) || isLetterBefore(text, at)) return at;
    }
    return text.length;
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

/**
 * The ASCII characters, besides letters, after which a space and a letter always begin a new piece, by what a pre-tokenizer does
 * with each in several places.
 */
export function findOpeners(preTokenize: (text: string) => readonly string[]): Set<number> {
  const word = " cd";
  const isOpener = (character: string) =>
    ["ab", "1", ".", "ab ", character, `ab${character}`, "\n"]
      .map((before) => before + character)
      .every((left) => [...preTokenize(left), ...preTokenize(word)].join("|") === preTokenize(left + word).join("|"));
  const others = Array.from({ length: 0x5f }, (_, i) => 0x20 + i).filter((code) => !isAsciiLetter(code));
  return new Set(preTokenize(word).length === 1 ? others.filter((code) => isOpener(String.fromCharCode(code))) : []);
}
