/** What is said of a run that needs more memory than there is, and that it is said before anything is read or written. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../src/checkpoints/checkpoint.ts";
import type { TokenizedExample } from "../../src/data/example.ts";
import { ConfigError } from "../../src/errors.ts";
import { loadModel } from "../../src/evaluation/loaded-model.ts";
import { modelFor } from "../../src/models/index.ts";
import { planMemory, stepCost } from "../../src/training/memory/memory.ts";
import { refuseLack } from "../../src/training/memory/memory-limit.ts";
import { methods, objectiveOf, resolveConfig } from "../../src/training/methods.ts";
import type { RunResult, RunSummary } from "../../src/training/observer.ts";
import type { RunControl } from "../../src/training/run.ts";
import { startingShape } from "../../src/training/start.ts";
import { type DpoOptions, dpo, reward, sft } from "../../src/training/tuners.ts";
import { scratchFolder } from "../support/scratch.ts";
import { writePairs, writeTinyModel } from "../support/tiny-model.ts";

const llama: JsonObject = {
  model_type: "llama",
  hidden_size: 2048,
  intermediate_size: 8192,
  num_hidden_layers: 16,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  vocab_size: 128256,
  max_position_embeddings: 131072,
  tie_word_embeddings: true,
};
const oneBillion = modelFor({ config: llama, source: "Llama-3.2-1B" });
const eightBillion = modelFor({
  config: {
    ...llama,
    hidden_size: 4096,
    intermediate_size: 14336,
    num_hidden_layers: 32,
    tie_word_embeddings: false,
  },
  source: "Llama-3.1-8B",
});

const pairsOf = (prompt: number, completion: number): TokenizedExample[] =>
  Array.from({ length: 20 }, (_, i) => ({
    origin: { file: "pairs.jsonl", line: i + 1 },
    prompt: new Int32Array(prompt),
    completions: [new Int32Array(completion), new Int32Array(completion)],
  }));

/** What is said of a run on so much memory; undefined where it fits. */
function said(
  model: typeof oneBillion,
  available: number,
  settings: Partial<DpoOptions>,
  learned: TokenizedExample[],
): string | undefined {
  const config = resolveConfig(methods.dpo!, { model: "Llama", data: "d", output: "o", ...settings });
  const objective = objectiveOf(config);
  const shape = startingShape(config, model, undefined);
  const work = { shape, cost: stepCost(shape, shape.step(objective), objective), learned };
  try {
    refuseLack({ plan: planMemory(work, config), work, objective, config }, available);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message;
  }
  return undefined;
}

describe("a run that needs more memory than there is", () => {
  it("is told what it is for and what would lower it", () => {
    expect(said(oneBillion, 16e9, { tuning: "full" }, pairsOf(100, 50))).toMatchInlineSnapshot(
      `"Llama: this run needs about 38.1 GB of memory, and 16.0 GB are available. It takes 24.7 GB for gradients and optimizer, 8.2 GB for activations, 4.9 GB for weights, 197 MB for the engine. It would fit with --tuning lora (about 6.2 GB). --force tries it as it is."`,
    );
    expect(said(oneBillion, 16e9, {}, pairsOf(100, 50))).toBeUndefined();
  });

  it("whose weights alone are too many is told so", () => {
    expect(said(eightBillion, 24e9, {}, pairsOf(100, 50))).toMatchInlineSnapshot(
      `"Llama: this run needs about 35.0 GB of memory, and 24.0 GB are available. It takes 32.1 GB for weights, 1.8 GB for activations, 839 MB for gradients and optimizer, 240 MB for the engine. The weights alone are too many: take a smaller model, or a machine with more memory. --force tries it as it is."`,
    );
  });

  it("is told when no setting is enough alone", () => {
    expect(said(eightBillion, 24e9, { tuning: "full" }, pairsOf(100, 50))).toMatchInlineSnapshot(
      `"Llama: this run needs about 225.2 GB of memory, and 24.0 GB are available. It takes 160.6 GB for gradients and optimizer, 32.3 GB for activations, 32.1 GB for weights, 227 MB for the engine. Less is needed with --tuning lora (about 35.2 GB), --optimizer rmsprop (about 193.1 GB); none of that is enough alone: combine them, or take a smaller model, or a machine with more memory. --force tries it as it is."`,
    );
  });

  it("on long examples is told a length at which it fits", () => {
    expect(said(oneBillion, 8e9, {}, pairsOf(700, 800))).toMatchInlineSnapshot(
      `"Llama: this run needs about 12.4 GB of memory, and 8.0 GB are available. It takes 7.1 GB for activations, 4.9 GB for weights, 226 MB for gradients and optimizer, 203 MB for the engine. It would fit with --max-length 512 (about 7.7 GB). --force tries it as it is."`,
    );
  });

  it("of many examples to a micro-batch is told of smaller ones", () => {
    expect(said(oneBillion, 8e9, { microBatchTokens: 4096, batchSize: 32 }, pairsOf(100, 50))).toMatchInlineSnapshot(
      `"Llama: this run needs about 21.5 GB of memory, and 8.0 GB are available. It takes 16.2 GB for activations, 4.9 GB for weights, 226 MB for gradients and optimizer, 203 MB for the engine. It would fit with --micro-batch-tokens 200 (about 5.9 GB). --force tries it as it is."`,
    );
  });
});

