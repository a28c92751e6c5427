/** The estimate of a run's memory: what each setting adds to it, and that it is what runs were measured to take. */

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../src/checkpoints/checkpoint.ts";
import { tuningOf } from "../../src/inspection/model.ts";
import { modelFor } from "../../src/models/index.ts";
import { parameterCount } from "../../src/models/weights.ts";
import { interpreter } from "../../src/runtime/interpreter.ts";
import { estimateMemory, memoryOf, microBatchSizes } from "../../src/training/memory.ts";
import { methods, objectiveOf, resolveConfig } from "../../src/training/methods.ts";
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
const configOf = (settings: Partial<DpoOptions> = {}) =>
  resolveConfig(methods.dpo!, { model: "model", data: "pairs.jsonl", output: "run", ...settings });
const bytes = (policy: Policy, settings: Partial<DpoOptions> = {}) => {
  const config = configOf(settings);
  return estimateMemory(policy, config, tinyPairs(3), objectiveOf(config));
};
const trained = ({ trainable }: Policy) => 4 * trainable.data.length;

describe("the estimate", () => {
  it("counts one moment less under RMSprop than AdamW's two", () => {
    expect(bytes(full) - bytes(full, { optimizer: "rmsprop" })).toBe(trained(full));
    expect(bytes(lora) - bytes(lora, { optimizer: "rmsprop" })).toBe(trained(lora));
  });

  it("counts what a moving reference holds, and the reference's logits where the objective sees them", async () => {
    const moving = await withMovingReference(lora, { every: 1, mixup: 0.5, runtime: interpreter });
    expect(bytes(moving) - bytes(lora)).toBe(4 * moving.moving!.values.data.length);
    expect(bytes(lora, { loss: "tdpo2" })).toBeGreaterThan(bytes(lora));
  });

  it("leaves out the reference's pass where the objective has none", () => {
    const simpo = resolveConfig(methods.simpo!, { model: "model", data: "pairs.jsonl", output: "run" });
    expect(estimateMemory(lora, simpo, tinyPairs(3), objectiveOf(simpo))).toBeLessThan(bytes(lora));
  });

  it("grows with the tokens that are scored", () => {
    const config = resolveConfig(methods.sft!, { model: "model", data: "texts.jsonl", output: "run" });
    const texts = (prompt: number, completion: number) => [
      { origin: { file: "f", line: 1 }, prompt: new Int32Array(prompt), completions: [new Int32Array(completion)] },
    ];
    const [short, half, whole] = [
      [99, 1],
      [50, 50],
      [1, 99],
    ].map(([prompt, completion]) => estimateMemory(lora, config, texts(prompt!, completion!), objectiveOf(config)));
    expect(half).toBeGreaterThan(short!);
    expect(whole).toBeGreaterThan(half!);
  });

  it("covers as many examples as a step and a micro-batch have, and the longest in any case", () => {
    const size = (settings: Partial<DpoOptions>) => bytes(lora, settings);
    expect(size({ microBatchTokens: 1 })).toBe(size({ microBatchTokens: 2 }));
    expect(size({ microBatchTokens: 512 })).toBeGreaterThan(size({ microBatchTokens: 1 }));
    expect(size({ microBatchTokens: 512, batchSize: 1 })).toBe(size({ microBatchTokens: 1 }));
  });
});

interface MeasuredRun {
  readonly name: string;
  readonly tuning: "lora" | "full";
  readonly loraRank: number;
  readonly batch: Parameters<typeof microBatchSizes>[0];
  readonly megabytes: number;
  readonly config: JsonObject;
}

const golden = new URL("../golden/inspection/estimates.json", import.meta.url);
const { runs } = JSON.parse(readFileSync(golden, "utf8")) as { readonly runs: readonly MeasuredRun[] };

describe("the estimate is within 15 % of what a run was measured to take (bench/estimates.js)", () => {
  const objective = objectiveOf(configOf());

  it.each(runs.map((run) => [`${run.name}, ${run.tuning}, ${run.batch.tokens} tokens`, run] as const))(
    "%s",
    (_, { config, tuning, loraRank, batch, megabytes }) => {
      const model = modelFor({ config, source: "config.json" });
      const { cost, trained } = tuningOf(model, tuning, loraRank, objective);
      const held = { weights: parameterCount(model), trained, optimizer: "adamw" as const };
      const ratio = memoryOf(cost, held, microBatchSizes(batch)) / 1e6 / megabytes;
      expect(ratio).toBeGreaterThan(0.85);
      expect(ratio).toBeLessThan(1.15);
    },
  );
});
