/** What a run checks of itself: that each check passes on what is right, and says what is wrong. */

import { describe, expect, it } from "vitest";
import { dpo } from "../../src/objectives/index.ts";
import { FlatArray } from "../../src/training/policy/flat.ts";
import type { CompletionScore, StepOutput } from "../../src/training/step/engine.ts";
import {
  checkFinite,
  checkFiniteNorm,
  checkFiniteWeights,
  checkGradientsReachAll,
  checkLossIsExact,
  checkPackingIsExact,
  checkStartsAtReference,
} from "../../src/training/watch/self-checks.ts";
import { tinyPairs } from "../support/tiny-model.ts";
import { engineOf, newPolicy } from "../support/trainers.ts";

const score = (logp: number): CompletionScore => ({ logp, tokens: Float32Array.of(logp) });
const output = (losses: readonly number[], ...logps: readonly number[]): StepOutput => ({
  losses,
  metrics: {},
  scores: logps.map(score),
});

describe("before the first step", () => {
  const start =
    (...found: Parameters<typeof output>) =>
    () =>
      checkStartsAtReference(output(...found), [score(-30), score(-35)]);
  const loss =
    (found: readonly number[], ...exact: readonly number[]) =>
    () =>
      checkLossIsExact(output(found), { losses: exact });

  it("the policy is the reference, to rounding", () => {
    expect(start([Math.LN2], -30, -35)).not.toThrow();
    expect(start([Math.LN2 + 1e-5], -30.001, -34.999)).not.toThrow();
  });

  it("it is not where a log-probability differs", () => {
    expect(start([Math.LN2], -30, -35.01)).toThrowErrorMatchingInlineSnapshot(
      `[TrainingError: Self-check failed: before the first step the policy must be the reference, but their log-probabilities of a completion are -35.01 and -35 nats. Please report this with the model's name.]`,
    );
    expect(start([Math.LN2], Number.NaN, -35)).toThrow("Self-check failed");
  });

  it("the loss is the objective's in double precision", () => {
    expect(loss([Math.LN2 + 1e-5, 25], Math.LN2, 25)).not.toThrow();
    expect(loss([0.72], Math.LN2)).toThrowErrorMatchingInlineSnapshot(
      `[TrainingError: Self-check failed: the first loss must be 0.693147, but it is 0.72. Please report this with the model's name.]`,
    );
    expect(loss([Math.LN2, 0.66], Math.LN2, Math.LN2)).toThrow("it is 0.66");
    expect(loss([Number.NaN], Math.LN2)).toThrow("it is NaN");
    expect(loss([0.7035], Math.LN2)).toThrow("it is 0.7035");
    expect(loss([26], 25)).toThrow("the first loss must be 25.000000");
  });

  it("the loss may be off by a hundredth of itself where it is large", () => {
    expect(loss([25.2, -25.2], 25, -25)).not.toThrow();
    expect(loss([-25.3], -25)).toThrow("the first loss must be -25.000000");
  });
});

describe("packing", () => {
  it("changes no log-probability", async () => {
    await using engine = await engineOf(newPolicy(), dpo({ beta: 0.1 }));
    const group = tinyPairs(3);
    const packed = await engine.step(group, new Array(6).fill(score(0)), 1);
    await checkPackingIsExact(engine, packed, group[0]!);
    const [first, second, ...others] = packed.scores;
    const wrong = { ...packed, scores: [first!, score(second!.logp + 0.01), ...others] };
    await expect(checkPackingIsExact(engine, wrong, group[0]!)).rejects.toThrow(
      /^Self-check failed: a completion scored alone has -[\d.]+ nats, packed with others -[\d.]+\. Please report/,
    );
  });
});

describe("the gradient", () => {
  const specs = ["q.lora_A", "q.lora_B", "v.lora_A", "v.lora_B"].map((name) => ({ name, shape: [2, 2] }));
  const flat = (values: Readonly<Record<string, number>>) => {
    const array = new FlatArray(specs);
    for (const [name, value] of Object.entries(values)) array.views.get(name)!.data[1] = value;
    return array;
  };

  it("reaches every trainable tensor", () => {
    const trainable = flat({ "q.lora_B": 0.1, "v.lora_B": 0.1 });
    const all = { "q.lora_A": 1, "q.lora_B": 1, "v.lora_A": 1, "v.lora_B": -1e-20 };
    expect(() => checkGradientsReachAll(flat(all), trainable)).not.toThrow();
    expect(() => checkGradientsReachAll(flat({ ...all, "v.lora_A": 0 }), trainable)).toThrowErrorMatchingInlineSnapshot(
      `[TrainingError: Self-check failed: no gradient reaches "v.lora_A", so it would not be trained.]`,
    );
    expect(() => checkGradientsReachAll(flat({ ...all, "q.lora_B": 0 }), trainable)).toThrow('"q.lora_B"');
  });

  it("does not reach A while B is zero, but B it does", () => {
    const fresh = flat({ "q.lora_A": 1, "v.lora_A": 1 });
    expect(() => checkGradientsReachAll(flat({ "q.lora_B": 1, "v.lora_B": 1 }), fresh)).not.toThrow();
    expect(() => checkGradientsReachAll(flat({ "q.lora_B": 1 }), fresh)).toThrow('"v.lora_B"');
  });
});

describe("a value that is not finite", () => {
  const rows = tinyPairs(3);

  it("stops the run, naming the rows that have it", () => {
    expect(() => checkFinite(output([0.1, 0.2, 0.3], -1), rows, 4)).not.toThrow();
    const bad = output([0.1, Number.NaN, Number.POSITIVE_INFINITY], -1);
    expect(() => checkFinite(bad, rows, 4)).toThrowErrorMatchingInlineSnapshot(
      `[TrainingError: Step 4: the loss is not finite at pairs.jsonl line 2, pairs.jsonl line 3. Checkpoints from before are good. Lower --learning-rate, or look at these rows.]`,
    );
  });

  it("is the model's own before the first step", () => {
    expect(() => checkFinite(output([Number.NaN], -1), rows, 0)).toThrowErrorMatchingInlineSnapshot(
      `[TrainingError: Before the first step the loss is not finite at pairs.jsonl line 1, pairs.jsonl line 2, pairs.jsonl line 3. The model's weights hold values that are not finite, or far out of range.]`,
    );
  });

  it("stops the run where it is in the gradient", () => {
    expect(() => checkFiniteNorm(1e30, rows, 4)).not.toThrow();
    expect(() => checkFiniteNorm(Number.NaN, rows.slice(0, 1), 4)).toThrowErrorMatchingInlineSnapshot(
      `[TrainingError: Step 4: the gradient is not finite at pairs.jsonl line 1. Checkpoints from before are good. Lower --learning-rate, or look at these rows.]`,
    );
  });

  it("is not saved where it is in the weights", () => {
    const trainable = new FlatArray([
      { name: "a", shape: [2] },
      { name: "b", shape: [2] },
    ]);
    trainable.data.set([3e38, -3e38, 0]);
    expect(() => checkFiniteWeights(trainable, 4)).not.toThrow();
    trainable.data[3] = Number.NEGATIVE_INFINITY;
    expect(() => checkFiniteWeights(trainable, 4)).toThrowErrorMatchingInlineSnapshot(
      `[TrainingError: Step 4 made values of "b" non-finite, so it was not saved; earlier checkpoints are good. Lower --learning-rate.]`,
    );
  });
});
