/** Random numbers against another implementation of the generator (tests/reference/training_random.py), and their spread. */

import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Random } from "../src/random.ts";

const streams = JSON.parse(readFileSync(new URL("golden/training/random.json", import.meta.url), "utf8")) as readonly {
  readonly seed: number;
  readonly bits: readonly number[];
}[];

const draw = (random: Random, count: number) => Array.from({ length: count }, () => random.next());

describe("the generator", () => {
  it.each(streams)("is xoshiro128** through splitmix32, seed $seed", ({ seed, bits }) => {
    const random = new Random(seed);
    expect(bits.map(() => random.bits())).toEqual(bits);
  });

  it("draws evenly from 0 to below 1, in more than float32's steps", () => {
    const values = draw(new Random(3), 20_000);
    const bins = new Array<number>(10).fill(0);
    for (const value of values) bins[Math.floor(value * 10)]!++;
    // Each bin holds 2000 +- 42 (one deviation); five deviations are never reached by chance.
    for (const count of bins) expect(Math.abs(count - 2000)).toBeLessThan(212);
    expect(values.filter((value) => value === Math.fround(value)).length).toBeLessThan(10);
  });

  it("draws whole numbers below a bound, each as often", () => {
    const random = new Random(4);
    const counts = new Array<number>(7).fill(0);
    for (let i = 0; i < 14_000; i++) counts[random.below(7)]!++;
    for (const count of counts) expect(Math.abs(count - 2000)).toBeLessThan(212);
  });
});

describe("a fork", () => {
  it("is the same for the same seed and key, another for another", () => {
    const first = (seed: number, ...key: number[]) => draw(Random.fork(seed, ...key), 2).join();
    expect(first(1, 2, 3)).toBe(first(1, 2, 3));
    const others = [
      first(1),
      first(1, 2),
      first(1, 2, 3),
      first(1, 3, 2),
      first(2, 2, 3),
      first(1, 2, 4),
      first(0, 2, 3),
    ];
    expect(new Set(others).size).toBe(others.length);
  });

  it("has a stream of its own for every small key", () => {
    const first = Array.from({ length: 2000 }, (_, i) => Random.fork(0, 5, i).bits());
    expect(new Set(first).size).toBe(2000);
    const neighbours = Array.from(
      { length: 1000 },
      (_, i) => (Random.fork(0, i).next() - 0.5) * (Random.fork(0, i + 1).next() - 0.5),
    );
    const correlation = neighbours.reduce((a, b) => a + b, 0) / neighbours.length / (1 / 12);
    expect(Math.abs(correlation)).toBeLessThan(0.16);
  });
});

describe("a normal number", () => {
  it("has mean 0, variance 1, and the tails of a normal distribution", () => {
    const random = new Random(3);
    const values = Array.from({ length: 20_000 }, () => random.normal());
    const mean = (of: readonly number[]) => of.reduce((a, b) => a + b) / of.length;
    expect(Math.abs(mean(values))).toBeLessThan(0.03);
    expect(Math.abs(mean(values.map((x) => x * x)) - 1)).toBeLessThan(0.05);
    // 4.55 % of a normal distribution are further than two deviations from its mean.
    expect(Math.abs(mean(values.map((x) => Number(Math.abs(x) > 2))) - 0.0455)).toBeLessThan(0.006);
  });
});

describe("a permutation", () => {
  it("has every number once", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 200 }), fc.nat(), (n, seed) => {
        const order = Array.from(new Random(seed).permutation(n));
        expect(order.toSorted((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, i) => i));
      }),
    );
  });

  it("is each of the possible ones as often", () => {
    const random = new Random(5);
    const counts = new Map<string, number>();
    for (let i = 0; i < 12_000; i++) {
      const order = random.permutation(4).join();
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(24);
    for (const count of counts.values()) expect(Math.abs(count - 500)).toBeLessThan(110);
  });
});
