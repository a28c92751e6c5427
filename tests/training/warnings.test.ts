/** What a run warns of: each warning at its threshold and not below it, once, and all of them in docs/diagnostics.md. */

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { methods, resolveConfig } from "../../src/training/methods.ts";
import type { Metrics } from "../../src/training/observer.ts";
import { History, WINDOW } from "../../src/training/watch/history.ts";
import { type RunView, rules, warningsOf } from "../../src/training/watch/warnings.ts";
import { tinyPairs } from "../support/tiny-model.ts";

const config = (changes: object = {}) =>
  resolveConfig(methods.dpo!, { model: "m", data: "d", output: "o", ...changes });

/** A healthy run after its last step, but for what is changed. */
function view(lines: readonly object[], changes: Partial<RunView> = {}): RunView {
  const history = new History();
  for (const line of lines) history.add({ step: 1, ...line } as Metrics);
  return {
    config: config(),
    parameters: 1e8,
    train: tinyPairs(10),
    heldOut: 100,
    conflicts: undefined,
    labels: undefined,
    history,
    steps: 200,
    step: 200,
    ...changes,
  };
}

const namesOf = (when: "start" | "running", one: RunView) => warningsOf(when, one, new Set()).map(({ name }) => name);
const start = (changes: Partial<RunView>) => namesOf("start", view([], changes));
const running = (lines: readonly object[], changes?: Partial<RunView>) => namesOf("running", view(lines, changes));
const steps = (line: object, count = WINDOW) => Array.from({ length: count }, () => line);

describe("before the first step", () => {
  it("nothing is warned of by default", () => {
    expect(start({})).toEqual([]);
    expect(start({ config: config({ tuning: "full" }) })).toEqual([]);
  });

  it("conflicting-pairs: a hundredth of the pairs, named", () => {
    const origin = (line: number) => ({ file: "pairs.jsonl", line });
    const conflicts = { pairs: 2, first: [[origin(3), origin(8)] as const] };
    const [warning] = warningsOf("start", view([], { conflicts }), new Set());
    expect(warning).toEqual({
      step: 200,
      name: "conflicting-pairs",
      found:
        "20.0 % of the training pairs are also there with chosen and rejected exchanged (pairs.jsonl line 3 and pairs.jsonl line 8)",
      advice: expect.stringMatching(/^Remove .*\.$/),
    });
    expect(start({ conflicts, train: tinyPairs(200) })).toEqual(["conflicting-pairs"]);
    expect(start({ conflicts, train: tinyPairs(201) })).toEqual([]);
  });

  it("unbalanced-labels: outside of 1 to 4/3 by number and weight, under KTO", () => {
    const kto = (weights: object) => resolveConfig(methods.kto!, { model: "m", data: "d", output: "o", ...weights });
    const labels = { desirable: 100, undesirable: 400 };
    const [warning] = warningsOf("start", view([], { labels, config: kto({}) }), new Set());
    expect(warning?.name).toBe("unbalanced-labels");
    expect(warning?.found).toBe(
      "desirable completions count 0.25 times as much as undesirable ones: there are 100 and 400, with weights of 1 and 1",
    );
    expect(start({ labels, config: kto({ desirableWeight: 4 }) })).toEqual([]);
    expect(start({ labels, config: kto({ desirableWeight: 5.33 }) })).toEqual([]);
    expect(start({ labels, config: kto({ desirableWeight: 5.5 }) })).toEqual(["unbalanced-labels"]);
    expect(start({ labels: { desirable: 9, undesirable: 9 }, config: kto({}) })).toEqual([]);
    expect(start({ labels: undefined, config: kto({}) })).toEqual([]);
  });

  it("learning-rate-high: ten times the default of the kind of tuning, in a large model", () => {
    const at = (learningRate: number, tuning: "lora" | "full") => config({ learningRate, tuning });
    expect(start({ config: at(1.1e-5, "full") })).toEqual(["learning-rate-high"]);
    expect(start({ config: at(1e-5, "full") })).toEqual([]);
    expect(start({ config: at(1e-3, "lora") })).toEqual(["learning-rate-high"]);
    expect(start({ config: at(4e-4, "full"), parameters: 1e6 })).toEqual([]);
  });

  it("learning-rate-low: an adapter at a full-tuning rate", () => {
    expect(start({ config: config({ learningRate: 5e-7 }) })).toEqual(["learning-rate-low"]);
    expect(start({ config: config({ learningRate: 2e-6 }) })).toEqual([]);
    expect(start({ config: config({ learningRate: 5e-7, tuning: "full" }) })).toEqual([]);
  });
});

