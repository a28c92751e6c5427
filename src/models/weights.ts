/** A checkpoint's weights as the inputs of its model's programs. */

import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import { CheckpointError } from "../errors.ts";
import type { Value } from "../runtime/runtime.ts";
import type { LanguageModel } from "./model.ts";

export type Weights = Readonly<Record<string, Value>>;

/**
 * Reads every weight of the model, each once, as float32. Throws CheckpointError for a weight that is missing or has
 * another shape than the configuration says, before any is read.
 */
export function loadWeights(checkpoint: Checkpoint, model: LanguageModel): Weights {
  for (const [name, shape] of model.weights) {
    const found = checkpoint.tensors.get(name);
    if (!found) {
      throw new CheckpointError(
        `${checkpoint.source}: the weight "${name}" is missing. The file is incomplete, or config.json is of another model.`,
      );
    }
    if (found.shape.join() !== shape.join()) {
      throw new CheckpointError(
        `${checkpoint.source}: the weight "${name}" has the shape [${found.shape.join(", ")}], but config.json asks for [${shape.join(", ")}].`,
      );
    }
  }
  return Object.fromEntries([...model.weights].map(([name, dims]) => [name, { dims, data: checkpoint.read(name) }]));
}

/** How many values the model's weights have together. */
export function parameterCount(model: LanguageModel): number {
  return [...model.weights.values()].reduce((n, shape) => n + shape.reduce((a, b) => a * b, 1), 0);
}

/** Rotary tables for positions up to `count`, as every program over the model takes them. */
export function rotaryInputValues(model: LanguageModel, count: number): Weights {
  const { cos, sin, width } = model.rotaryTables(count);
  return { "rotary.cos": { dims: [count, width], data: cos }, "rotary.sin": { dims: [count, width], data: sin } };
}
