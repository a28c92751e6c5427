/** The optimizer step: that accumulation is exactly the large batch, and what a step says of itself. */

import { describe, expect, it } from "vitest";
import type { TokenizedExample } from "../../src/data/example.ts";
import { packedLength, planMicroBatches } from "../../src/data/microbatch.ts";
import { TrainingError } from "../../src/errors.ts";
import { dpo, type MethodName, objectivesOf } from "../../src/objectives/index.ts";
import { globalNorm } from "../../src/training/policy/flat.ts";
import { sameBits } from "../support/same-bits.ts";
import { tinyPairs } from "../support/tiny-model.ts";
import { movedPolicy, newPolicy, relativeError, trainerConfig, withTrainer } from "../support/trainers.ts";

/** One step on the pairs: its metrics, and the gradient that it took. */
const stepOn = (pairs: readonly TokenizedExample[], settings: Parameters<typeof withTrainer>[0]) =>
  withTrainer(settings, async ({ trainer, engine }) => {
    const metrics = await trainer.step(0, pairs);
    return { metrics, gradients: engine.gradients.data.slice() };
  });

/** The loss and the gradient of each pair by itself, of a policy that stays. */
const alone = (pairs: readonly TokenizedExample[]) =>
  withTrainer({ learningRate: Number.MIN_VALUE }, async ({ trainer, engine }) => {
    const found: { loss: number; gradients: Float32Array }[] = [];
    for (const pair of pairs) {
      const { loss } = await trainer.step(0, [pair]);
      found.push({ loss: loss!, gradients: engine.gradients.data.slice() });
    }
    return found;
  });

describe.each(["lora", "full"] as const)("accumulation, tuning %s", (tuning) => {
  const pairs = tinyPairs(7);
  const plan = (budget: number) => planMicroBatches(pairs.map(packedLength), budget).map((group) => group.length);

  it("gives the large batch's gradient, whatever the micro-batches", async () => {
    const { gradients: large, metrics } = await stepOn(pairs, {
      policy: movedPolicy(tuning),
      microBatchTokens: 10_000,
    });
    expect(plan(10_000)).toEqual([7]);
    expect(plan(1)).toEqual([1, 1, 1, 1, 1, 1, 1]);
    expect(new Set(plan(50)).size).toBeGreaterThan(1); // Micro-batches of unequal numbers of pairs.
    for (const microBatchTokens of [1, 50]) {
      const accumulated = await stepOn(pairs, { policy: movedPolicy(tuning), microBatchTokens });
      expect(relativeError(accumulated.gradients, large)).toBeLessThan(1e-5);
      expect(Math.abs(accumulated.metrics.loss! - metrics.loss!)).toBeLessThan(1e-6);
      expect(Math.abs(accumulated.metrics.kl! / metrics.kl! - 1)).toBeLessThan(1e-4);
    }
  });
});

describe("a step's loss and gradient", () => {
  it("are the means over its pairs, not means over micro-batches of means", async () => {
    const pairs = tinyPairs(5);
    const together = await stepOn(pairs, { microBatchTokens: 50 });
    const each = await alone(pairs);
    const mean = each.reduce((n, { loss }) => n + loss, 0) / pairs.length;
    expect(new Set(each.map(({ loss }) => loss.toFixed(3))).size).toBe(5);
    expect(Math.abs(together.metrics.loss! - mean)).toBeLessThan(1e-6);
    const meanGradient = together.gradients.map((_, i) => each.reduce((n, { gradients }) => n + gradients[i]!, 0) / 5);
    expect(relativeError(together.gradients, meanGradient)).toBeLessThan(1e-5);
  });
});