describe("as the run goes on", () => {
  it("loss-stuck: where it began, after 100 steps or at the end of 50", () => {
    const stuck = steps({ loss: Math.LN2 });
    expect(running(stuck)).toEqual(["loss-stuck"]);
    expect(running(stuck, { step: 99 })).toEqual([]);
    expect(running(stuck, { step: 60, steps: 60 })).toEqual(["loss-stuck"]);
    expect(running(stuck, { step: 40, steps: 40 })).toEqual([]);
    expect(running([{ loss: Math.LN2 }, ...steps({ loss: 0.69 })])).toEqual([]);
    // A thousandth of the first loss is the least that it has to move, whatever the size of that.
    expect(running([{ loss: 0.5 }, ...steps({ loss: 0.4996 })])).toEqual(["loss-stuck"]);
    expect(running([{ loss: 0.5 }, ...steps({ loss: 0.4994 })])).toEqual([]);
    expect(running([{ loss: 2 }, ...steps({ loss: 1.9981 })])).toEqual(["loss-stuck"]);
    // A beta of 0.001: chosen and rejected are a nat apart, and the loss knows of a thousandth of it.
    const apart = { loss: 0.6928, "drift/chosen": 0.6, "drift/rejected": -0.4 };
    expect(running([{ loss: Math.LN2 }, ...steps(apart)])).toEqual([]);
    expect(running([{ loss: Math.LN2 }, ...steps({ ...apart, "drift/rejected": 0.55 })])).toEqual(["loss-stuck"]);
  });

  it("nothing-left-to-learn: every pair right and hardly a loss, over a whole window", () => {
    const done = { loss: 0.001, "rewards/accuracies": 1 };
    const first = { loss: Math.LN2, "rewards/accuracies": 0.5 };
    expect(running([first, ...steps(done)])).toEqual(["nothing-left-to-learn"]);
    expect(running([first, ...steps(done, WINDOW - 1)])).toEqual([]);
    expect(running([first, ...steps({ ...done, loss: 0.02 })])).toEqual([]);
    expect(running([first, ...steps({ ...done, loss: -0.01 })])).toEqual([]); // The robust loss, at a margin of 0.6.
  });

  it("ranks-backwards: chosen below rejected, over a whole window", () => {
    const backwards = { loss: 0.69, "rewards/accuracies": 0.2, "drift/chosen": -0.1, "drift/rejected": 0.15 };
    const [warning] = warningsOf("running", view(steps(backwards), { step: 30 }), new Set());
    expect(warning?.name).toBe("ranks-backwards");
    expect(warning?.found).toBe(
      "20.0 % of the last 20 steps' pairs are ranked right: chosen completions are 0.25 nats further below the reference than rejected ones",
    );
    const at = (changes: object, count?: number) => running(steps({ ...backwards, ...changes }, count), { step: 30 });
    expect(at({}, WINDOW - 1)).toEqual([]);
    expect(at({ "rewards/accuracies": 0.45 })).toEqual([]);
    expect(at({ "drift/rejected": -0.05 })).toEqual([]);
    expect(running(steps({ loss: 0.69, "rewards/accuracies": 0.2 }), { step: 30 })).toEqual([]); // Without a reference.
  });

  it("beyond-max-kl: the user's own leash", () => {
    const evaluation = { eval_kl: 6 };
    expect(running([evaluation])).toEqual([]);
    expect(running([evaluation], { config: config({ maxKl: 7 }) })).toEqual([]);
    const warnings = warningsOf("running", view([evaluation], { config: config({ maxKl: 5 }) }), new Set());
    expect(warnings[0]?.found).toBe("KL to the reference is 6.00 nats on held-out rows, above --max-kl 5");
  });

  it("likelihood-displacement: chosen down by 0.2 nats a token, with rejected", () => {
    const at = (chosen: number, rejected: number) => ({
      "eval_logps/chosen": chosen,
      "eval_logps/rejected": rejected,
      "eval_lengths/chosen": 10,
      "eval_lengths/rejected": 20,
    });
    const [warning] = warningsOf("running", view([at(-20, -40), at(-23, -60)]), new Set());
    expect(warning?.name).toBe("likelihood-displacement");
    expect(warning?.found).toMatch(/: -0\.30 and -1\.00 nats a token since the start$/);
    expect(running([at(-20, -40), at(-21.9, -60)])).toEqual([]);
    expect(running([at(-20, -40), at(-23, -39)])).toEqual([]);
  });

  it("likelihood-displacement: of labelled completions, whose lengths are known together", () => {
    const at = (chosen: number) => ({
      "eval_logps/chosen": chosen,
      "eval_logps/rejected": 2 * chosen,
      "eval_lengths/completion": 10,
    });
    expect(running([at(-20)])).toEqual([]);
    expect(running([at(-20), at(-23)])).toEqual(["likelihood-displacement"]);
  });

  it("likelihood-displacement: told by the training rows where none are held out", () => {
    const line = { loss: 0.5, "lengths/chosen": 10, "lengths/rejected": 10, "drift/rejected": -9 };
    expect(running([{ ...line, "drift/chosen": -3 }], { step: 9 })).toEqual(["likelihood-displacement"]);
    expect(running([{ ...line, "drift/chosen": -1 }], { step: 9 })).toEqual([]);
    expect(running([{ loss: 0.5 }], { step: 9 })).toEqual([]);
  });

  it("length-bias: a correlation of 0.7 among 50 pairs, either way", () => {
    expect(running([{ eval_length_correlation: 0.75 }])).toEqual(["length-bias"]);
    expect(running([{ eval_length_correlation: -0.75 }])).toEqual(["length-bias"]);
    expect(running([{ eval_length_correlation: 0.65 }])).toEqual([]);
    expect(running([{ eval_length_correlation: 0.7 }], { heldOut: 50 })).toEqual(["length-bias"]);
    expect(running([{ eval_length_correlation: 0.75 }], { heldOut: 49 })).toEqual([]);
  });

  it("overfitting: a gap of a tenth that chance does not make", () => {
    const gap = (accuracies: number) => [
      { loss: 0.7 },
      ...steps({ loss: 0.6 }),
      { "eval_gap/accuracies": accuracies, "eval_rewards/accuracies": 0.6 },
    ];
    expect(running(gap(0.3))).toEqual(["overfitting"]);
    expect(running(gap(0.09))).toEqual([]);
    expect(running(gap(0.11))).toEqual([]); // 0.063 is one standard error.
    const many = { heldOut: 3000, config: config({ batchSize: 100 }), train: tinyPairs(100) };
    expect(running(gap(0.11), many)).toEqual(["overfitting"]);
    expect(running(gap(0.11), { ...many, train: tinyPairs(5) })).toEqual([]); // A step has 5 pairs, then.
  });

  it("held-out-differs: such a gap in the first epoch, whose rows were not seen before either", () => {
    const gap = [...steps({ loss: 0.6 }), { "eval_gap/accuracies": 0.5, "eval_rewards/accuracies": 0.1 }];
    const epoch = { train: tinyPairs(80) }; // Of 10 steps.
    const [warning] = warningsOf("running", view(gap, { ...epoch, step: 10 }), new Set());
    expect(warning?.name).toBe("held-out-differs");
    expect(warning?.found).toBe("accuracy is 60.0 % on training rows and 10.0 % on held-out ones");
    expect(running(gap, { ...epoch, step: 11 })).toEqual(["overfitting"]);
  });

  it("worse-than-start: held-out loss a tenth above the first", () => {
    const losses = (last: number) => [{ eval_loss: 0.7 }, { eval_loss: 0.5 }, { eval_loss: last }];
    expect(running(losses(0.78))).toEqual(["worse-than-start"]);
    expect(running(losses(0.76))).toEqual([]);
    expect(running(losses(0.78), { heldOut: 50 })).toEqual(["worse-than-start"]);
    expect(running(losses(0.78), { heldOut: 49 })).toEqual([]);
    const below0 = (last: number) => running([{ eval_loss: -1 }, { eval_loss: last }]);
    expect([below0(-0.95), below0(-0.85)]).toEqual([[], ["worse-than-start"]]);
  });

  it("repetitive-samples: 0.3 of the 4-grams, and 0.2 more than before", () => {
    const at = (first: number, last: number) => [first, last].map((share) => ({ "eval_samples/repetition": share }));
    const sampled = { config: config({ klSamples: 8 }) };
    expect(running(at(0.05, 0.35), sampled)).toEqual(["repetitive-samples"]);
    expect(running(at(0, 0.3), sampled)).toEqual(["repetitive-samples"]);
    expect(running(at(0.05, 0.25), sampled)).toEqual([]);
    expect(running(at(0.25, 0.5), sampled)).toEqual(["repetitive-samples"]);
    expect(running(at(0.3, 0.45), sampled)).toEqual([]);
    expect(running(at(0.05, 0.35), { config: config({ klSamples: 7 }) })).toEqual([]);
  });

  it("answers-do-not-end: fewer than before by more than chance", () => {
    const at = (first: number, last: number) => [first, last].map((share) => ({ "eval_samples/ended": share }));
    const sampled = (klSamples: number) => ({ config: config({ klSamples }) });
    expect(running(at(0.9, 0.2), sampled(16))).toEqual(["answers-do-not-end"]);
    expect(running(at(0.9, 0.4), sampled(16))).toEqual(["answers-do-not-end"]); // 3.5 standard errors.
    expect(running(at(0.9, 0.65), sampled(64))).toEqual([]);
    expect(running(at(0.75, 0.4), sampled(8))).toEqual([]);
    expect(running(at(0.2, 0.9), sampled(16))).toEqual([]);
  });

  it("choices-settled: certain of nine choices in ten, in the mean of the first 3 to 10 steps", () => {
    const given = (undecided: readonly number[], step = undecided.length) =>
      running(
        undecided.map((value) => ({ loss: 0.5, "choices/undecided": value })),
        { step },
      );
    expect(given([0.3, 0, 0.29])).toEqual([]);
    expect(given([0.31, 0, 0])).toEqual([]);
    expect(given([0.29, 0, 0])).toEqual(["choices-settled"]);
    expect(given([0, 0])).toEqual([]);
    expect(given(new Array(WINDOW).fill(0))).toEqual(["choices-settled"]);
    expect(given(new Array(WINDOW).fill(0), WINDOW + 1)).toEqual([]);
  });
});

describe("a warning", () => {
  it("is given once", () => {
    const stuck = view(steps({ loss: Math.LN2 }));
    expect(warningsOf("running", stuck, new Set(["loss-stuck"]))).toEqual([]);
  });

  it("has a name of its own, a threshold, a reason, and advice in whole sentences", () => {
    expect(new Set(rules.map(({ name }) => name)).size).toBe(rules.length);
    for (const { name, threshold, reason, advice } of rules) {
      expect(name).toMatch(/^[a-z]+(-[a-z]+)*$/);
      expect([threshold, reason].every((text) => /[^.]$/.test(text))).toBe(true);
      expect(advice).toMatch(/^[A-Z].*\.$/);
    }
  });

  it("stands in docs/diagnostics.md as it is here", () => {
    const docs = readFileSync(new URL("../../docs/diagnostics.md", import.meta.url), "utf8");
    for (const { name, threshold, reason, advice } of rules) {
      expect(docs).toContain(`| \`${name}\` | ${threshold} | ${reason} | ${advice} |`);
    }
  });
});
