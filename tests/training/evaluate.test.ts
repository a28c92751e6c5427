/** Evaluation on held-out pairs: averages over examples, under the trainer's names with `eval_` before them. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { TokenizedExample } from "../../src/data/example.ts";
import { packedLength, planMicroBatches } from "../../src/data/microbatch.ts";
import { dpo } from "../../src/objectives/index.ts";
import { interpreter } from "../../src/runtime/interpreter.ts";
import { Averages, evaluate, ObjectiveEvaluator } from "../../src/training/measurements/evaluate.ts";
import type { Policy } from "../../src/training/policy/policy.ts";
import type { StepOutput } from "../../src/training/step/engine.ts";
import { ReferenceScores } from "../../src/training/step/reference.ts";
import { tinyPairs } from "../support/tiny-model.ts";
import { engineOf, movedPolicy, newPolicy } from "../support/trainers.ts";

const pairs = tinyPairs(7);
const objective = dpo({ beta: 0.1 });

type Evaluate = (examples: readonly TokenizedExample[], microBatchTokens?: number) => Promise<Record<string, number>>;

/** Runs `use` with what evaluates the policy, after three steps say. */
async function evaluating<T>(policy: Policy, use: (evaluated: Evaluate) => Promise<T>): Promise<T> {
  await using engine = await engineOf(policy, objective);
  await using evaluator = await ObjectiveEvaluator.create(objective, interpreter);
  const reference = new ReferenceScores((group) => engine.score("reference", group));
  return await use(async (examples, microBatchTokens = 50) => {
    const metrics = await evaluate(examples, { engine, evaluator, reference, microBatchTokens, step: 3 });
    return metrics!;
  });
}

describe("before the first step", () => {
  it.each([
    ["full tuning", "full"],
    ["a new adapter", "lora"],
  ] as const)("the loss is ln 2, and rewards, divergence and drift are 0: %s", async (_, tuning) => {
    const metrics = await evaluating(newPolicy(tuning), (evaluated) => evaluated(pairs));
    const length = (completion: 0 | 1) =>
      pairs.reduce((n, { completions }) => n + completions[completion]!.length, 0) / 7;
    expect(metrics).toEqual({
      eval_loss: expect.closeTo(Math.LN2, 6),
      "eval_rewards/chosen": expect.closeTo(0, 5),
      "eval_rewards/rejected": expect.closeTo(0, 5),
      "eval_rewards/margins": expect.closeTo(0, 5),
      "eval_rewards/accuracies": expect.any(Number),
      "eval_logps/chosen": expect.any(Number),
      "eval_logps/rejected": expect.any(Number),
      "eval_lengths/chosen": expect.closeTo(length(0), 12),
      "eval_lengths/rejected": expect.closeTo(length(1), 12),
      eval_kl: expect.closeTo(0, 9),
      "eval_drift/chosen": expect.closeTo(0, 4),
      "eval_drift/rejected": expect.closeTo(0, 4),
      "eval_gradient_weights/p10": expect.closeTo(0.5, 5),
      "eval_gradient_weights/p50": expect.closeTo(0.5, 5),
      "eval_gradient_weights/p90": expect.closeTo(0.5, 5),
    });
  });
});

describe("of a policy that has moved", () => {
  it("every number is the mean over pairs, whatever their micro-batches", async () => {
    expect(new Set(planMicroBatches(pairs.map(packedLength), 50).map((group) => group.length)).size).toBeGreaterThan(1);
    const alone: Record<string, number>[] = [];
    const together = await evaluating(movedPolicy("full", 0.02), async (evaluated) => {
      for (const pair of pairs) alone.push(await evaluated([pair]));
      return await evaluated(pairs);
    });
    const means = Object.entries(together).filter(([name]) => !/gradient_weights|correlation/.test(name));
    for (const [name, value] of means) {
      const mean = alone.reduce((n, metrics) => n + metrics[name]!, 0) / pairs.length;
      expect(Math.abs(value - mean), name).toBeLessThan(1e-5 * Math.max(1, Math.abs(mean)));
    }
    expect(new Set(alone.map((metrics) => metrics.eval_loss!.toFixed(4))).size).toBe(pairs.length);
  });

  it("the loss is the step's own definition, and the divergence is above 0", async () => {
    const metrics = await evaluating(movedPolicy("full", 0.02), (evaluated) => evaluated(pairs.slice(0, 1)));
    expect(metrics.eval_loss).toBeCloseTo(Math.log1p(Math.exp(-metrics["eval_rewards/margins"]!)), 6);
    expect(metrics["eval_rewards/chosen"]).toBeCloseTo(0.1 * metrics["eval_drift/chosen"]!, 6);
    expect(metrics["eval_rewards/accuracies"]).toBe(metrics["eval_rewards/margins"]! > 0 ? 1 : 0);
    expect(metrics.eval_kl).toBeGreaterThan(0.01);
  });
});

