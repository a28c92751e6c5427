/** What margins say together, and rows that stand out among them. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { conflictsAmong } from "../../src/diagnostics/conflicts.ts";
import { correlation, gradientWeight, PairStatistics, quantile } from "../../src/diagnostics/pairs.ts";
import { repetition } from "../../src/diagnostics/repetition.ts";
import { RowWatch } from "../../src/diagnostics/suspects.ts";
import { tinyPairs } from "../support/tiny-model.ts";

describe("gradient weights", () => {
  it("are 1/2 without an opinion, and those of a pair and its opposite add up to 1", () => {
    expect(gradientWeight(0)).toBe(0.5);
    fc.assert(
      fc.property(fc.double({ noNaN: true }), (margin) => {
        expect(gradientWeight(margin) + gradientWeight(-margin)).toBeCloseTo(1, 12);
      }),
    );
  });

  it("are minus the slope of sigmoid DPO's loss", () => {
    const loss = (margin: number) => Math.log1p(Math.exp(-margin));
    for (const margin of [-3, -0.2, 0, 1, 5]) {
      expect(gradientWeight(margin)).toBeCloseTo(-(loss(margin + 1e-5) - loss(margin - 1e-5)) / 2e-5, 8);
    }
  });

  it("are described by their percentiles, pairs without a margin left out", () => {
    const pairs = new PairStatistics();
    const log = (weight: number) => Math.log(1 / weight - 1);
    for (const weight of [0.5, 0.1, 0.3, 0.2, 0.4]) pairs.add(log(weight), 0);
    pairs.add(Number.NaN, 0);
    expect(pairs.gradientWeights()).toEqual({
      "gradient_weights/p10": expect.closeTo(0.14, 12),
      "gradient_weights/p50": expect.closeTo(0.3, 12),
      "gradient_weights/p90": expect.closeTo(0.46, 12),
    });
    expect(new PairStatistics().gradientWeights()).toEqual({});
  });

  it("have quantiles as NumPy's", () => {
    // numpy.quantile([1, 2, 4, 8], [0, 0.1, 0.5, 0.75, 1])
    expect([0, 0.1, 0.5, 0.75, 1].map((share) => quantile([1, 2, 4, 8], share))).toEqual([1, 1.3, 3, 5, 8]);
  });
});

describe("the correlation of margin and length", () => {
  const of = (pairs: readonly [number, number][]) => {
    const statistics = new PairStatistics();
    for (const pair of pairs) statistics.add(...pair);
    return statistics.lengthCorrelation();
  };

  it("is Pearson's", () => {
    // numpy.corrcoef([1, 2, 4, 8], [3, 1, 5, 6])[0, 1]
    expect(correlation([1, 2, 4, 8], [3, 1, 5, 6])).toBeCloseTo(0.8133919626435625, 12);
    expect(
      of([
        [1, 3],
        [2, 1],
        [4, 5],
        [8, 6],
      ]).length_correlation,
    ).toBeCloseTo(0.8133919626435625, 12);
  });

  it("is not told of margins that differ by rounding alone, or of lengths that do not", () => {
    expect(
      of([
        [1e-6, 3],
        [-2e-6, 1],
        [0, 2],
      ]),
    ).toEqual({});
    expect(
      of([
        [1, 3],
        [2, 3],
      ]),
    ).toEqual({});
    expect(of([])).toEqual({});
  });
});

describe("suspects", () => {
  const pairs = tinyPairs(4);
  const watched = (...margins: readonly (readonly number[])[]) => {
    const rows = new RowWatch(pairs);
    margins.forEach((epoch, step) => {
      epoch.forEach((margin, i) => {
        rows.note(pairs[i]!, margin, step + 1);
      });
    });
    return rows;
  };

  it("are the pairs whose mean gradient weight is 0.6 or more, the highest first, with file and line", () => {
    const rows = watched([0, -0.1, 0, 0.1], [2, -1, -3, -0.1]);
    expect(rows.suspects()).toEqual([
      {
        file: "pairs.jsonl",
        line: 3,
        seen: 2,
        mean_weight: expect.closeTo((0.5 + gradientWeight(-3)) / 2, 6),
        last_step: 2,
        last_margin: -3,
      },
      {
        file: "pairs.jsonl",
        line: 2,
        seen: 2,
        mean_weight: expect.closeTo((gradientWeight(-0.1) + gradientWeight(-1)) / 2, 6),
        last_step: 2,
        last_margin: -1,
      },
    ]);
  });

  it("are none before the policy has an opinion, and none among pairs not met", () => {
    expect(watched([0, 1e-7, -1e-7, 0]).suspects()).toEqual([]);
    expect(
      watched([-5])
        .suspects()
        .map(({ line }) => line),
    ).toEqual([1]);
  });

  it("are not watched where no example has a margin", () => {
    expect(watched([]).watches).toBe(false);
    expect(watched([Number.NaN]).watches).toBe(false);
    expect(watched([0]).watches).toBe(true);
  });

  it("are the same after a checkpoint's arrays are put back", () => {
    const rows = watched([0, -0.1, 0, 0.1], [2, -1, -3, -0.1]);
    const again = new RowWatch(pairs);
    for (const name of ["seen", "weights", "lastStep", "lastMargin"] as const) again.rows[name].set(rows.rows[name]);
    expect(again.suspects()).toEqual(rows.suspects());
  });
});

describe("conflicts", () => {
  const pairs = tinyPairs(5);
  const opposite = (line: number, { prompt, completions }: (typeof pairs)[number]) => ({
    origin: { file: "pairs.jsonl", line },
    prompt,
    completions: completions.toReversed(),
  });

  it("are pairs that stand in both orders, each named with its opposite", () => {
    const found = conflictsAmong([...pairs, opposite(6, pairs[3]!)]);
    expect(found).toEqual({
      pairs: 2,
      first: [
        [pairs[3]!.origin, { file: "pairs.jsonl", line: 6 }],
        [{ file: "pairs.jsonl", line: 6 }, pairs[3]!.origin],
      ],
    });
  });

  it("are none among pairs that are equal, or have another prompt, and the first five are named", () => {
    expect(conflictsAmong([...pairs, ...pairs])).toBeUndefined();
    expect(conflictsAmong([...pairs, { ...opposite(6, pairs[3]!), prompt: pairs[2]!.prompt }])).toBeUndefined();
    const all = conflictsAmong([...pairs, ...pairs.map((pair, i) => opposite(6 + i, pair))]);
    expect([all?.pairs, all?.first.length]).toEqual([10, 5]);
  });

  it("are looked for among pairs only", () => {
    const ranked = pairs.map((pair) => ({ ...pair, completions: [...pair.completions, pair.prompt] }));
    expect(
      conflictsAmong([...ranked, ...ranked.map((one) => ({ ...one, completions: one.completions.toReversed() }))]),
    ).toBe(undefined);
  });
});

describe("repetition", () => {
  it("is the share of 4-grams that have stood in the same answer before", () => {
    expect(repetition([[1, 2, 3, 4, 5, 6, 7]])).toBe(0);
    // 1234 2341 3412 4123 1234: one of five again.
    expect(repetition([[1, 2, 3, 4, 1, 2, 3, 4]])).toBe(0.2);
    expect(repetition([[7, 7, 7, 7, 7, 7]])).toBeCloseTo(2 / 3, 12);
  });

  it("is of all answers' 4-grams together; an answer does not repeat another", () => {
    expect(
      repetition([
        [1, 2, 3, 4],
        [1, 2, 3, 4],
        [7, 7, 7, 7, 7],
      ]),
    ).toBe(0.25);
    expect(repetition([[], [1, 2, 3]])).toBe(0);
  });
});
