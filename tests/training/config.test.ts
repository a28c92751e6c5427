/** Settings of a run: defaults, and what is said of a setting that is wrong. */

import { describe, expect, it } from "vitest";
import { ConfigError } from "../../src/errors.ts";
import { flatConfig } from "../../src/training/config.ts";
import { methods, objectiveOf, resolveConfig } from "../../src/training/methods.ts";
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

  it("leave a completion half of --max-length, however short that is", () => {
    expect(resolveConfig(methods.dpo!, { ...needed, maxLength: 512 }).maxPromptLength).toBe(256);
    expect(resolveConfig(methods.dpo!, { ...needed, maxLength: 512, maxPromptLength: 300 }).maxPromptLength).toBe(300);
    expect(refusal({ maxLength: 256, maxPromptLength: 512 })).toMatch(
      /--max-prompt-length 512 leaves a completion nothing/,
    );
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
    expect(refusal({ betta: 0.1 })).toBe("betta is not a setting. Did you mean beta?");
    expect(refusal({ wandb: true })).toBe("wandb is not a setting.");
  });

  it("and one that is missing", () => {
    expect(refusal({ model: undefined })).toBe("model is missing.");
    expect(refusal({ data: undefined })).toBe("data is missing.");
  });
});

describe("several objectives", () => {
  const resolve = (settings: Record<string, unknown>) => resolveConfig(methods.dpo!, { ...needed, ...settings });
  const options = (settings: Record<string, unknown>) => resolve(settings).objective;

  it("have a weight each, and share the options that they have", () => {
    const config = resolve({ loss: "sigmoid,bco_pair,sft", lossWeights: "0.8,0.2,1", beta: 0.3 });
    expect(config).toMatchObject({ loss: ["sigmoid", "bco_pair", "sft"], lossWeights: [0.8, 0.2, 1] });
    expect(config.objective).toMatchObject({ beta: 0.3, labelSmoothing: 0, rewardShift: false });
    expect(objectiveOf(config)).toMatchObject({ name: "sigmoid+bco_pair+sft", needsReference: true });
    expect(resolveConfig(methods.dpo!, flatConfig(config))).toEqual(config);
  });

  it("keep their own defaults where they differ", () => {
    expect(options({ loss: "sigmoid" })).toMatchObject({ labelSmoothing: 0 });
    expect(options({ loss: "exo_pair" })).toMatchObject({ labelSmoothing: 1e-3 });
    const both = resolve({ loss: "sigmoid,exo_pair" });
    expect(both.objective).not.toHaveProperty("labelSmoothing");
    expect(resolveConfig(methods.dpo!, flatConfig(both))).toEqual(both);
    expect(options({ loss: "sigmoid,exo_pair", labelSmoothing: 0.1 })).toMatchObject({ labelSmoothing: 0.1 });
  });

  it("are refused a value that is out of range for one of them", () => {
    expect(refusal({ loss: "sigmoid", labelSmoothing: 0 })).toBe("accepted");
    expect(refusal({ loss: "sigmoid,exo_pair", labelSmoothing: 0 })).toMatch(
      /^labelSmoothing: .* \(--loss exo_pair\)$/,
    );
  });

  it("are refused twice the same, and a number of weights that is not theirs", () => {
    expect(refusal({ loss: "sigmoid,hinge,sigmoid" })).toBe("--loss names sigmoid twice. Give it once, with a weight.");
    expect(refusal({ loss: "sigmoid,sft", lossWeights: "1" })).toBe(
      "--loss-weights has 1 weights for 2 objectives (sigmoid, sft). Give one for each.",
    );
    expect(refusal({ loss: "sigmoid,sft", lossWeights: "0,0" })).toBe(
      "--loss-weights are all 0, so there would be nothing to learn. Give one of them more than 0.",
    );
    expect(refusal({ loss: "sigmoid,sft", lossWeights: "0,1" })).toBe("accepted");
  });
});

describe("an option is refused where no chosen objective has it:", () => {
  it.each([
    ["f-divergence", "nca_pair", { fDivergence: "forward_kl" }],
    ["dpop-lambda", "ipo", { dpopLambda: 5 }],
    ["offset-alpha", "aot", { offsetAlpha: 1 }],
    ["label-smoothing", "hinge", { labelSmoothing: 0.1 }],
    ["reward-shift", "sigmoid", { rewardShift: true }],
    ["discopop-tau", "sigmoid", { discopopTau: 0.1 }],
    ["ld-alpha", "sft", { ldAlpha: 0.5 }],
    ["beta", "sft", { beta: 0.5 }],
  ])("--%s with --loss %s", (flag, loss, settings) => {
    expect(refusal({ loss, ...settings })).toMatch(new RegExp(`^--${flag} has no effect with --loss ${loss}\\. `));
  });
});
