import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Drawn, type MixtureOptions, mix } from "../../src/data/mixture.ts";
import { ConfigError } from "../../src/errors.ts";

const sources = fc.array(
  fc.record({ size: fc.integer({ min: 1, max: 60 }), weight: fc.double({ min: 0.05, max: 5, noNaN: true }) }),
  {
    minLength: 1,
    maxLength: 5,
  },
);
const settings = fc.record({ seed: fc.nat(1000), shuffle: fc.boolean() });

type Given = { readonly size: number; readonly weight: number }[];

function mixed(given: Given, options: MixtureOptions): Drawn[] {
  return mix(
    given.map(({ size }) => size),
    given.map(({ weight }) => weight),
    options,
  );
}

/** How often each row of each source is used. */
function uses(given: Given, drawn: readonly Drawn[]): number[][] {
  const counts = given.map(({ size }) => new Array<number>(size).fill(0));
  for (const { source, row } of drawn) counts[source]![row]!++;
  return counts;
}

const total = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);

describe("a mixture", () => {
  test("uses every row, and rows of one source alike often, in the proportions of the weights", () => {
    fc.assert(
      fc.property(sources, settings, (given, options) => {
        const drawn = mixed(given, options);
        const all = total(given.map(({ weight }) => weight));
        uses(given, drawn).forEach((counts, i) => {
          expect(Math.min(...counts)).toBeGreaterThanOrEqual(1);
          expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
          const share = (drawn.length * given[i]!.weight) / all;
          expect(Math.abs(total(counts) - share)).toBeLessThan(given.length);
        });
      }),
    );
  });

  test("may use no row twice, and then all of one source", () => {
    fc.assert(
      fc.property(sources, settings, (given, options) => {
        const counts = uses(given, mixed(given, { ...options, mixture: "once" }));
        for (const source of counts) {
          expect(Math.max(...source)).toBe(1);
        }
        expect(counts.some((source) => source.every((count) => count === 1))).toBe(true);
      }),
    );
  });

  test("alternates evenly: its first rows have the same proportions", () => {
    fc.assert(
      fc.property(sources, settings, fc.nat(), (given, options, cut) => {
        const drawn = mixed(given, options);
        const first = drawn.slice(0, cut % (drawn.length + 1));
        given.forEach((_, i) => {
          const of = (rows: readonly Drawn[]) => rows.filter(({ source }) => source === i).length;
          const expected = (of(drawn) * first.length) / drawn.length;
          expect(Math.abs(of(first) - expected)).toBeLessThanOrEqual(given.length);
        });
      }),
    );
  });

  test("is the same for the same seed, and another for another", () => {
    const given = [
      { size: 40, weight: 1 },
      { size: 20, weight: 2 },
    ];
    expect(mixed(given, { seed: 7 })).toEqual(mixed(given, { seed: 7 }));
    expect(mixed(given, { seed: 7 })).not.toEqual(mixed(given, { seed: 8 }));
  });

  test("without shuffling keeps the order of each source, from its beginning again where it ends", () => {
    const given = [
      { size: 2, weight: 2 },
      { size: 3, weight: 1 },
    ];
    const drawn = mixed(given, { shuffle: false });
    expect(drawn.filter(({ source }) => source === 0).map(({ row }) => row)).toEqual([0, 1, 0, 1, 0, 1]);
    expect(drawn.map(({ source }) => source)).toEqual([0, 1, 0, 0, 1, 0, 0, 1, 0]);
  });

  test("has at most as many rows as are asked for", () => {
    const given = [
      { size: 100, weight: 3 },
      { size: 100, weight: 1 },
    ];
    const counts = uses(given, mixed(given, { limit: 20 })).map(total);
    expect(counts).toEqual([15, 5]);
  });

  test("of absurd weights is refused", () => {
    const given = [
      { size: 1000, weight: 1e-6 },
      { size: 10, weight: 1 },
    ];
    expect(() => mixed(given, {})).toThrow(ConfigError);
    expect(mixed(given, { mixture: "once" })).toHaveLength(11);
  });
});
