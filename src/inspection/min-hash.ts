/**
 * MinHash (Broder 1997): of a set of shingles keep, for each of many hash functions, the least value (as signed numbers, here). Two sets agree in such a
 * value with probability J(A, B) = |A and B| / |A or B|, so the share of values in which two signatures agree estimates J with
 * standard error sqrt(J (1 - J) / functions): 0.05 at J = 0.8 with 64.
 *
 * Locality-sensitive hashing (Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", section 3.4): signatures are cut into 16
 * bands of 4 values; sets that agree in a whole band are compared. Those of J = 0.8 meet with probability 1 - (1 - 0.8^4)^16 = 0.9998,
 * those of J = 0.3 with 0.12.
 */

const FUNCTIONS = 64;
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

/** The signature of a text's shingles, FUNCTIONS values; undefined for a text too short to have any. */
export function signatureOf(text: string): Int32Array | undefined {
  const shingles = shinglesOf(text);
  if (shingles.length === 0) return undefined;
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
function shinglesOf(text: string): Int32Array {
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
    let mixed = 0;
    for (let k = 0; k < WORDS; k++) mixed = Math.imul(mixed ^ hashes[i + k]!, 0x85ebca6b) ^ (mixed >>> 13);
    shingles[i] = Math.imul(mixed ^ (mixed >>> 16), 0xc2b2ae35);
  }
  return shingles;
}

/** Signatures of many texts, one after the other. */
export class Signatures {
  private values = new Int32Array(1024 * FUNCTIONS);
  size = 0;

  add(signature: Int32Array): void {
    if ((this.size + 1) * FUNCTIONS > this.values.length) {
      const larger = new Int32Array(2 * this.values.length);
      larger.set(this.values);
      this.values = larger;
    }
    this.values.set(signature, this.size * FUNCTIONS);
    this.size++;
  }

  /** The estimated Jaccard similarity of two texts. */
  similarity(i: number, j: number): number {
    let same = 0;
    for (let k = 0; k < FUNCTIONS; k++)
      same += Number(this.values[i * FUNCTIONS + k] === this.values[j * FUNCTIONS + k]);
    return same / FUNCTIONS;
  }

  /**
   * For each text the earlier one among the first `among` that it is most like, where one is at least `threshold` alike. A bucket
   * is known by its first text alone, so that time grows with the number of texts even where all are alike.
   */
  likest(threshold: number, among = this.size): Map<number, Likeness> {
    const found = new Map<number, Likeness>();
    for (let band = 0; band < FUNCTIONS; band += BAND) {
      const first = new Map<number, number>();
      for (let i = 0; i < this.size; i++) {
        const key = this.bandKey(i, band);
        const earlier = first.get(key);
        if (earlier === undefined) {
          if (i < among) first.set(key, i);
          continue;
        }
        const known = found.get(i);
        if (known?.of === earlier) continue;
        const similarity = this.similarity(i, earlier);
        if (similarity >= threshold && similarity > (known?.similarity ?? 0)) found.set(i, { of: earlier, similarity });
      }
    }
    return found;
  }

  private bandKey(i: number, band: number): number {
    const at = i * FUNCTIONS + band;
    let [a, b] = [0, 0];
    for (let k = 0; k < BAND; k++) {
      a = Math.imul(a ^ this.values[at + k]!, 0x85ebca6b) ^ (a >>> 15);
      b = Math.imul(b ^ this.values[at + k]!, 0xc2b2ae35) ^ (b >>> 13);
    }
    return (b & 0x1fffff) * 2 ** 32 + (a >>> 0);
  }
}

interface Likeness {
  /** The earlier text's place. */
  readonly of: number;
  readonly similarity: number;
}
