/** The layout of micro-batches, held to its definition token by token, and the plan of which examples share one. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { packExamples, packedLength, planMicroBatches, scoredLengths } from "../../src/data/microbatch.ts";

const ids = (minLength: number, maxLength: number) =>
  fc.array(fc.nat({ max: 99 }), { minLength, maxLength }).map((values) => Int32Array.from(values));
const example = fc.record({
  prompt: ids(1, 6),
  completions: fc.array(ids(1, 5), { minLength: 1, maxLength: 3 }),
});
const plain = fc.array(example, { minLength: 1, maxLength: 4 });
/** Completions some of whose tokens are only context. */
const masked = plain.chain((group) =>
  fc.tuple(
    ...group.map((one) =>
      fc
        .tuple(...one.completions.map(({ length }) => fc.uint8Array({ max: 1, minLength: length, maxLength: length })))
        .map((scored) => ({ ...one, scored })),
    ),
  ),
);
const examples = fc.oneof(plain, masked);

type Example = (typeof example extends fc.Arbitrary<infer T> ? T : never) & { readonly scored?: readonly Uint8Array[] };

/** What each token of a micro-batch is, in order. */
interface Place {
  readonly token: number;
  readonly example: number;
  /** Undefined for a prompt's token. */
  readonly completion: number | undefined;
  /** Its place in its prompt followed by its completion. */
  readonly position: number;
  readonly scored: boolean;
}

function layout(group: readonly Example[]): Place[] {
  return group.flatMap(({ prompt, completions, scored }, e) => [
    ...Array.from(prompt, (token, position) => ({ token, example: e, completion: undefined, position, scored: false })),
    ...completions.flatMap((completion, c) =>
      Array.from(completion, (token, i) => {
        const isScored = scored === undefined || scored[c]![i] === 1;
        return { token, example: e, completion: c, position: prompt.length + i, scored: isScored };
      }),
    ),
  ]);
}

const eachGroup = (check: (group: Example[], places: Place[]) => void) =>
  fc.assert(fc.property(examples, (group) => check(group, layout(group))));

