/** The estimate of a run's memory: what each setting adds to it. */

import { describe, expect, it } from "vitest";
import { interpreter } from "../../src/runtime/interpreter.ts";
import { estimateMemory } from "../../src/training/memory.ts";
import { methods, resolveConfig } from "../../src/training/methods.ts";
import { withMovingReference } from "../../src/training/moving-reference.ts";
import { fullPolicy, loraPolicy, type Policy } from "../../src/training/policy.ts";
import type { DpoOptions } from "../../src/training/tuners.ts";
import { tinyModel, tinyPairs, tinyWeights } from "../support/tiny-model.ts";

const weights = tinyWeights();
const lora = loraPolicy(tinyModel, weights, {
  rank: 4,
  alpha: 8,
  rankStabilized: false,
  targets: "all-linear",
  seed: 0,
});
const full = fullPolicy(tinyModel, weights);
const bytes = (policy: Policy, settings: Partial<DpoOptions> = {}) => {
  const config = resolveConfig(methods.dpo!, { model: "model", data: "pairs.jsonl", output: "run", ...settings });
  return estimateMemory(tinyModel, policy, config, tinyPairs(3));
};
const trained = ({ trainable }: Policy) => 4 * trainable.data.length;

describe("the estimate", () => {
  it("counts what is trained with its gradients and two moments, under RMSprop one", () => {
    expect(bytes(full) - bytes(lora)).toBe(6 * (trained(full) - trained(lora)));
    expect(bytes(full) - bytes(full, { optimizer: "rmsprop" })).toBe(trained(full));
  });

  it("counts what a moving reference holds, and the reference's logits where the objective sees them", async () => {
    const moving = await withMovingReference(lora, { every: 1, mixup: 0.5, runtime: interpreter });
    expect(bytes(moving) - bytes(lora)).toBe(4 * moving.moving!.values.data.length);
    const config = resolveConfig(methods.dpo!, { model: "model", data: "pairs.jsonl", output: "run" });
    const both = estimateMemory(tinyModel, lora, config, tinyPairs(3), { rowStatistics: ["referenceKl"] });
    expect(both).toBeGreaterThan(bytes(lora));
    expect(estimateMemory(tinyModel, lora, config, tinyPairs(3), { rowStatistics: ["logCollision"] })).toBe(
      bytes(lora),
    );
  });

  it("counts the logits of the tokens that are scored: half of them at least, nearly all where texts are learned whole", () => {
    const config = resolveConfig(methods.sft!, { model: "model", data: "texts.jsonl", output: "run" });
    const texts = (prompt: number, completion: number) => [
      { origin: { file: "f", line: 1 }, prompt: new Int32Array(prompt), completions: [new Int32Array(completion)] },
    ];
    const [short, half, whole] = [
      [99, 1],
      [50, 50],
      [1, 99],
    ].map(([prompt, completion]) => estimateMemory(tinyModel, lora, config, texts(prompt!, completion!)));
    expect(half).toBe(short);
    expect(whole! - half!).toBeCloseTo(4 * 3 * 0.49 * config.microBatchTokens * tinyModel.vocabularySize, 0);
  });

  it("grows with the micro-batch, faster than its tokens", () => {
    const activations = (microBatchTokens: number) =>
      bytes(lora, { microBatchTokens }) - bytes(lora, { microBatchTokens: 64 });
    expect(activations(128)).toBeGreaterThan(0);
    expect(activations(512)).toBeGreaterThan(7 * activations(128));
  });

  it("covers the longest pair where that is longer than a micro-batch", () => {
    expect(bytes(lora, { microBatchTokens: 1 })).toBe(bytes(lora, { microBatchTokens: 2 }));
  });
});
