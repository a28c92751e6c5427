/** The reference's scores: computed once an example by its content, and the same when they come back from disk. */

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { beforeEach, describe, expect, it } from "vitest";
import type { TokenizedExample } from "../../src/data/example.ts";
import type { CompletionScore } from "../../src/training/step/engine.ts";
import { fingerprint, ReferenceScores } from "../../src/training/step/reference.ts";
import { scratchFolder } from "../support/scratch.ts";
import { tinyPairs, tinyWeights } from "../support/tiny-model.ts";

const file = scratchFolder().at("reference.jsonl");
beforeEach(() => rmSync(file, { force: true }));

/** Counts the runs of the model that stands behind a store; every run gives other values, as rounding may. */
function counting() {
  const runs: (readonly Pick<TokenizedExample, "prompt" | "completions">[])[] = [];
  const score = async (
    examples: readonly Pick<TokenizedExample, "prompt" | "completions">[],
  ): Promise<CompletionScore[]> => {
    runs.push(examples);
    return examples.flatMap(({ completions }) =>
      completions.map((ids) => {
        const tokens = Float32Array.from(ids, (id) => -Math.fround(Math.PI * (id + runs.length / 1000)));
        return { logp: tokens.reduce((a, b) => a + b, 0), tokens };
      }),
    );
  };
  return { runs, score };
}

const pairs = tinyPairs(4);

describe("in memory", () => {
  it("computes a group in one run, and none of it again", async () => {
    const { runs, score } = counting();
    const store = new ReferenceScores(score);
    const first = await store.of(pairs.slice(0, 3));
    expect(first).toHaveLength(6);
    expect(runs).toEqual([pairs.slice(0, 3)]);
    expect(await store.of([pairs[2]!, pairs[0]!])).toEqual([...first.slice(4), ...first.slice(0, 2)]);
    expect(runs).toHaveLength(1);
  });

  it("knows an example by its tokens, whatever row it comes from", async () => {
    const { runs, score } = counting();
    const store = new ReferenceScores(score);
    const [pair] = pairs;
    const first = await store.of([pair!]);
    const copy = {
      origin: { file: "other.jsonl", line: 99 },
      prompt: pair!.prompt.slice(),
      completions: pair!.completions.map((ids) => ids.slice()),
    };
    expect(await store.of([copy])).toEqual(first);
    expect(runs).toHaveLength(1);
  });

  it("takes the same tokens cut elsewhere for another example", async () => {
    const { runs, score } = counting();
    const store = new ReferenceScores(score);
    const cut = (prompt: number[], ...completions: number[][]) => ({
      origin: { file: "pairs.jsonl", line: 1 },
      prompt: Int32Array.from(prompt),
      completions: completions.map((ids) => Int32Array.from(ids)),
    });
    const variants = [
      cut([1, 2], [3], [4, 5]),
      cut([1], [2, 3], [4, 5]),
      cut([1, 2], [3, 4], [5]),
      cut([1, 2], [4, 5], [3]),
    ];
    for (const variant of variants) await store.of([variant]);
    expect(runs).toHaveLength(4);
  });

  it("keeps an example's first values, when a group with a new one is computed", async () => {
    const store = new ReferenceScores(counting().score);
    const first = await store.of([pairs[0]!]);
    const group = await store.of([pairs[0]!, pairs[1]!]);
    expect(group.slice(0, 2)).toEqual(first);
    expect(await store.of([pairs[1]!])).toEqual(group.slice(2));
  });
});

describe("on disk", () => {
  const open = (weights = "weights") => {
    const { runs, score } = counting();
    return { runs, store: new ReferenceScores(score, { file, fingerprint: () => weights }) };
  };

  it("gives a later process the very same values without a run", async () => {
    const first = await open().store.of(pairs);
    const { store, runs } = open();
    expect(await store.of(pairs.toReversed())).toEqual([
      ...first.slice(6),
      ...first.slice(4, 6),
      ...first.slice(2, 4),
      ...first.slice(0, 2),
    ]);
    expect(runs).toEqual([]);
  });

  it("is not of other weights", async () => {
    await open().store.of(pairs);
    const { store, runs } = open("other weights");
    await store.of(pairs);
    expect(runs).toHaveLength(1);
    // And the first weights' values are gone, rather than mixed with the others'.
    const back = open();
    await back.store.of(pairs);
    expect(back.runs).toHaveLength(1);
  });

  /** Where a killed process may have stopped writing. */
  const cuts: [string, (text: string) => string][] = [
    ["half a line", (text) => text.slice(0, -30)],
    ["a line without its end", (text) => text.slice(0, -1)],
    ["nothing but half of the first line", (text) => text.slice(0, 10)],
    ["the first line without its end", (text) => text.slice(0, text.indexOf("\n"))],
    ["nothing", () => ""],
  ];
  it.each(cuts)("does without what a killed process left unfinished: %s", async (_, cut) => {
    await open().store.of(pairs.slice(0, 1));
    await open().store.of(pairs.slice(0, 2));
    const whole = readFileSync(file, "utf8");
    const left = cut(whole);
    writeFileSync(file, left);
    const lost = left.split("\n").length - 1 < 2 ? 0 : 1; // Whether the first pair's line is there still.
    const { store, runs } = open();
    const again = await store.of(pairs.slice(0, 2));
    expect(runs).toHaveLength(1);
    const kept = open();
    expect(await kept.store.of(pairs.slice(0, 2))).toEqual(again);
    expect(kept.runs).toEqual([]);
    if (lost) expect(readFileSync(file, "utf8").split("\n").slice(0, 2)).toEqual(whole.split("\n").slice(0, 2));
  });
});

describe("a fingerprint of weights", () => {
  const changed = (change: (data: Float32Array) => void) => {
    const weights = tinyWeights();
    change(weights["model.layers.1.mlp.up_proj.weight"]!.data as Float32Array);
    return fingerprint(weights);
  };

  it("is the same for the same weights in any order, another after the smallest change", () => {
    const weights = tinyWeights();
    expect(fingerprint(Object.fromEntries(Object.entries(weights).toReversed()))).toBe(fingerprint(weights));
    expect(changed(() => {})).toBe(fingerprint(weights));
    expect(changed((data) => data.set([data[5]! + 1e-7], 5))).not.toBe(fingerprint(weights));
  });
});
