/**
 * An adapter merged into the weights that it was trained on: W' = W + s B A, with A [rank, in], B [out, rank] and
 * s = alpha / rank (alpha / sqrt(rank) with rsLoRA). Sums over the rank are in double precision and rounded once.
 */

import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import type { LoraAdapter, LoraModule } from "../checkpoints/peft.ts";
import type { TensorSource } from "../checkpoints/safetensors-writer.ts";
import { ConfigError } from "../errors.ts";
import { loraScale } from "./lora.ts";
import type { LanguageModel } from "./model.ts";

/** Throws ConfigError for an adapter that does not fit the model. */
export function refuseForeignAdapter(model: LanguageModel, adapter: LoraAdapter): void {
  for (const [module, { inFeatures, outFeatures }] of adapter.modules) {
    const shape = model.weights.get(`${module}.weight`);
    if (!shape || !model.linearModules.includes(module)) {
      throw new ConfigError(
        `The adapter has a module "${module}", which is not a linear layer of the model. Is it another model's?`,
      );
    }
    if (shape[0] !== outFeatures || shape[1] !== inFeatures) {
      throw new ConfigError(
        `The adapter's module "${module}" is for a layer of [${outFeatures}, ${inFeatures}]; the model's is [${shape.join(", ")}]. Is it another model's?`,
      );
    }
  }
}

/** The model's weights with the adapter in them, read and merged one at a time as they are asked for. Throws as refuseForeignAdapter. */
export function mergedWeights(checkpoint: Checkpoint, model: LanguageModel, adapter?: LoraAdapter): TensorSource[] {
  if (adapter) refuseForeignAdapter(model, adapter);
  return [...model.weights].map(([name, shape]) => {
    const module = adapter?.modules.get(name.replace(/\.weight$/, ""));
    if (!adapter || !module) return { name, shape, read: () => checkpoint.read(name) };
    const scale = loraScale({ ...adapter, rankStabilized: adapter.rsLora, modules: [] });
    return { name, shape, read: () => mergeInto(checkpoint.read(name), module, scale) };
  });
}

/** Adds scale * B A to a weight [out, in], in place. */
function mergeInto(weight: Float32Array, { a, b, inFeatures, outFeatures }: LoraModule, scale: number): Float32Array {
  const rank = a.length / inFeatures;
  const update = new Float64Array(inFeatures);
  for (let row = 0; row < outFeatures; row++) {
    update.fill(0);
    for (let r = 0; r < rank; r++) {
      const factor = b[row * rank + r]!;
      const start = r * inFeatures;
      for (let column = 0; column < inFeatures; column++) update[column]! += factor * a[start + column]!;
    }
    const start = row * inFeatures;
    for (let column = 0; column < inFeatures; column++) weight[start + column]! += scale * update[column]!;
  }
  return weight;
}
