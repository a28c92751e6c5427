/**
 * Objectives that see the whole distribution at every token, on a model: packed as alone, in micro-batches as at once, in
 * evaluation as in training, with the reference's rows computed whenever they are needed and kept nowhere.
 */

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { TokenizedExample } from "../../src/data/example.ts";
import { dpo, type Objective } from "../../src/objectives/index.ts";
import { tdpo1Loss, tdpo2Loss } from "../../src/objectives/tdpo.ts";
import { interpreter } from "../../src/runtime/interpreter.ts";
import { programInputs } from "../../src/tensor/index.ts";
import { evaluate, ObjectiveEvaluator } from "../../src/training/measurements/evaluate.ts";
import { globalNorm } from "../../src/training/policy/flat.ts";
import type { Policy } from "../../src/training/policy/policy.ts";
import { ReferenceScores } from "../../src/training/step/reference.ts";
import { Trainer } from "../../src/training/step/trainer.ts";
import { dpo as tune } from "../../src/training/tuners.ts";
import { operationCounts } from "../support/programs.ts";
import { interruptAfter, runsFolder } from "../support/runs.ts";
import { tinyPairs, writePairs, writeTinyModel } from "../support/tiny-model.ts";
import { engineOf, movedPolicy, relativeError, withTrainer } from "../support/trainers.ts";

const { at, metricsOf } = runsFolder();

const pairs = tinyPairs(5);
const objectives = {
  wpo: dpo({ wpo: true }),
  tdpo1: tdpo1Loss.create(),
  tdpo2: tdpo2Loss.create({ tdpoAlpha: 0.7 }),
};
type Name = keyof typeof objectives;

/** One optimizer step that changes nothing: its metrics and its gradient. */
function step(policy: Policy, objective: Objective, examples: readonly TokenizedExample[], microBatchTokens: number) {
  const settings = { policy, objective, microBatchTokens, learningRate: Number.MIN_VALUE };
  return withTrainer(settings, async ({ trainer, engine }) => {
    const metrics: Record<string, number> = await trainer.step(0, examples);
    return { metrics, gradients: engine.gradients.data.slice() };
  });
}

describe.each(Object.keys(objectives) as Name[])("%s", (name) => {
  const objective = objectives[name];

  describe.each(["lora", "full"] as const)("tuning %s", (tuning) => {
    it("says the same of a pair alone, in micro-batches and in one batch", async () => {
      const large = await step(movedPolicy(tuning), objective, pairs, 10_000);
      for (const microBatchTokens of [1, 60]) {
        const { gradients, metrics } = await step(movedPolicy(tuning), objective, pairs, microBatchTokens);
        expect(relativeError(gradients, large.gradients)).toBeLessThan(1e-5);
        for (const key of Object.keys(metrics).filter((key) => !key.endsWith("_per_second"))) {
          const scale = Math.max(1, Math.abs(large.metrics[key]!));
          expect(Math.abs(metrics[key]! - large.metrics[key]!), key).toBeLessThan(1e-5 * scale);
        }
      }
    });

    it("evaluates to what it trains on", async () => {
      const policy = movedPolicy(tuning);
      const trained = (await step(policy, objective, pairs, 60)).metrics;
      await using engine = await engineOf(policy, objective);
      await using evaluator = await ObjectiveEvaluator.create(objective, interpreter);
      const reference = new ReferenceScores((group) => engine.score("reference", group));
      for (const microBatchTokens of [60, 1]) {
        const found = await evaluate(pairs, { engine, evaluator, reference, microBatchTokens, step: 0 });
        for (const key of [
          "loss",
          "rewards/margins",
          "wpo/weights",
          "sequential_kl/chosen",
          "sequential_kl/rejected",
        ]) {
          if (!(key in trained)) continue;
          const scale = Math.max(1, Math.abs(trained[key]!));
          expect(Math.abs(found![`eval_${key}`]! - trained[key]!), key).toBeLessThan(2e-5 * scale);
        }
      }
    });
  });

  it("passes the checks of a first step, where the policy is its reference", async () => {
    const policy = movedPolicy("full", 0);
    await using engine = await engineOf(policy, objective);
    await using evaluator = await ObjectiveEvaluator.create(objective, interpreter);
    const reference = new ReferenceScores((group) => engine.score("reference", group));
    const config = { microBatchTokens: 100, optimizer: "adamw", weightDecay: 0 } as never;
    const trainer = new Trainer({ policy, objective, engine, evaluator, reference, config, steps: 1 });
    await trainer.check(pairs);
    const scores = await engine.score("reference", pairs);
    const { losses, metrics } = await engine.step(pairs, scores, 1);
    const weights = metrics["wpo/weights"] ?? pairs.map(() => 1);
    Array.from(losses).forEach((loss, i) => {
      expect(loss).toBeCloseTo(Math.LN2 * weights[i]!, 5);
    });
    for (const [key, values] of Object.entries(metrics)) {
      if (key.startsWith("sequential_kl")) expect(Math.max(...Array.from(values, Math.abs))).toBeLessThan(1e-6);
    }
  });
});

