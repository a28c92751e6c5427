import { describe, expect, it } from "vitest";
import { exampleTokenizer } from "../../src/demo/example-files.ts";
import { initialWeights, modelConfig } from "../../src/demo/model.ts";
import { type PretrainingProgress, pretrain } from "../../src/demo/pretrain.ts";
import { llama } from "../../src/models/llama.ts";
import { tokenizerFromFiles } from "../../src/text/tokenizer.ts";

const tokenizer = tokenizerFromFiles(exampleTokenizer());

describe("initial weights", () => {
  const model = llama(modelConfig, "test");
  const deviation = (name: string, seed = 0) => {
    const values = Array.from(initialWeights(model, seed)[name]!.data, Number);
    return Math.sqrt(values.reduce((total, value) => total + value * value, 0) / values.length);
  };

  it("keep the size of what goes through them, less where they add to the residual stream", () => {
    expect(deviation("model.embed_tokens.weight")).toBeCloseTo(0.02, 3);
    expect(deviation("model.layers.1.mlp.up_proj.weight")).toBeCloseTo(1 / Math.sqrt(128), 3);
    expect(deviation("model.layers.2.mlp.down_proj.weight")).toBeCloseTo(1 / Math.sqrt(8 * 344), 3);
    expect(deviation("model.layers.3.self_attn.o_proj.weight")).toBeCloseTo(1 / Math.sqrt(8 * 128), 3);
  });

  it("scale nothing in a norm", () => {
    expect(new Set(initialWeights(model, 0)["model.norm.weight"]!.data as Float32Array)).toEqual(new Set([1]));
  });

  it("are the same for the same seed, others for another", () => {
    expect(initialWeights(model, 5)).toEqual(initialWeights(model, 5));
    expect(deviation("model.embed_tokens.weight", 5)).not.toBe(deviation("model.embed_tokens.weight", 6));
  });
});

describe("pretraining", () => {
  const options = { batchSize: 8, learningRate: 3e-3, warmupSteps: 5, seed: 0, evaluateEvery: 15 };

  it("starts from knowing nothing, a uniform guess, and learns", async () => {
    const progress: PretrainingProgress[] = [];
    await pretrain(tokenizer, { ...options, steps: 31 }, (at) => progress.push(at));
    expect(progress.map(({ step }) => step)).toEqual([15, 30, 31]);
    expect(progress.every(({ heldOutLoss }) => heldOutLoss < Math.log(1024))).toBe(true);
    expect(progress.at(-1)!.heldOutLoss).toBeLessThan(0.65 * Math.log(1024));
    expect(progress.at(-1)!.loss).toBeLessThan(progress[0]!.loss);
  });

  it("gives the same weights for the same seed", async () => {
    const weights = () => pretrain(tokenizer, { ...options, steps: 3 });
    expect(await weights()).toEqual(await weights());
  });
});
