/** One tuned model in three forms (GGUF with a PEFT adapter, merged Hugging Face folder, folder with the adapter) says the same. */

import { describe, expect, it } from "vitest";
import { writeCheckpoint } from "../../src/checkpoints/huggingface.ts";
import { openCheckpoint } from "../../src/checkpoints/open.ts";
import { type LoraModule, readAdapter, writeAdapter } from "../../src/checkpoints/peft.ts";
import { score } from "../../src/evaluation/score.ts";
import { modelFor } from "../../src/models/index.ts";
import { mergedWeights } from "../../src/models/merge.ts";
import { Random } from "../../src/random.ts";
import { scratchFolder } from "../support/scratch.ts";
import { HH_PAIRS, SMOLLM2, sharedMissing } from "../support/shared.ts";

const { at, json } = scratchFolder();

/** An adapter that changes the model visibly: A and B both random. */
async function writeRandomAdapter(folder: string): Promise<void> {
  using checkpoint = await openCheckpoint(SMOLLM2);
  const model = modelFor(checkpoint);
  const random = new Random(7);
  const matrix = (size: number, bound: number) =>
    Float32Array.from({ length: size }, () => (2 * random.next() - 1) * bound);
  const modules = model.linearModules.map((path): [string, LoraModule] => {
    const [outFeatures, inFeatures] = model.weights.get(`${path}.weight`)! as [number, number];
    return [path, { a: matrix(4 * inFeatures, 0.04), b: matrix(4 * outFeatures, 0.1), inFeatures, outFeatures }];
  });
  writeAdapter(folder, {
    rank: 4,
    alpha: 8,
    rsLora: false,
    targets: [...new Set(model.linearModules.map((path) => path.split(".").at(-1)!))],
    modules: new Map(modules),
  });
}

/** Writes the GGUF's model as a Hugging Face folder, with the adapter merged in where one is given. */
async function writeFolder(folder: string, adapter?: string): Promise<void> {
  using checkpoint = await openCheckpoint(SMOLLM2);
  const { config, generationConfig, tokenizer } = checkpoint;
  const tensors = mergedWeights(
    checkpoint,
    modelFor(checkpoint),
    adapter === undefined ? undefined : readAdapter(adapter),
  );
  writeCheckpoint(folder, { config, generationConfig, tokenizer, tensors });
}

async function scores(model: string, adapter?: string): Promise<number[]> {
  const logps: number[] = [];
  await score({ model, adapter, data: HH_PAIRS, limit: 1, maxLength: 256, threads: 1 }, ({ logp }) => logps.push(logp));
  return logps;
}

describe.skipIf(sharedMissing)("SmolLM2 (skipped where ../shared is absent)", () => {
  const [adapter, base, merged] = [at("adapter"), at("base"), at("merged")];

  it("says the same as GGUF and as a folder, with its adapter and merged with it", { timeout: 300_000 }, async () => {
    await writeRandomAdapter(adapter);
    await writeFolder(base);
    await writeFolder(merged, adapter);
    const plain = await scores(SMOLLM2);
    expect(await scores(base)).toEqual(plain);
    const adapted = await scores(SMOLLM2, adapter);
    expect(await scores(base, adapter)).toEqual(adapted);
    (await scores(merged)).forEach((logp, i) => {
      expect(Math.abs(logp - adapted[i]!)).toBeLessThan(1e-3);
      expect(Math.abs(adapted[i]! - plain[i]!)).toBeGreaterThan(0.1);
    });
    expect(json("merged", "config.json").model_type).toBe("llama");
  });
});
