/**
 * Stretches of texts with their token ids, found by a text's own characters: no string is made of a stretch, neither to look it up
 * nor to keep it. Open addressing; an entry lies in one piece, so that a look-up touches little memory:
 *
 *   hash, number of characters, number of ids, the characters, the ids
 *
 * A stretch that would stand far from its place is not kept, so that texts made to fall into one place make the table useless and
 * not slow.
 */

/** How many places are looked at. */
const MOST_PROBES = 16;
const HEAD = 3;

export class WordTable {
  size = 0;
  /** Where the entry of a place begins; 0 for none. */
  private readonly places: Int32Array;
  private entries: Int32Array;
  private end = 1;

  constructor(readonly capacity: number) {
    this.places = new Int32Array(2 ** Math.ceil(Math.log2(2 * capacity)));
    this.entries = new Int32Array(16 * capacity);
  }

  /** Where the entry of `text` from `start` to `end` is, whose characters have this hash; 0 where there is none. */
  find(text: string, start: number, end: number, hash: number): number {
    const { places, entries } = this;
    const home = spread(hash);
    for (let probe = 0; probe < MOST_PROBES; probe++) {
      const at = places[(home + probe) & (places.length - 1)]!;
      if (at === 0 || (entries[at] === hash && this.isAt(at, text, start, end))) return at;
    }
    return 0;
  }

  idCount(at: number): number {
    return this.entries[at + 2]!;
  }

  /** Writes the ids of an entry into an array that has room for them from `to` on. */
  copyIds(at: number, into: Int32Array, to: number): void {
    const { entries } = this;
    const [ids, count] = [at + HEAD + entries[at + 1]!, entries[at + 2]!];
    for (let i = 0; i < count; i++) into[to + i] = entries[ids + i]!;
  }

  /** Keeps a stretch that is not here; not where the table is full, or its places are taken. */
  add(text: string, start: number, end: number, hash: number, ids: ArrayLike<number>): void {
    const place = this.size < this.capacity ? this.freePlace(hash) : undefined;
    if (place === undefined) return;
    const length = end - start;
    this.makeRoom(HEAD + length + ids.length);
    const { entries, end: at } = this;
    entries[at] = hash;
    entries[at + 1] = length;
    entries[at + 2] = ids.length;
    for (let i = 0; i < length; i++) entries[at + HEAD + i] = text.charCodeAt(start + i);
    entries.set(ids, at + HEAD + length);
    this.places[place] = at;
    this.end += HEAD + length + ids.length;
    this.size++;
  }

  private freePlace(hash: number): number | undefined {
    const home = spread(hash);
    for (let probe = 0; probe < MOST_PROBES; probe++) {
      const place = (home + probe) & (this.places.length - 1);
      if (this.places[place] === 0) return place;
    }
    return undefined;
  }

  private isAt(at: number, text: string, start: number, end: number): boolean {
    const { entries } = this;
    if (entries[at + 1] !== end - start) return false;
    for (let i = start, own = at + HEAD; i < end; i++, own++) if (entries[own] !== text.charCodeAt(i)) return false;
    return true;
  }

  private makeRoom(count: number): void {
    if (this.end + count <= this.entries.length) return;
    const grown = new Int32Array(2 * this.entries.length + count);
    grown.set(this.entries);
    this.entries = grown;
  }
}

/** The hash of no characters. */
export const NO_CHARACTERS = 0x2545f491;

/** The hash of some characters and one more. */
export function hashWith(hash: number, code: number): number {
  return Math.imul(hash ^ code, 0x01000193);
}

/** Spreads a hash over all bits. */
function spread(hash: number): number {
  const mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (mixed ^ (mixed >>> 13)) & 0x7fffffff;
}