describe("a micro-batch", () => {
  it("is the picture in its description", () => {
    const batch = packExamples([
      { prompt: Int32Array.of(10, 11, 12), completions: [Int32Array.of(20, 21), Int32Array.of(30, 31, 32)] },
    ]);
    const numbers = (values: BigInt64Array) => Array.from(values, Number);
    expect(numbers(batch.tokens)).toEqual([10, 11, 12, 20, 21, 30, 31, 32]);
    expect(numbers(batch.positions)).toEqual([0, 1, 2, 3, 4, 3, 4, 5]);
    expect(numbers(batch.rows)).toEqual([2, 3, 2, 5, 6]);
    expect(numbers(batch.targets)).toEqual([20, 21, 30, 31, 32]);
    expect(Array.from(batch.membership)).toEqual([1, 1, 0, 0, 0, 0, 0, 1, 1, 1]);
    expect(Array.from(batch.lengths)).toEqual([2, 3]);
    const seen = Array.from({ length: 8 }, (_, i) =>
      Array.from(batch.mask.subarray(8 * i, 8 * i + 8), (x) => (x === 0 ? "x" : ".")).join(""),
    );
    expect(seen).toEqual([
      "x.......",
      "xx......",
      "xxx.....",
      "xxxx....",
      "xxxxx...",
      "xxx..x..",
      "xxx..xx.",
      "xxx..xxx",
    ]);
  });

  it("holds every prompt once and every completion, without padding, its positions going on from the prompt", () => {
    eachGroup((group, places) => {
      const batch = packExamples(group);
      expect(Array.from(batch.tokens, Number)).toEqual(places.map(({ token }) => token));
      expect(Array.from(batch.positions, Number)).toEqual(places.map(({ position }) => position));
      expect(batch.tokens.length).toBe(group.reduce((n, one) => n + packedLength(one), 0));
    });
  });

  it("lets token i see token j iff j <= i in the same example, in the prompt or in i's own completion", () => {
    eachGroup((group, places) => {
      const { mask } = packExamples(group);
      const expected = places.flatMap((own, i) =>
        places.map(({ example, completion }, j) => {
          const related = example === own.example && (completion === undefined || completion === own.completion);
          return j <= i && related ? 0 : Number.NEGATIVE_INFINITY;
        }),
      );
      expect(Array.from(mask)).toEqual(expected);
    });
  });

  it("has a row for every scored token of a completion: the token before it in its own sequence, which predicts it", () => {
    eachGroup((group, places) => {
      const { rows, targets } = packExamples(group);
      const scored = places.filter((place) => place.scored);
      expect(Array.from(targets, Number)).toEqual(scored.map(({ token }) => token));
      Array.from(rows, Number).forEach((row, r) => {
        const [from, to] = [places[row]!, scored[r]!];
        expect(from.example).toBe(to.example);
        expect(from.position).toBe(to.position - 1);
        if (from.completion !== undefined) expect(from.completion).toBe(to.completion);
      });
    });
  });

  it("says for every row to which completion it belongs, and how many rows each has", () => {
    eachGroup((group, places) => {
      const { membership, lengths, rows } = packExamples(group);
      const completions = group.flatMap(({ completions: own }, e) => own.map((_, c) => ({ e, c })));
      const scored = places.filter((place) => place.scored);
      const expected = completions.flatMap(({ e, c }) =>
        scored.map(({ example, completion }) => Number(example === e && completion === c)),
      );
      expect(Array.from(membership)).toEqual(expected);
      expect(membership.length).toBe(lengths.length * rows.length);
      const count = (e: number, c: number) => scored.filter((at) => at.example === e && at.completion === c).length;
      expect(Array.from(lengths)).toEqual(completions.map(({ e, c }) => count(e, c)));
      expect(Array.from(lengths)).toEqual(group.flatMap(scoredLengths));
    });
  });

  it("needs a prompt: without one nothing predicts a completion's first token", () => {
    const empty = { prompt: new Int32Array(0), completions: [Int32Array.of(1)] };
    expect(() => packExamples([empty])).toThrow("a prompt without tokens can't predict a completion");
  });
});

describe("a plan of micro-batches", () => {
  const lengths = fc.array(fc.integer({ min: 1, max: 120 }), { maxLength: 40 });
  const total = (of: readonly number[], group: readonly number[]) => group.reduce((n, i) => n + of[i]!, 0);

  it("has every example once, and the same examples for the same lengths", () => {
    fc.assert(
      fc.property(lengths, fc.integer({ min: 1, max: 200 }), (of, budget) => {
        const plan = planMicroBatches(of, budget);
        expect(plan.flat().toSorted((a, b) => a - b)).toEqual(of.map((_, i) => i));
        expect(planMicroBatches(of, budget)).toEqual(plan);
        for (const group of plan) expect(group).toEqual(group.toSorted((a, b) => a - b));
      }),
    );
  });

  it("stays within the budget, but for an example that is longer by itself", () => {
    fc.assert(
      fc.property(lengths, fc.integer({ min: 1, max: 200 }), (of, budget) => {
        for (const group of planMicroBatches(of, budget)) {
          if (group.length > 1) expect(total(of, group)).toBeLessThanOrEqual(budget);
        }
      }),
    );
  });

  it("wastes less than half: no two micro-batches would fit into one", () => {
    fc.assert(
      fc.property(lengths, fc.integer({ min: 1, max: 200 }), (of, budget) => {
        const totals = planMicroBatches(of, budget).map((group) => total(of, group));
        const [least, next] = totals.toSorted((a, b) => a - b);
        if (next !== undefined) expect(least! + next).toBeGreaterThan(budget);
      }),
    );
  });

  it("fills up with short examples what long ones leave", () => {
    expect(planMicroBatches([30, 100, 60, 70, 40], 100)).toEqual([[1], [0, 3], [2, 4]]);
  });

  it("starts with the longest example", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 120 }), { minLength: 1, maxLength: 40 }), (of) => {
        const [first] = planMicroBatches(of, 100);
        expect(first!.map((i) => of[i])).toContain(Math.max(...of));
      }),
    );
  });
});
