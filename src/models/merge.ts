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
import { linearSizes } from "./parameters.ts";
import { readWeight } from "./weights.ts";

/** Throws ConfigError for an adapter that does not fit the model. */
export function refuseForeignAdapter(model: LanguageModel, adapter: LoraAdapter): void {
  for (const [module, { inFeatures, outFeatures }] of adapter.modules) {
    const shape = model.weights.get(`${module}.weight`);
    if (!shape || !model.linearModules.includes(module)) {
      throw new ConfigError(
        `The adapter has a module "${module}", which is not a linear layer of the model. Is it another model's?`,
      );
    }
    const own = linearSizes(model, module);
    if (own.outFeatures !== outFeatures || own.inFeatures !== inFeatures) {
      throw new ConfigError(
        `The adapter's module "${module}" is for a layer of [${outFeatures}, ${inFeatures}]; the model's is [${own.outFeatures}, ${own.inFeatures}]. Is it another model's?`,
      );
    }
  }
}

/** The model's weights with the adapter in them, read and merged one at a time as they are asked for. Throws as refuseForeignAdapter. */
export function mergedWeights(checkpoint: Checkpoint, model: LanguageModel, adapter?: LoraAdapter): TensorSource[] {
  if (adapter) refuseForeignAdapter(model, adapter);
  return [...model.weights].map(([name, shape]) => {
    const module = adapter?.modules.get(name.replace(/\.weight$/, ""));
    const read = () => readWeight(checkpoint, model, name);
    if (!adapter || !module) return { name, shape, read };
    const scale = loraScale({ ...adapter, rankStabilized: adapter.rsLora, modules: [] });
    return { name, shape, read: () => mergeInto(read(), module, scale, model.fanInFanOut) };
  });
}

/** Adds scale * B A to a weight [out, in], in place; to one of [in, out] its transpose. */
function mergeInto(
  weight: Float32Array,
  { a, b, inFeatures, outFeatures }: LoraModule,
  scale: number,
  fanInFanOut = false,
): Float32Array {
  const rank = a.length / inFeatures;
  const [rows, columns] = fanInFanOut ? [inFeatures, outFeatures] : [outFeatures, inFeatures];
  // The update's element at (row, column) is the sum over r of left(row, r) * right(r, column).
  const left = fanInFanOut
    ? (row: number, r: number) => a[r * inFeatures + row]!
    : (row: number, r: number) => b[row * rank + r]!;
  const right = fanInFanOut ? transposed(b, outFeatures, rank) : a;
  const update = new Float64Array(columns);
  for (let row = 0; row < rows; row++) {
    update.fill(0);
    for (let r = 0; r < rank; r++) {
      const factor = left(row, r);
      const start = r * columns;
      for (let column = 0; column < columns; column++) update[column]! += factor * right[start + column]!;
    }
    const start = row * columns;
    for (let column = 0; column < columns; column++) weight[start + column]! += scale * update[column]!;
  }
  return weight;
}

/** [rows, columns] as [columns, rows]. */
function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  return Float32Array.from(values, (_, i) => values[(i % rows) * columns + Math.floor(i / rows)]!);
}