describe("a loss that is not finite", () => {
  it("stops the evaluation, naming its rows", async () => {
    const policy = movedPolicy("full", 0.02);
    const token = pairs[2]!.completions[1]![0]!;
    policy.trainable.views.get("model.embed_tokens.weight")!.data.fill(Number.NaN, 32 * token, 32 * token + 32);
    const stopped = evaluating(policy, (evaluated) => evaluated(pairs, 1));
    await expect(stopped).rejects.toThrow(/^Step 3: the loss is not finite at pairs\.jsonl line 3\./);
  });
});

describe("averages", () => {
  const roles = ["chosen", "rejected"];
  const score = (...tokens: number[]) => ({
    logp: tokens.reduce((a, b) => a + b, 0),
    tokens: Float32Array.from(tokens),
  });
  const batch = (loss: number[], ...scores: StepOutput["scores"]): StepOutput => ({
    losses: loss,
    metrics: { m: loss },
    scores,
  });

  it("weigh every example alike, however they come in batches", () => {
    const averages = new Averages();
    averages.addBatch(batch([1], score(-1), score(-2, -2)), roles, undefined, []);
    averages.addBatch(batch([2, 6], score(-3), score(-4), score(-8), score(-12)), roles, undefined, []);
    expect(averages.means()).toEqual({
      loss: 3,
      m: 3,
      "logps/chosen": -4,
      "logps/rejected": -20 / 3,
      "lengths/chosen": 1,
      "lengths/rejected": 4 / 3,
    });
  });

  it("tell the loss and the rewards of each source, where examples come from several", () => {
    const averages = new Averages();
    const { losses, scores } = batch([1, 2, 6], score(-1), score(-2), score(-3));
    const metrics = { "rewards/margins": [0, 1, 3], other: [1, 1, 1] };
    const example = { origin: { file: "f", line: 1 }, prompt: new Int32Array(1), completions: [] };
    const examples = ["a", "b", "b"].map((source) => ({ ...example, source }));
    averages.addBatch({ losses, scores, metrics }, ["x"], undefined, examples);
    expect(averages.means()).toMatchObject({
      loss: 3,
      "loss@a": 1,
      "loss@b": 4,
      "rewards/margins@a": 0,
      "rewards/margins@b": 2,
    });
    expect(averages.means()).not.toHaveProperty("other@a");
  });

  it("leave an example out of a number that it does not have, NaN, and a number out that none has", () => {
    const averages = new Averages();
    const { losses, scores } = batch([1, 2, 3], score(-1), score(-2), score(-3));
    averages.addBatch(
      { losses, scores, metrics: { some: [4, Number.NaN, 8], none: [NaN, NaN, NaN] } },
      ["x"],
      undefined,
      [],
    );
    expect(averages.means()).toEqual({ loss: 2, some: 6, "logps/x": -2, "lengths/x": 1 });
  });

  it("estimate the divergence by half the squared log-ratio, summed over tokens", () => {
    const averages = new Averages();
    averages.addBatch(batch([0], score(-1, -2), score(-3)), roles, [score(-1.5, -4), score(-3)], []);
    // (0.5^2 + 2^2) / 2 of the chosen completion, 0 of the rejected: the mean over the two.
    expect(averages.means().kl).toBe(4.25 / 4);
    expect(averages.means()["drift/chosen"]).toBe(2.5);
  });

  it("have a divergence that is never negative, and 0 for the reference itself", () => {
    const logps = fc.array(
      fc.tuple(fc.double({ min: -60, max: 0, noNaN: true }), fc.double({ min: -1e-3, max: 1e-3, noNaN: true })),
      {
        minLength: 1,
        maxLength: 20,
      },
    );
    fc.assert(
      fc.property(logps, (tokens) => {
        const reference = score(...tokens.map(([x]) => x));
        const policy = score(...tokens.map(([x, change]) => x + change));
        const averages = new Averages();
        averages.addBatch(batch([], policy), ["chosen"], [reference], []);
        expect(averages.means().kl).toBeGreaterThanOrEqual(0);
        const same = new Averages();
        same.addBatch(batch([], policy), ["chosen"], [policy], []);
        expect(same.means().kl).toBe(0);
      }),
    );
  });
});
