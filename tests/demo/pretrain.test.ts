import { describe, expect, it } from "vitest";
import { exampleTokenizer } from "../../src/demo/example-files.ts";
import { initialWeights, modelConfig } from "../../src/demo/model.ts";
import { type PretrainingProgress, pretrain } from "../../src/demo/pretrain.ts";
import type { Weights } from "../../src/models/index.ts";
import { llama } from "../../src/models/llama.ts";
import { tokenizerFromFiles } from "../../src/text/tokenizer.ts";
import { digests } from "../support/same-bits.ts";

const tokenizer = tokenizerFromFiles(exampleTokenizer());

describe("initial weights", () => {
  const model = llama(modelConfig, "test");
  const weights = initialWeights(model, 0);
  const deviation = (name: string, values: Weights = weights) => {
    const data = values[name]!.data as Float32Array;
    return Math.sqrt(data.reduce((total, value) => total + value * value, 0) / data.length);
  };

  it("keep the size of what goes through them, less where they add to the residual stream", () => {
    expect(deviation("model.embed_tokens.weight")).toBeCloseTo(0.02, 3);
    expect(deviation("model.layers.1.mlp.up_proj.weight")).toBeCloseTo(1 / Math.sqrt(128), 3);
    expect(deviation("model.layers.2.mlp.down_proj.weight")).toBeCloseTo(1 / Math.sqrt(8 * 344), 3);
    expect(deviation("model.layers.3.self_attn.o_proj.weight")).toBeCloseTo(1 / Math.sqrt(8 * 128), 3);
  });

  it("scale nothing in a norm", () => {
    expect(new Set(weights["model.norm.weight"]!.data as Float32Array)).toEqual(new Set([1]));
  });

  it("are the same for the same seed, others for another", () => {
    expect(digests(initialWeights(model, 0))).toEqual(digests(weights));
    const name = "model.embed_tokens.weight";
    expect(deviation(name, initialWeights(model, 1))).not.toBe(deviation(name));
  });
});

describe("pretraining", () => {
  const options = { batchSize: 8, learningRate: 3e-3, warmupSteps: 5, seed: 0, evaluateEvery: 20, threads: 1 };

  it("starts from knowing nothing, a uniform guess, and learns", async () => {
    const progress: PretrainingProgress[] = [];
    await pretrain(tokenizer, { ...options, steps: 30 }, (at) => progress.push(at));
    expect(progress.map(({ step }) => step)).toEqual([20, 30]);
    expect(progress.every(({ heldOutLoss }) => heldOutLoss < Math.log(1024))).toBe(true);
    expect(progress.at(-1)!.heldOutLoss).toBeLessThan(0.65 * Math.log(1024));
    expect(progress.at(-1)!.loss).toBeLessThan(progress[0]!.loss);
  });

  it("gives the same weights for the same seed", async () => {
    const weights = async () => digests(await pretrain(tokenizer, { ...options, steps: 2 }));
    expect(await weights()).toEqual(await weights());
  });
});
