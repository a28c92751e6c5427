/**
 * MinHash (Broder 1997): of a set of shingles keep, for each of many hash functions, the least value (as signed numbers, here). Two sets agree in such a
 * value with probability J(A, B) = |A and B| / |A or B|, so the share of values in which two signatures agree estimates J with
 * standard error sqrt(J (1 - J) / functions): 0.05 at J = 0.8 with 64.
 *
 * Locality-sensitive hashing (Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", section 3.4): of a signature there are 16
 * bands of 4 values; sets that agree in a whole band are compared. Those of J = 0.8 meet with probability 1 - (1 - 0.8^4)^16 = 0.9998,
 * those of J = 0.3 with 0.12. Where several sets of each text are compared, a band has values of all of them.
 */

const FUNCTIONS = 64;
const BANDS = 16;
/** Values in a band. */
const BAND = 4;
/** Words in a shingle. */
const WORDS = 3;

/** Odd multipliers and addends of the hash functions x -> a x + b mod 2^32, from a fixed generator. */
const [MULTIPLIERS, ADDENDS] = functionsFrom(0x9e3779b9);

function functionsFrom(seed: number): [Int32Array, Int32Array] {
  let state = seed;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return t ^ (t >>> 14);
  };
  return [
    Int32Array.from({ length: FUNCTIONS }, () => next() | 1),
    Int32Array.from({ length: FUNCTIONS }, () => next()),
  ];
}

/**
 * The signature of a text's shingles, FUNCTIONS values; undefined for a text too short to have any. Texts of different `salt` have no
 * shingles in common.
 */
export function signatureOf(text: string, salt = 0): Int32Array | undefined {
  const shingles = shinglesOf(text, salt);
  if (shingles.length === 0) return undefined;
  return leastValues(shingles);
}

/** The signature of a set of one member. */
export function signatureOfOne(hash: number): Int32Array {
  return leastValues(Int32Array.of(hash));
}

/** The signature of sets together. */
export function union(signatures: readonly Int32Array[]): Int32Array {
  return new Int32Array(FUNCTIONS).map((_, k) => Math.min(...signatures.map((signature) => signature[k]!)));
}

function leastValues(shingles: Int32Array): Int32Array {
  const signature = new Int32Array(FUNCTIONS);
  for (let k = 0; k < FUNCTIONS; k += 4) writeFourLeast(shingles, k, signature);
  return signature;
}

/** Four functions in one pass are twice as fast as four passes: a processor computes them side by side. */
function writeFourLeast(shingles: Int32Array, k: number, into: Int32Array): void {
  const [a, b, c, d] = [MULTIPLIERS[k]!, MULTIPLIERS[k + 1]!, MULTIPLIERS[k + 2]!, MULTIPLIERS[k + 3]!];
  const [p, q, r, s] = [ADDENDS[k]!, ADDENDS[k + 1]!, ADDENDS[k + 2]!, ADDENDS[k + 3]!];
  let [w, x, y, z] = [0x7fffffff, 0x7fffffff, 0x7fffffff, 0x7fffffff];
  for (let i = 0; i < shingles.length; i++) {
    const shingle = shingles[i]!;
    w = Math.min(w, (Math.imul(a, shingle) + p) | 0);
    x = Math.min(x, (Math.imul(b, shingle) + q) | 0);
    y = Math.min(y, (Math.imul(c, shingle) + r) | 0);
    z = Math.min(z, (Math.imul(d, shingle) + s) | 0);
  }
  [into[k], into[k + 1], into[k + 2], into[k + 3]] = [w, x, y, z];
}

/** Hashes of every run of WORDS words, letter case and what stands between words apart. */
function shinglesOf(text: string, salt: number): Int32Array {
  const hashes: number[] = [];
  let hash = 0;
  let inWord = false;
  for (let i = 0; i <= text.length; i++) {
    const code = i < text.length ? text.charCodeAt(i) : 0;
    const isWord = (code >= 0x30 && code <= 0x39) || ((code | 0x20) - 0x61) >>> 0 < 26 || code > 0xbf;
    if (isWord) {
      hash = Math.imul((inWord ? hash : 0x811c9dc5) ^ (code < 0x80 ? code | 0x20 : code), 0x01000193);
      inWord = true;
    } else if (inWord) {
      hashes.push(hash);
      inWord = false;
    }
  }
  const shingles = new Int32Array(Math.max(0, hashes.length - WORDS + 1));
  for (let i = 0; i < shingles.length; i++) {
    let mixed = salt;
    for (let k = 0; k < WORDS; k++) mixed = Math.imul(mixed ^ hashes[i + k]!, 0x85ebca6b) ^ (mixed >>> 13);
    shingles[i] = Math.imul(mixed ^ (mixed >>> 16), 0xc2b2ae35);
  }
  return shingles;
}

/** Texts by the signatures of one set or several of each, among which those that are like another are found. */
export class Signatures {
  private readonly sets: number;
  private readonly width: number;
  private values: Int32Array;
  private size = 0;
  /** Of each band the first text that has its values. */
  private readonly firsts = Array.from({ length: BANDS }, () => new Map<number, number>());

  /** `sets` is 1, 2 or 4. */
  constructor(sets = 1) {
    this.sets = sets;
    this.width = sets * FUNCTIONS;
    this.values = new Int32Array(1024 * this.width);
  }

  /** Texts are counted from 0. */
  add(signatures: readonly Int32Array[]): void {
    const start = this.size * this.width;
    if (start + this.width > this.values.length) {
      const larger = new Int32Array(2 * this.values.length);
      larger.set(this.values);
      this.values = larger;
    }
    for (const [set, signature] of signatures.entries()) this.values.set(signature, start + set * FUNCTIONS);
    this.firsts.forEach((first, band) => {
      const key = this.bandKey(signatures, band);
      if (!first.has(key)) first.set(key, this.size);
    });
    this.size++;
  }

  /**
   * The text that this one is most like, if all sets of the two are at least `threshold` alike. A band's values are known by the
   * first text that has them alone, so that time grows with the number of texts even where all are alike.
   */
  likest(signatures: readonly Int32Array[], threshold: number): Likeness | undefined {
    let found: Likeness | undefined;
    for (const place of new Set(this.firsts.map((first, band) => first.get(this.bandKey(signatures, band))))) {
      if (place === undefined) continue;
      const similarity = this.similarity(place, signatures);
      if (similarity >= threshold && similarity > (found?.similarity ?? 0)) found = { place, similarity };
    }
    return found;
  }

  /** The estimated Jaccard similarity of the sets that are the least alike. */
  private similarity(place: number, signatures: readonly Int32Array[]): number {
    const shares = signatures.map((signature, set) => {
      const start = place * this.width + set * FUNCTIONS;
      let same = 0;
      for (let k = 0; k < FUNCTIONS; k++) same += Number(this.values[start + k] === signature[k]);
      return same / FUNCTIONS;
    });
    return Math.min(...shares);
  }

  private bandKey(signatures: readonly Int32Array[], band: number): number {
    const own = BAND / this.sets;
    let key = 0;
    for (const signature of signatures) {
      for (let k = band * own; k < (band + 1) * own; k++)
        key = Math.imul(key ^ signature[k]!, 0x85ebca6b) ^ (key >>> 15);
    }
    return key;
  }
}

interface Likeness {
  /** Which text it is. */
  readonly place: number;
  readonly similarity: number;
}
