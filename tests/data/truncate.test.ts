import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RowProblem } from "../../src/data/problem.ts";
import { type LengthLimits, type Lengthy, limitsOf, limitsWithin, shorten, tooLong } from "../../src/data/truncate.ts";

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

describe("the least that a prompt is cut to", () => {
  test.each([
    [2048, 512],
    [1024, 512],
    [512, 256],
    [25, 12],
    [2, 1],
  ])("of --max-length %i is %i where nothing is said: half, at most 512", (maxLength, least) => {
    expect(limitsOf({ maxLength })).toEqual(limits(maxLength, least));
    expect(limitsOf(limitsOf({ maxLength }))).toEqual(limitsOf({ maxLength }));
  });

  test("stays as it is given, as long as a completion has a token", () => {
    expect(limitsOf(limits(2048, 1500))).toEqual(limits(2048, 1500));
    expect(limitsOf(limits(512, 511))).toEqual(limits(512, 511));
    expect(() => limitsOf(limits(512, 512))).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: --max-prompt-length 512 leaves a completion nothing of --max-length 512. Give less, or leave it out for half of --max-length.]`,
    );
  });

  test.each([1, 2.5, Number.NaN])("is not told of --max-length %d, which leaves no room for both", (maxLength) => {
    expect(() => limitsOf({ maxLength })).toThrow(
      `--max-length ${maxLength} must be a whole number of at least 2 tokens: one of the prompt, one to score.`,
    );
  });

  test.each([0, 1.5, Number.NaN])("can't be %d", (maxPromptLength) => {
    expect(() => limitsOf(limits(512, maxPromptLength))).toThrow(
      `--max-prompt-length ${maxPromptLength} must be a whole number of at least 1 token.`,
    );
  });

  test("leaves completions half of what a model has where that is less than --max-length", () => {
    expect(limitsWithin(limits(1024, 512), 2048)).toEqual(limits(1024, 512));
    expect(limitsWithin(limits(1024, 512), 512)).toEqual(limits(512, 256));
    expect(limitsWithin(limits(1024, 100), 512)).toEqual(limits(512, 100));
  });

  test("is what it would be if the model's positions were given as --max-length", () => {
    const lengths = fc.integer({ min: 2, max: 3000 });
    fc.assert(
      fc.property(lengths, lengths, (maxLength, positions) => {
        expect(limitsWithin(limitsOf({ maxLength }), positions)).toEqual(
          limitsOf({ maxLength: Math.min(maxLength, positions) }),
        );
      }),
    );
  });
});

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
    least: fc.integer({ min: 1, max: 79 }),
    head: fc.nat(5),
    tail: fc.nat(5),
  });
  fc.assert(
    fc.property(lengths, ({ prompt: size, completions: sizes, maxLength, least, head, tail }) => {
      const maxPromptLength = Math.min(least, maxLength - 1);
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
      if (promptCut) expect(prompt.length).toBeGreaterThanOrEqual(maxPromptLength);
      // Completions are cut only once the prompt is as short as it may be.
      if (completionsCut) expect(prompt.length).toBeLessThanOrEqual(Math.max(maxPromptLength, head + tail + 1));
    }),
    { numRuns: 500 },
  );
});
