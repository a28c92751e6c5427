import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { assistant, examplesOf, origin, orReason, user } from "./rows.ts";

/** [prompt, completions, ranks], or the reason for which the row is refused. */
function read(row: unknown): unknown[] | string {
  return orReason(() => {
    const [example] = examplesOf("ranked", row);
    expect(example!.origin).toBe(origin);
    return [example!.prompt, example!.completions, example!.values?.rank];
  });
}

describe("a ranking", () => {
  test("of completions, best first", () => {
    expect(read({ prompt: "Q", ranked: ["A", "B", "C"] })).toEqual(["Q", ["A", "B", "C"], [1, 2, 3]]);
  });

  test("by scores, where more is better and equal ones are ties", () => {
    const expected = ["Q", ["B", "C", "D", "A"], [1, 2, 2, 3]];
    expect(read({ prompt: "Q", completions: ["A", "B", "C", "D"], scores: [-1, 9.5, 2, 2] })).toEqual(expected);
    expect(read({ prompt: "Q", responses: ["A", "B", "C", "D"], scores: [-1, 9.5, 2, 2] })).toEqual(expected);
  });

  test("by ranks, where less is better and equal ones are ties", () => {
    expect(read({ prompt: "Q", completions: ["A", "B", "C"], ranks: [7, 1, 1] })).toEqual([
      "Q",
      ["B", "C", "A"],
      [1, 1, 2],
    ]);
  });

  test("that a preference pair is", () => {
    expect(read({ prompt: "Q", chosen: "A", rejected: "B" })).toEqual(["Q", ["A", "B"], [1, 2]]);
    expect(read({ prompt: "Q", chosen: "A", rejected: "A" })).toMatch(/^identical completions/);
  });

  test("of messages, in any mixture with the prompt's form", () => {
    const expected = [[user("Q")], [[assistant("A")], [assistant("B")]], [1, 2]];
    expect(read({ prompt: [user("Q")], ranked: [[assistant("A")], [assistant("B")]] })).toEqual(expected);
    expect(read({ prompt: [user("Q")], ranked: ["A", [assistant("B")]] })).toEqual(expected);
    expect(read({ prompt: "Q", ranked: [[assistant("A")], [assistant("B")]] })).toEqual(expected);
  });

  test("keeps every completion with its own place, whatever the order in the row", () => {
    const scores = fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 2, maxLength: 8 });
    fc.assert(
      fc.property(scores, (given) => {
        fc.pre(new Set(given).size > 1);
        const row = { prompt: "Q", completions: given.map((score, i) => `${i}:${score}`), scores: given };
        const { completions, values } = examplesOf("ranked", row)[0]!;
        const ranks = values!.rank as number[];
        const scoreAt = (i: number) => Number((completions[i] as string).split(":")[1]);
        expect(completions.toSorted()).toEqual(row.completions.toSorted());
        expect(ranks[0]).toBe(1);
        for (let i = 1; i < given.length; i++) {
          expect(ranks[i]! - ranks[i - 1]!).toBe(scoreAt(i) < scoreAt(i - 1) ? 1 : 0);
          expect(scoreAt(i)).toBeLessThanOrEqual(scoreAt(i - 1));
        }
      }),
    );
  });
});

describe("a row that prefers nothing can't be used", () => {
  test.each([
    [{ prompt: "Q", ranked: [] }, "there are not two completions to compare"],
    [{ prompt: "Q", ranked: ["A"] }, "there are not two completions to compare"],
    [{ prompt: "Q", completions: ["A", "B"], scores: [3, 3] }, "all completions are tied"],
  ])("%j", (row, message) => {
    expect(read(row)).toBe(`no preference: ${message}`);
  });

  test("nor one with an empty completion", () => {
    expect(read({ prompt: "Q", ranked: ["A", ""] })).toBe("empty completion: `ranked[1]` is empty");
  });
});

describe("a row that can't be read says which field and what is there", () => {
  const ab = { prompt: "Q", completions: ["A", "B"] };
  test.each([
    [{ prompt: "Q" }, "the field `ranked` is missing (the row has only prompt)"],
    [{ ranked: ["A", "B"] }, "the field `prompt` is missing (the row has only ranked)"],
    [{ prompt: "Q", ranked: "A" }, "the field `ranked` is a string, not a list of completions: A"],
    [{ prompt: "Q", ranked: ["A", 7] }, "the field `ranked[1]` is a number, not a string or a list of messages: 7"],
    [
      { prompt: "Q", ranked: [[assistant("A")], "B"] },
      "the field `ranked[1]` is a string and another completion a list of messages: give all in one form",
    ],
    [ab, "the field `completions` has no order: give `scores` (more is better), `ranks` (less is better), or `ranked`"],
    [{ ...ab, scores: [1, 2], ranks: [2, 1] }, "the field `ranks` stands beside `scores`: give one of them"],
    [{ ...ab, scores: 1 }, "the field `scores` is a number, not a list of numbers: 1"],
    [{ ...ab, scores: [1] }, "the field `scores` has 1 numbers for 2 completions: give one for each"],
    [{ ...ab, ranks: [1, "best"] }, "the field `ranks[1]` is not a number: best"],
    [{ ...ab, ranks: [1, null] }, "the field `ranks[1]` is not a number: null"],
  ])("%j", (row, message) => {
    expect(read(row)).toBe(`missing or wrong field: ${message}`);
  });
});