const { at } = scratchFolder();
const model = writeTinyModel(at("model"));
const data = writePairs(at("pairs.jsonl"), 4);
const options = (output: string) => ({
  model,
  data,
  output: at(output),
  batchSize: 2,
  loraRank: 2,
  samplePrompts: 0,
  threads: 1,
});
const LITTLE = 50e6;

type Given = ReturnType<typeof options>;
type Tune = (given: Given, control?: RunControl) => Promise<RunResult>;

describe("a run of any method", () => {
  it.each([
    ["preferences", dpo],
    [
      "preferences after fine-tuning",
      (given: Given, control?: RunControl) => dpo({ ...given, sftFirst: true }, control),
    ],
    ["texts", sft],
    ["rewards", reward],
  ] as [string, Tune][])("is refused before anything is written, and goes on by force: %s", async (name, tune) => {
    const given = options(name);
    const refused = tune(given, { memoryLimit: LITTLE });
    await expect(refused).rejects.toThrow(
      /this run needs about \d+ MB of memory, and 50 MB are available\. .* --force /,
    );
    await expect(refused).rejects.toBeInstanceOf(ConfigError);
    expect(existsSync(given.output)).toBe(false);
    const starts: RunSummary[] = [];
    const onStart = (summary: RunSummary) => starts.push(summary);
    const { result } = await tune(given, { memoryLimit: LITTLE, force: true, observer: { onStart } });
    expect(existsSync(result!)).toBe(true);
    for (const { memory, availableMemory } of starts) {
      expect(availableMemory).toBe(LITTLE);
      expect(memory.total).toBeGreaterThan(LITTLE);
    }
  });

  it("is refused when it is resumed with less memory, stays as it is, and goes on once there is enough", async () => {
    const abort = new AbortController();
    const observer = { onStep: () => abort.abort() };
    const { step } = await dpo(options("resumed"), { observer, signal: abort.signal });
    expect(step).toBe(1);
    const files = () => readdirSync(at("resumed"), { recursive: true }).toSorted();
    const [before, metrics] = [files(), readFileSync(at("resumed", "metrics.jsonl"), "utf8")];
    await expect(dpo(options("resumed"), { resume: true, memoryLimit: LITTLE })).rejects.toThrow(
      "this run needs about",
    );
    expect(files()).toEqual(before);
    expect(readFileSync(at("resumed", "metrics.jsonl"), "utf8")).toBe(metrics);
    expect(await dpo(options("resumed"), { resume: true })).toMatchObject({ step: 2, steps: 2 });
  });

  it("says before its first step what it will take and what there is", async () => {
    let summary: RunSummary | undefined;
    await dpo(options("told"), { observer: { onStart: (start) => (summary = start) } });
    const { total, ...parts } = summary!.memory;
    expect(Object.keys(parts)).toEqual(["weights", "training", "activations", "engine"]);
    expect(total).toBeLessThan(summary!.availableMemory);
  });
});

describe("a model that is opened to score or to write", () => {
  it("is refused where its weights alone take more memory than there is, unless by force", async () => {
    const refused = loadModel(model, { memoryLimit: LITTLE });
    await expect(refused).rejects.toThrow(
      `${model}: its weights take 1 MB of memory in float32, and 50 MB are available. Take a smaller model, or a machine with more memory. --force tries it as it is.`,
    );
    await using loaded = await loadModel(model, { memoryLimit: LITTLE, force: true });
    expect(loaded.model.family).toBe("llama");
    await using fits = await loadModel(model, { memoryLimit: 200e6 });
    expect(fits.model.family).toBe("llama");
  });
});
