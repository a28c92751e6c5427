import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Random } from "../../src/random.ts";
import { chooseToken } from "../../src/sampling/choose.ts";

const logits = fc
  .array(fc.float({ min: -20, max: 20, noNaN: true }), { minLength: 1, maxLength: 60 })
  .map((values) => Float32Array.from(values));
const temperatures = fc.double({ min: 0.05, max: 5, noNaN: true });
const seeds = fc.nat();

/** exp(z / temperature), the largest scaled to 1. */
function exponentials(z: Float32Array, temperature: number): number[] {
  return Array.from(z, (x) => Math.exp((x - Math.max(...z)) / temperature));
}

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

/** softmax(z / temperature), by definition. */
function softmax(z: Float32Array, temperature: number): number[] {
  const weights = exponentials(z, temperature);
  return weights.map((w) => w / sum(weights));
}

/** Pearson's statistic of `draws` choices against the expected probabilities. */
function chiSquare(
  z: Float32Array,
  expected: readonly number[],
  options: { temperature: number; topP: number },
): number {
  const draws = 20_000;
  const counts = expected.map(() => 0);
  const random = new Random(11);
  for (let i = 0; i < draws; i++) counts[chooseToken(z, options, random)]!++;
  return sum(expected.map((p, i) => (p === 0 ? counts[i]! : (counts[i]! - draws * p) ** 2 / (draws * p))));
}

describe("greedy choice (temperature 0)", () => {
  const greedy = (z: Float32Array) => chooseToken(z, { temperature: 0, topP: 1 }, new Random(0));

  test("takes the most probable token, of equals the lowest id", () => {
    fc.assert(
      fc.property(logits, (z) => {
        expect(greedy(z)).toBe(z.indexOf(Math.max(...z)));
      }),
    );
    expect(greedy(Float32Array.of(1, 3, 3, 2))).toBe(1);
  });

  test("is the limit of low temperatures, and of small nuclei", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: -20, max: 20 }), { minLength: 1 }), seeds, (values, seed) => {
        const z = Float32Array.from(values);
        expect(chooseToken(z, { temperature: 1e-3, topP: 1 }, new Random(seed))).toBe(greedy(z));
        expect(chooseToken(z, { temperature: 1, topP: 1e-9 }, new Random(seed))).toBe(greedy(z));
      }),
    );
  });
});

describe("drawing", () => {
  test("never leaves the nucleus", () => {
    const mass = fc.double({ min: 1e-6, max: 1, noNaN: true });
    fc.assert(
      fc.property(logits, temperatures, mass, seeds, (z, temperature, topP, seed) => {
        const weights = exponentials(z, temperature);
        const random = new Random(seed);
        for (let draw = 0; draw < 30; draw++) {
          const chosen = chooseToken(z, { temperature, topP }, random);
          // In the nucleus iff those that rank before it do not reach topP without it.
          const before = weights.filter((w, id) => w > weights[chosen]! || (w === weights[chosen] && id < chosen));
          expect(sum(before) / sum(weights)).toBeLessThan(topP + 1e-9);
        }
      }),
    );
  });

  test("never takes an impossible token", () => {
    fc.assert(
      fc.property(logits, seeds, fc.constantFrom(0.5, 1), (z, seed, topP) => {
        const padded = Float32Array.of(Number.NEGATIVE_INFINITY, ...z, Number.NEGATIVE_INFINITY);
        const chosen = chooseToken(padded, { temperature: 1, topP }, new Random(seed));
        expect(chosen).toBeGreaterThan(0);
        expect(chosen).toBeLessThan(padded.length - 1);
      }),
    );
  });

  const z = Float32Array.of(2, 1.5, 1, 0.5, 0, -0.5, -1, -1.5, -2, 2);
  const ranked = [0, 9, 1, 2, 3, 4, 5, 6, 7, 8];

  test.each([1, 2, 5, 9])("the nucleus is the smallest set that holds topP: %d tokens, or one more", (size) => {
    const p = softmax(z, 1);
    const held = sum(ranked.slice(0, size).map((id) => p[id]!));
    const seen = (topP: number) => {
      const random = new Random(3);
      return new Set(Array.from({ length: 5000 }, () => chooseToken(z, { temperature: 1, topP }, random)));
    };
    expect(seen(held - 1e-6)).toEqual(new Set(ranked.slice(0, size)));
    expect(seen(held + 1e-6)).toEqual(new Set(ranked.slice(0, size + 1)));
  });

  test("a set that holds topP and no more is the whole nucleus", () => {
    const quarters = new Float32Array(4);
    const random = new Random(3);
    const seen = new Set(
      Array.from({ length: 100 }, () => chooseToken(quarters, { temperature: 1, topP: 0.5 }, random)),
    );
    expect(seen).toEqual(new Set([0, 1]));
  });

  // The 99.9th percentiles of chi-square are 27.9 for 9 degrees of freedom and 13.8 for 2.
  test.each([0.5, 1, 3])("follows softmax(z / %d)", (temperature) => {
    expect(chiSquare(z, softmax(z, temperature), { temperature, topP: 1 })).toBeLessThan(27.9);
  });

  test("within the nucleus it follows the renormalized softmax", () => {
    const p = softmax(z, 1); // 0.27 twice, 0.16, 0.10, ...: three tokens hold 0.7, two do not.
    const nucleus = ranked.slice(0, 3);
    const held = sum(nucleus.map((id) => p[id]!));
    const expected = p.map((q, id) => (nucleus.includes(id) ? q / held : 0));
    expect(chiSquare(z, expected, { temperature: 1, topP: 0.65 })).toBeLessThan(13.8);
  });

  test("tells the statistic of another distribution apart", () => {
    expect(chiSquare(z, softmax(z, 1), { temperature: 1.1, topP: 1 })).toBeGreaterThan(27.9);
  });
});
