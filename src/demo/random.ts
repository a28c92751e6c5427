/**
 * The generator of random numbers that the example's reviews were written with, so that its seed writes them again:
 * mulberry32 (Tommy Ettinger, public domain): a 32-bit counter with an odd step, its bits mixed by two multiplications.
 */

const STEP = 0x6d2b79f5;

/** A stream of random numbers that depends on `seed` (a 32-bit integer) alone. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** A whole number, uniform over 0 .. `bound` - 1. */
  below(bound: number): number {
    this.#state = (this.#state + STEP) | 0;
    let bits = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return Math.floor((((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32) * bound);
  }

  /** One of `items`, each equally likely; `items` must not be empty. */
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  /** A copy of `items` in random order (Fisher and Yates). */
  shuffled<T>(items: readonly T[]): T[] {
    const order = [...items];
    for (let last = order.length - 1; last > 0; last--) {
      const other = this.below(last + 1);
      [order[last], order[other]] = [order[other]!, order[last]!];
    }
    return order;
  }
}
