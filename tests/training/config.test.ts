/** Settings of a run: defaults, and what is said of a setting that is wrong. */

import { describe, expect, it } from "vitest";
import { ConfigError } from "../../src/errors.ts";
import { flatConfig } from "../../src/training/config.ts";
import { methods, resolveConfig } from "../../src/training/methods.ts";
import type { DpoOptions } from "../../src/training/tuners.ts";

const needed: DpoOptions = { model: "model", data: "pairs.jsonl", output: "run" };

/** The message that settings are refused with. Not every wrong setting is one that the types allow. */
function refusal(settings: Record<string, unknown>): string {
  try {
    resolveConfig(methods.dpo!, { ...needed, ...settings } as DpoOptions);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).message;
  }
  return "accepted";
}

describe("defaults", () => {
  it("are the ones that the command line promises", () => {
    expect(resolveConfig(methods.dpo!, needed)).toMatchObject({
      method: "dpo",
      loss: ["sigmoid"],
      lossWeights: [1],
      objective: { beta: 0.1, labelSmoothing: 0, referenceFree: false },
      tuning: "lora",
      loraRank: 16,
      loraAlpha: 32,
      loraTargets: ["all-linear"],
      batchSize: 8,
      epochs: 1,
      shuffle: true,
      optimizer: "adamw",
      weightDecay: 0,
      schedule: "linear",
      warmupSteps: 0,
      maxGradNorm: 1,
      maxLength: 1024,
      maxPromptLength: 512,
      truncation: "shorten",
      chat: false,
      seed: 0,
    });
  });

  it("have a learning rate for each kind of tuning", () => {
    expect(resolveConfig(methods.dpo!, { ...needed, tuning: "lora" }).learningRate).toBe(5e-5);
    expect(resolveConfig(methods.dpo!, { ...needed, tuning: "full" }).learningRate).toBe(1e-6);
    expect(resolveConfig(methods.dpo!, { ...needed, tuning: "full", learningRate: 3e-4 }).learningRate).toBe(3e-4);
  });

  it("give way to every setting, and a resolved configuration resolves to itself", () => {
    const config = resolveConfig(methods.dpo!, {
      ...needed,
      beta: 0.5,
      tuning: "full",
      evalData: ["held-out.jsonl"],
      seed: 3,
    });
    expect(config).toMatchObject({ objective: { beta: 0.5 }, tuning: "full", evalData: ["held-out.jsonl"], seed: 3 });
    expect(resolveConfig(methods.dpo!, flatConfig(config))).toEqual(config);
  });
});

describe("lists", () => {
  it("may be one text with commas", () => {
    const config = resolveConfig(methods.dpo!, { ...needed, data: "a.jsonl, b.jsonl", loraTargets: "q_proj,v_proj" });
    expect(config.data).toEqual(["a.jsonl", "b.jsonl"]);
    expect(config.loraTargets).toEqual(["q_proj", "v_proj"]);
  });
});

describe("a setting that is wrong is refused by its name:", () => {
  it.each<[string, Record<string, unknown>]>([
    ["model", { model: "" }],
    ["model", { model: undefined }],
    ["data", { data: [] }],
    ["data", { data: "" }],
    ["output", { output: "" }],
    ["loss", { loss: "hinges" }],
    ["beta", { beta: 0 }],
    ["beta", { beta: Number.NaN }],
    ["labelSmoothing", { labelSmoothing: 0.5 }],
    ["tuning", { tuning: "half" }],
    ["loraRank", { loraRank: 2.5 }],
    ["loraAlpha", { loraAlpha: -1 }],
    ["loraTargets", { loraTargets: [] }],
    ["loraTargets", { loraTargets: "q_proj," }],
    ["evalData", { evalData: [] }],
    ["batchSize", { batchSize: 0 }],
    ["epochs", { epochs: "2" }],
    ["maxSteps", { maxSteps: 0 }],
    ["limit", { limit: -1 }],
    ["learningRate", { learningRate: Number.POSITIVE_INFINITY }],
    ["optimizer", { optimizer: "sgd" }],
    ["weightDecay", { weightDecay: -0.1 }],
    ["schedule", { schedule: "step" }],
    ["warmupSteps", { warmupSteps: -1 }],
    ["maxGradNorm", { maxGradNorm: 0 }],
    ["truncation", { truncation: "cut" }],
    ["onBadRow", { onBadRow: "keep" }],
    ["samplePrompts", { samplePrompts: 0.5 }],
    ["seed", { seed: -1 }],
    ["microBatchTokens", { microBatchTokens: 0 }],
  ])("%s in %j", (name, settings) => {
    expect(refusal(settings)).toMatch(new RegExp(`^${name}(\\.\\d+)?: `));
  });

  it("and one that there is not", () => {
    expect(refusal({ bata: 0.1 })).toBe('Unrecognized key: "bata"');
  });
});
