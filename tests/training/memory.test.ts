/** The estimate of a run's memory: what each setting adds to it, and that it is what runs were measured to take. */

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../src/checkpoints/checkpoint.ts";
import type { TokenizedExample } from "../../src/data/example.ts";
import { tuningOf } from "../../src/inspection/model.ts";
import { modelFor } from "../../src/models/index.ts";
import { parameterCount } from "../../src/models/weights.ts";
import {
  type MemoryPlan,
  memoryOf,
  microBatchSizes,
  planMemory,
  stepCost,
  trainedNumbers,
} from "../../src/training/memory/memory.ts";
import { methods, objectiveOf, resolveConfig } from "../../src/training/methods.ts";
import { fullShape, loraShape, type PolicyShape } from "../../src/training/policy/policy.ts";
import type { DpoOptions } from "../../src/training/tuners.ts";
import { tinyModel, tinyPairs } from "../support/tiny-model.ts";

const options = { rank: 4, alpha: 8, rankStabilized: false, targets: "all-linear", seed: 0 } as const;
const lora = loraShape(tinyModel, options);
const full = fullShape(tinyModel);
const configOf = (settings: Partial<DpoOptions> = {}, method = methods.dpo!) =>
  resolveConfig(method, { model: "model", data: "pairs.jsonl", output: "run", ...settings });

type Work = Partial<Omit<Parameters<typeof planMemory>[0], "shape" | "cost">>;

function planOf(shape: PolicyShape, config = configOf(), work: Work = {}): MemoryPlan {
  const objective = objectiveOf(config);
  const cost = stepCost(shape, shape.step(objective), objective, work.held !== undefined);
  return planMemory({ shape, cost, learned: tinyPairs(3), ...work }, config);
}

describe("the estimate", () => {
  it("is the sum of its parts, of which the weights are the model's in float32", () => {
    const { total, weights, training, activations, engine } = planOf(lora);
    expect(total).toBe(weights + training + activations + engine);
    expect(weights).toBe(4 * parameterCount(tinyModel));
  });

  it("counts what is trained five times with AdamW's two moments, and one time less with RMSprop's one", () => {
    for (const shape of [lora, full]) {
      expect(planOf(shape).training).toBe(5 * 4 * trainedNumbers(shape));
      expect(planOf(shape, configOf({ optimizer: "rmsprop" })).training).toBe(4 * 4 * trainedNumbers(shape));
    }
    expect(trainedNumbers(full)).toBe(parameterCount(tinyModel));
  });

  it("counts the values that the reference has of its own", () => {
    const continued = loraShape(tinyModel, options, true);
    const own = (shape: PolicyShape, mixup?: number) =>
      planOf(shape, configOf(), { mixup }).weights - 4 * parameterCount(tinyModel);
    expect(own(lora)).toBe(0);
    expect(own(continued)).toBe(4 * trainedNumbers(lora));
    expect(own(lora, 1)).toBe(4 * trainedNumbers(lora));
    const linear = tinyModel.linearModules.map((module) => tinyModel.weights.get(`${module}.weight`)!);
    expect(own(lora, 0.5)).toBe(4 * linear.reduce((sum, [rows, columns]) => sum + rows! * columns!, 0));
    expect(own(full, 0.5)).toBe(4 * parameterCount(tinyModel));
  });

  it("counts the reference's pass where the objective has one, and its logits where the objective sees them", () => {
    expect(planOf(lora, configOf({}, methods.simpo!)).activations).toBeLessThan(planOf(lora).activations);
    expect(planOf(lora, configOf({ loss: "tdpo2" })).activations).toBeGreaterThan(planOf(lora).activations);
  });

  it("counts the passes of an evaluation, of which full tuning has one program with its reference", () => {
    const long = tinyPairs(3).map((pair) => ({ ...pair, prompt: new Int32Array(400) }));
    const more = (shape: PolicyShape, held: readonly TokenizedExample[]) =>
      planOf(shape, configOf(), { held }).activations - planOf(shape).activations;
    expect(more(lora, tinyPairs(3))).toBeGreaterThan(0);
    expect(more(full, tinyPairs(3))).toBe(0);
    expect(more(lora, long)).toBeGreaterThan(more(lora, tinyPairs(3)));
    expect(more(full, long)).toBeGreaterThan(0);
  });

  it("grows with the tokens that are scored", () => {
    const texts = (prompt: number, completion: number) => [
      { origin: { file: "f", line: 1 }, prompt: new Int32Array(prompt), completions: [new Int32Array(completion)] },
    ];
    const config = configOf({}, methods.sft!);
    const [short, half, whole] = [texts(99, 1), texts(50, 50), texts(1, 99)].map(
      (learned) => planOf(lora, config, { learned }).activations,
    );
    expect(half).toBeGreaterThan(short!);
    expect(whole).toBeGreaterThan(half!);
  });

  it("covers as many examples as a step and a micro-batch have, and the longest in any case", () => {
    const size = (settings: Partial<DpoOptions>) => planOf(lora, configOf(settings)).activations;
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
      const ratio = memoryOf(cost, held, microBatchSizes(batch)).total / 1e6 / megabytes;
      expect(ratio).toBeGreaterThan(0.85);
      expect(ratio).toBeLessThan(1.15);
    },
  );
});