describe("a step", () => {
  const pairs = tinyPairs(4);

  it("says its numbers under the names that everybody knows", async () => {
    const { metrics } = await stepOn(pairs, {});
    expect(Object.keys(metrics)).toEqual([
      "step",
      "loss",
      "rewards/chosen",
      "rewards/rejected",
      "rewards/margins",
      "rewards/accuracies",
      "logps/chosen",
      "lengths/chosen",
      "kl",
      "drift/chosen",
      "logps/rejected",
      "lengths/rejected",
      "drift/rejected",
      "gradient_weights/p10",
      "gradient_weights/p50",
      "gradient_weights/p90",
      "grad_norm",
      "learning_rate",
      "examples_per_second",
      "tokens_per_second",
    ]);
    const length = (completion: 0 | 1) =>
      pairs.reduce((n, { completions }) => n + completions[completion]!.length, 0) / 4;
    expect(metrics).toMatchObject({ step: 1, "lengths/chosen": length(0), "lengths/rejected": length(1) });
    expect(metrics["rewards/chosen"]).toBeCloseTo(0.1 * metrics["drift/chosen"]!, 5);
    expect(metrics["rewards/margins"]).toBeCloseTo(metrics["rewards/chosen"]! - metrics["rewards/rejected"]!, 5);
    expect(metrics.tokens_per_second! / metrics.examples_per_second!).toBeCloseTo(
      pairs.reduce((n, pair) => n + packedLength(pair), 0) / 4,
      9,
    );
  });

  it("counts its pairs by the clock's seconds", async () => {
    await withTrainer({}, async ({ trainer }) => {
      const seconds: number[] = [];
      for (let step = 0; step < 5; step++) {
        const started = performance.now();
        const { examples_per_second } = await trainer.step(step, pairs);
        const around = (performance.now() - started) / 1000;
        seconds.push((examples_per_second! * around) / pairs.length);
      }
      expect(Math.min(...seconds)).toBeGreaterThanOrEqual(1);
      expect(Math.min(...seconds)).toBeLessThan(1.3);
    });
  });

  it("reports the gradient's norm before clipping, and clips what the optimizer gets", async () => {
    await withTrainer({ maxGradNorm: 0.01 }, async ({ trainer, engine }) => {
      const { grad_norm } = await trainer.step(0, pairs);
      expect(grad_norm).toBeGreaterThan(0.1);
      expect(grad_norm).toBe(globalNorm(engine.gradients.data));
      // AdamW's first moment after one step is 0.1 of the gradient.
      expect(globalNorm(trainer.optimizer.moments.exp_avg!)).toBeCloseTo(0.1 * 0.01, 6);
    });
  });

  it("takes the learning rate of its place in the schedule", async () => {
    await withTrainer({ schedule: "linear", warmupSteps: 1, steps: 4 }, async ({ trainer }) => {
      const rates: number[] = [];
      for (let step = 0; step < 4; step++) rates.push((await trainer.step(step, pairs)).learning_rate!);
      expect(rates.map((rate) => rate / trainerConfig.learningRate)).toEqual(
        [0.5, 1, 2 / 3, 1 / 3].map((x) => expect.closeTo(x, 12)),
      );
    });
  });

  it("starts from no gradient of what was run before it", async () => {
    const first = await withTrainer({}, async ({ trainer, engine }) => {
      await trainer.check(tinyPairs(2, 9)).catch(() => {}); // The policy has moved: it is not the reference.
      await trainer.step(0, pairs);
      return engine.gradients.data.slice();
    });
    expect(sameBits(first, (await stepOn(pairs, {})).gradients)).toBe(true);
  });

  it("changes nothing where no pair pulls, as beyond a hinge", async () => {
    const create = (method: MethodName, options: Record<string, number>) =>
      objectivesOf(method)
        .find(({ name }) => name === "hinge")!
        .create(options);
    const passed = { objective: create("dpo", { beta: 10 }), policy: newPolicy(), learningRate: 1e-2 };
    await withTrainer(passed, async ({ trainer }) => {
      const [pair] = tinyPairs(1);
      expect((await trainer.step(0, [pair!])).loss).toBeCloseTo(1, 6);
      expect(await trainer.step(1, [pair!])).toMatchObject({ loss: 0, grad_norm: 0 });
    });
    const likely = { objective: create("cpo", { beta: 1, cpoAlpha: 0 }), policy: newPolicy() };
    await withTrainer(likely, async ({ trainer }) => {
      const losses: number[] = [];
      for (const pair of tinyPairs(6)) losses.push((await trainer.step(0, [pair])).loss!);
      expect(losses).toContain(0);
    });
    await withTrainer({ objective: create("dpo", { beta: 1e6 }), learningRate: 1e-12 }, async ({ trainer }) => {
      const losses: number[] = [];
      for (const pair of tinyPairs(6)) losses.push((await trainer.step(0, [pair])).loss!);
      expect(losses).toContain(0);
    });
  });

  it("stops before an update by a gradient that is not finite, though the loss is", async () => {
    const policy = newPolicy();
    for (const [name, { data }] of policy.trainable.views) if (name.endsWith(".lora_A")) data.fill(1e36);
    const before = policy.trainable.data.slice();
    await withTrainer({ policy, objective: dpo({ beta: 1e4 }) }, async ({ trainer }) => {
      await expect(trainer.step(3, pairs)).rejects.toThrow(
        /^Step 4: the gradient is not finite at pairs\.jsonl line 1, /,
      );
    });
    expect(sameBits(policy.trainable.data, before)).toBe(true);
  });

  it("is refused where no gradient reaches the parameters of a policy at its reference", async () => {
    const unscaled = newPolicy("lora", { alpha: 0 });
    await withTrainer({ policy: unscaled }, async ({ trainer }) => {
      await expect(trainer.step(0, pairs)).rejects.toThrow("Self-check failed: no gradient reaches");
    });
  });

  it("lowers the loss of its own pairs", async () => {
    const policy = newPolicy("lora", { rank: 4, alpha: 8 });
    await withTrainer({ policy, learningRate: 3e-3, schedule: "constant" }, async ({ trainer }) => {
      await trainer.check(pairs);
      let loss = Number.NaN;
      for (let step = 0; step < 10; step++) {
        const metrics = await trainer.step(step, pairs);
        if (step === 0) expect(metrics.loss).toBeCloseTo(Math.LN2, 6);
        loss = metrics.loss!;
      }
      expect(loss).toBeLessThan(0.4);
    });
  });
});

describe("a loss that is not finite", () => {
  it("stops the step before anything has changed, naming the rows", async () => {
    const policy = movedPolicy("full");
    const pairs = tinyPairs(3);
    // A token of the second pair alone, whose embedding overflows.
    const token = pairs[1]!.completions[0]![0]!;
    expect([pairs[0]!, pairs[2]!].some((p) => [p.prompt, ...p.completions].some((ids) => ids.includes(token)))).toBe(
      false,
    );
    policy.trainable.views.get("model.embed_tokens.weight")!.data.fill(Number.NaN, 32 * token, 32 * token + 32);
    const before = policy.trainable.data.slice();
    await withTrainer({ policy, microBatchTokens: 1 }, async ({ trainer }) => {
      const stopped = trainer.step(3, pairs);
      await expect(stopped).rejects.toThrow(TrainingError);
      await expect(stopped).rejects.toThrow(/^Step 4: the loss is not finite at pairs\.jsonl line 2\. /);
      expect(sameBits(policy.trainable.data, before)).toBe(true);
      expect(globalNorm(trainer.optimizer.moments.exp_avg!)).toBe(0);
    });
  });
});