// WPO's weights and TDPO2's divergence of the chosen completion are numbers to the gradient, so only TDPO1 has that of its loss.
describe("TDPO1's gradient", () => {
  it("through the divergence over the vocabulary is the loss's slope", async () => {
    const { gradients } = await step(movedPolicy("full"), objectives.tdpo1, pairs, 100);
    const norm = globalNorm(gradients);
    const direction = gradients.map((g, i) => g / norm + 1e-3 * Math.sin(i));
    const along = gradients.reduce((total, g, i) => total + g * direction[i]!, 0);
    const lossAt = async (distance: number) => {
      const moved = movedPolicy("full");
      moved.trainable.data.set(moved.trainable.data.map((x, i) => x + distance * direction[i]!));
      return (await step(moved, objectives.tdpo1, pairs, 100)).metrics.loss!;
    };
    const distance = 2e-3;
    const slope = ((await lossAt(distance)) - (await lossAt(-distance))) / (2 * distance);
    expect(Math.abs(slope / along - 1)).toBeLessThan(1e-2);
  });
});

describe("TDPO's reference", () => {
  it("is kept on disk by its log-probabilities alone, and computed again where its rows are needed", async () => {
    const policy = movedPolicy("lora");
    const objective = objectives.tdpo2;
    const file = at("reference.jsonl");
    const gradients: Float32Array[] = [];
    for (let run = 0; run < 2; run++) {
      await using engine = await engineOf(policy, objective);
      let passes = 0;
      const score: ConstructorParameters<typeof ReferenceScores>[0] = (group) => {
        passes++;
        return engine.score("reference", group);
      };
      const stored = new ReferenceScores(score, { file, fingerprint: () => "these weights" });
      await engine.step(pairs, await stored.of(pairs), 1);
      expect(passes).toBe(run === 0 ? 1 : 0);
      gradients.push(engine.gradients.data.slice());
    }
    expect(gradients[1]).toEqual(gradients[0]);
    const values = readFileSync(file, "utf8").trimEnd().split("\n").slice(1);
    expect(values.length).toBe(pairs.length);
    for (const line of values) {
      const [, completions] = JSON.parse(line) as [string, [number, string][]];
      completions.forEach((entry) => {
        expect(entry.length).toBe(2);
      });
    }
  });

  it("is of the examples at hand, not of those before them", async () => {
    const policy = movedPolicy("lora");
    await using engine = await engineOf(policy, objectives.tdpo1);
    const [first, second] = [pairs.slice(0, 2), pairs.slice(2, 4)];
    const reference = await engine.score("reference", second);
    await engine.score("reference", first);
    const { metrics } = await engine.step(second, reference, 1);
    await using fresh = await engineOf(policy, objectives.tdpo1);
    const expected = await fresh.step(second, await fresh.score("reference", second), 1);
    expect(Array.from(metrics["sequential_kl/rejected"]!)).toEqual(
      Array.from(expected.metrics["sequential_kl/rejected"]!),
    );
  });
});

describe("a run of two epochs by objectives with both statistics", () => {
  const settings = {
    model: writeTinyModel(at("model")),
    data: writePairs(at("pairs.jsonl"), 4),
    evalData: writePairs(at("held-out.jsonl"), 2, 100),
    loss: "sigmoid,tdpo2",
    wpo: true,
    batchSize: 2,
    epochs: 2,
    learningRate: 1e-3,
    loraRank: 2,
    evalEvery: 2,
    samplePrompts: 0,
    threads: 1,
  };

  it("equals itself interrupted and resumed", async () => {
    await tune({ ...settings, output: at("whole") });
    const parts = { ...settings, output: at("parts") };
    await tune(parts, interruptAfter(3));
    await tune(parts, { resume: true });
    expect(metricsOf("parts")).toEqual(metricsOf("whole"));
    const last = metricsOf("whole").at(-1)!;
    expect(last["eval_loss/sigmoid"]! + last["eval_loss/tdpo2"]!).toBeCloseTo(last.eval_loss!, 5);
    expect(last["eval_sequential_kl/chosen"]).toBeGreaterThan(0);
    expect(last["eval_wpo/weights"]).toBeGreaterThan(0);
  });
});

describe("a program of an objective without row statistics", () => {
  it("has nothing of them", () => {
    const program = movedPolicy("lora").step(dpo());
    const names = [...programInputs(program).keys(), ...Object.keys(program.outputs)];
    expect(names.filter((name) => /^(reference\.|statistic:|hidden)/.test(name))).toEqual([]);
    const counts = operationCounts(Object.values(program.outputs));
    expect(counts.klDivergence ?? 0).toBe(0);
    expect(counts.logCollision ?? 0).toBe(0);
  });
});
