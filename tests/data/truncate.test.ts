import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RowProblem } from "../../src/data/problem.ts";
import { type LengthLimits, type Lengthy, shorten, tooLong } from "../../src/data/truncate.ts";

/** Prompt tokens are 0, 1, 2, ...; completion tokens 1000, 1001, ..., so that every cut can be seen. */
function example(prompt: number, completions: readonly number[], head = 0, tail = 0): Lengthy {
  const count = (n: number, from: number) => Int32Array.from({ length: n }, (_, i) => from + i);
  return {
    prompt: count(prompt, 0),
    completions: completions.map((n) => count(n, 1000)),
    fixed: () => ({ head, tail }),
  };
}

const limits = (maxLength: number, maxPromptLength: number): LengthLimits => ({ maxLength, maxPromptLength });

function cut(lengthy: Lengthy, limit: LengthLimits) {
  const { prompt, completions, ...flags } = shorten(lengthy, limit);
  return { prompt: [...prompt], completions: completions.map((ids) => [...ids]), ...flags };
}

describe("a pair that is too long", () => {
  test("within the limit is untouched, however long its prompt", () => {
    const pair = example(9, [1, 1]);
    expect(shorten(pair, limits(10, 2))).toEqual({
      prompt: pair.prompt,
      completions: pair.completions,
      promptCut: false,
      completionsCut: false,
    });
    expect(tooLong(pair, limits(10, 2))).toBeUndefined();
  });

  test("first has its prompt cut from the left, by no more than needed", () => {
    expect(cut(example(8, [3, 4]), limits(10, 2))).toEqual({
      prompt: [2, 3, 4, 5, 6, 7],
      completions: [
        [1000, 1001, 1002],
        [1000, 1001, 1002, 1003],
      ],
      promptCut: true,
      completionsCut: false,
    });
  });

  test("then has its completions cut from the right, the prompt kept at its least length", () => {
    expect(cut(example(8, [1, 9]), limits(7, 4))).toEqual({
      prompt: [4, 5, 6, 7],
      completions: [[1000], [1000, 1001, 1002]],
      promptCut: true,
      completionsCut: true,
    });
  });

  test("keeps a prompt that is shorter than the least length whole", () => {
    expect(cut(example(3, [9, 2]), limits(7, 5))).toEqual({
      prompt: [0, 1, 2],
      completions: [
        [1000, 1001, 1002, 1003],
        [1000, 1001],
      ],
      promptCut: false,
      completionsCut: true,
    });
  });

  test("keeps BOS and system turn", () => {
    expect(cut(example(9, [2, 2], 2), limits(7, 2)).prompt).toEqual([0, 1, 6, 7, 8]);
  });

  test("keeps BOS and system turn with the generation prompt even where they are longer than the least length", () => {
    expect(cut(example(9, [6, 5], 2, 3), limits(10, 2))).toMatchObject({
      prompt: [0, 1, 5, 6, 7, 8],
      completions: [
        [1000, 1001, 1002, 1003],
        [1000, 1001, 1002, 1003],
      ],
    });
  });

  test("is refused where these leave no room for a completion", () => {
    expect(() => shorten(example(9, [6, 5], 3, 2), limits(6, 2))).toThrow(RowProblem);
    expect(() => shorten(example(9, [6, 5], 3, 2), limits(6, 2))).toThrowErrorMatchingInlineSnapshot(
      `[RowProblem: the prompt can't be cut below 6 tokens (its system turn and generation prompt stay), which leaves no room for a completion within 6]`,
    );
  });

  test("keeps a token to score where the least prompt length would leave none", () => {
    expect(cut(example(9, [6, 5]), limits(4, 8))).toMatchObject({ prompt: [6, 7, 8], completions: [[1000], [1000]] });
  });

  test("is named by what is too long", () => {
    expect(tooLong(example(9, [2, 3]), limits(10, 5))).toMatchObject({ reason: "prompt too long" });
    expect(tooLong(example(5, [2, 6]), limits(10, 5))).toMatchObject({ reason: "completion too long" });
    expect(tooLong(example(9, [2, 3]), limits(10, 5))!.message).toMatchInlineSnapshot(
      `"the prompt is too long: prompt 9, longest completion 3, together 12 of at most 10 tokens"`,
    );
  });
});

test("whatever the lengths: the limit holds, no completion is emptied, nothing is cut that need not be", () => {
  const lengths = fc.record({
    prompt: fc.integer({ min: 1, max: 60 }),
    completions: fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 4 }),
    maxLength: fc.integer({ min: 2, max: 80 }),
    maxPromptLength: fc.integer({ min: 1, max: 80 }),
    head: fc.nat(5),
    tail: fc.nat(5),
  });
  fc.assert(
    fc.property(lengths, ({ prompt: size, completions: sizes, maxLength, maxPromptLength, head, tail }) => {
      fc.pre(head + tail <= size);
      const before = example(size, sizes, head, tail);
      const limit = limits(maxLength, maxPromptLength);
      const longest = Math.max(...sizes);
      if (head + tail + 1 >= maxLength) return;
      const { prompt, completions, promptCut, completionsCut } = shorten(before, limit);

      expect(prompt.length + Math.max(...completions.map((ids) => ids.length))).toBeLessThanOrEqual(maxLength);
      expect([...prompt.subarray(0, head)]).toEqual([...before.prompt.subarray(0, head)]);
      expect([...prompt.subarray(head)]).toEqual([...before.prompt.subarray(size - (prompt.length - head))]);
      for (const [i, ids] of completions.entries()) {
        expect(ids.length).toBeGreaterThan(0);
        expect([...ids]).toEqual([...before.completions[i]!.subarray(0, ids.length)]);
        if (ids.length < sizes[i]!) expect(prompt.length + ids.length).toBe(maxLength);
      }
      expect(promptCut).toBe(prompt.length < size);
      expect(completionsCut).toBe(completions.some((ids, i) => ids.length < sizes[i]!));
      if (size + longest <= maxLength) expect(promptCut || completionsCut).toBe(false);
      if (promptCut) expect(prompt.length).toBeGreaterThanOrEqual(Math.min(maxPromptLength, maxLength - 1));
      // Completions are cut only once the prompt is as short as it may be.
      if (completionsCut) expect(prompt.length).toBeLessThanOrEqual(Math.max(maxPromptLength, head + tail + 1));
    }),
    { numRuns: 500 },
  );
});
