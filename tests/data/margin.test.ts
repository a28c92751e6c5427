import { describe, expect, it } from "vitest";
import type { MarginName } from "../../src/data/margin.ts";
import { examplesOf, origin, orReason } from "./shapes/rows.ts";

const pair = { prompt: "Q: ", chosen: "yes", rejected: "no" };

/** The values that the row carries, or the reason for which it is refused. */
function read(fields: Record<string, unknown>, margin: MarginName = "margin"): unknown {
  return orReason(() => examplesOf({ rows: "pairs", margin }, { ...pair, ...fields })[0]!.values);
}

describe("a pair's margin", () => {
  it("is the row's own, of either sign", () => {
    expect(read({ margin: 1.5 })).toEqual({ margin: 1.5 });
    expect(read({ margin: -2 })).toEqual({ margin: -2 });
    expect(read({ margin: 0 })).toEqual({ margin: 0 });
  });

  it("or the difference of two scores, under either pair of names", () => {
    expect(read({ chosen_score: 8.5, rejected_score: 6 })).toEqual({ margin: 2.5 });
    expect(read({ score_chosen: 3, score_rejected: 4 })).toEqual({ margin: -1 });
    expect(read({ margin: null, score_chosen: 3, score_rejected: 1 })).toEqual({ margin: 2 });
  });

  it("or the difference of the scores that made the pair of a ranking", () => {
    const row = { prompt: "Q", completions: ["A", "B", "C"], scores: [1, 4, 2] };
    const margins = (pairs: "best-worst" | "all") =>
      examplesOf({ rows: "pairs", margin: "margin" }, row, { pairs }).map(({ values }) => values!.margin);
    expect(margins("best-worst")).toEqual([3]);
    expect(margins("all")).toEqual([2, 3, 1]);
  });

  it("may be text, as in CSV", () => {
    expect(read({ margin: "1.5" })).toEqual({ margin: 1.5 });
  });

  it("comes before scores", () => {
    expect(read({ margin: 1, chosen_score: 8, rejected_score: 6 })).toEqual({ margin: 1 });
  });

  it("may be taken as its logarithm, where it has one", () => {
    expect(read({ margin: Math.E }, "logMargin")).toEqual({ logMargin: 1 });
    expect(read({ margin: 0 }, "logMargin")).toBe(
      "missing or wrong field: the margin 0 has no logarithm, which --offset-scale log takes of it: it must be above 0",
    );
    expect(read({ chosen_score: 1, rejected_score: 3 }, "logMargin")).toMatch(/the margin -2 has no logarithm/);
  });

  it("keeps the pair as it is", () => {
    const { prompt, completions } = examplesOf({ rows: "pairs", margin: "margin" }, { ...pair, margin: 1 })[0]!;
    expect([prompt, ...completions]).toEqual(["Q: ", "yes", "no"]);
  });
});

describe("a row is refused, naming the field,", () => {
  it("that has no margin", () => {
    expect(read({})).toBe(
      "missing or wrong field: the row has no `margin`, nor the scores `chosen_score` and `rejected_score`, which the objective reads",
    );
  });

  it("that has one score of two", () => {
    expect(read({ chosen_score: 3 })).toBe(
      "missing or wrong field: the field `rejected_score` is missing (the row has only prompt, chosen, rejected, chosen_score)",
    );
    expect(read({ score_rejected: 3 })).toMatch(/the field `score_chosen` is missing/);
  });

  it.each([["high"], [""], [true], [[1]], [{ value: 1 }]])("whose margin is %j", (margin) => {
    expect(read({ margin })).toMatch(/^missing or wrong field: the field `margin` is not a number: /);
  });

  it("and only where an objective reads it", () => {
    expect(examplesOf("pairs", { ...pair, margin: "high" })).toEqual([
      { origin, prompt: "Q: ", completions: ["yes", "no"] },
    ]);
  });
});
