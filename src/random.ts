/**
 * The source of random numbers of all but the embedded example's texts (`demo/random.ts`): xoshiro128** (Blackman and Vigna
 * 2018), seeded through splitmix32. A stream of its own for every purpose (`fork`) keeps the numbers of one thing
 * independent of how many another has drawn.
 */

export class Random {
  private readonly s: Uint32Array;

  constructor(seed: number) {
    let x = seed >>> 0;
    this.s = Uint32Array.from({ length: 4 }, () => {
      x = (x + 0x9e3779b9) >>> 0;
      let z = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      return z ^ (z >>> 15);
    });
  }

  /** An independent stream for a purpose, the same for the same seed and key. */
  static fork(seed: number, ...key: readonly number[]): Random {
    return new Random(
      key.reduce((state, part) => new Random((state ^ Math.imul(part + 1, 0x85ebca6b)) >>> 0).bits(), seed >>> 0),
    );
  }

  /** 32 random bits as an unsigned integer. */
  bits(): number {
    const s = this.s;
    const result = Math.imul(rotateLeft(Math.imul(s[1]!, 5), 7), 9) >>> 0;
    const t = s[1]! << 9;
    s[2]! ^= s[0]!;
    s[3]! ^= s[1]!;
    s[1]! ^= s[2]!;
    s[0]! ^= s[3]!;
    s[2]! ^= t;
    s[3] = rotateLeft(s[3]!, 11);
    return result;
  }

  /** Uniform in [0, 1), 53 bits. */
  next(): number {
    return ((this.bits() >>> 5) * 2 ** 26 + (this.bits() >>> 6)) / 2 ** 53;
  }

  /** A whole number from 0 to below n, each equally likely. */
  below(n: number): number {
    return Math.floor(this.next() * n);
  }

  /** A number of the standard normal distribution, by the transform of Box and Muller (1958). */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.next())) * Math.cos(2 * Math.PI * this.next());
  }

  /** The numbers 0 to n - 1 in random order (Fisher and Yates). */
  permutation(n: number): Int32Array {
    const order = Int32Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    return order;
  }
}

function rotateLeft(x: number, k: number): number {
  return (x << k) | (x >>> (32 - k));
}
