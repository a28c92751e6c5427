/** A checkpoint's weights as the inputs of its model's programs. */

import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import { CheckpointError } from "../errors.ts";
import type { Value } from "../runtime/runtime.ts";
import type { LanguageModel } from "./model.ts";
import { OWN_HEADS, refuseOtherHead } from "./tied-head.ts";

export type Weights = Readonly<Record<string, Value>>;

/** Milliseconds of reading after which whatever waits is let through: a signal is heard well within a second. */
const PATIENCE = 50;

/**
 * Reads every weight of the model, each once, as float32. Throws CheckpointError for a weight that is missing or has
 * another shape than the configuration says, before any is read, for a head that should be the embedding and is not, and
 * the signal's reason when it aborts.
 */
export async function loadWeights(
  checkpoint: Checkpoint,
  model: LanguageModel,
  signal?: AbortSignal,
): Promise<Weights> {
  refuseOtherShapes(checkpoint, model);
  const weights: Record<string, Value> = {};
  let since = performance.now();
  for (const [name, dims] of model.weights) {
    if (performance.now() - since > PATIENCE) {
      await new Promise<void>((resolve) => setTimeout(resolve));
      since = performance.now();
    }
    signal?.throwIfAborted();
    const data = readWeight(checkpoint, model, name);
    if (name === model.headWeight && model.scores === "log-probability") refuseOtherHead(checkpoint, model, data);
    weights[name] = { dims, data };
  }
  return weights;
}

function refuseOtherShapes(checkpoint: Checkpoint, model: LanguageModel): void {
  for (const [name, shape] of model.weights) {
    const found = checkpoint.tensors.get(storedName(checkpoint, model, name));
    if (!found) throw missing(checkpoint, storedName(checkpoint, model, name));
    if (found.shape.join() !== shape.join()) {
      throw new CheckpointError(
        `${checkpoint.source}: the weight "${name}" has the shape [${found.shape.join(", ")}], but config.json asks for [${shape.join(", ")}].`,
      );
    }
  }
}

function missing({ source, unreadable }: Checkpoint, name: string): CheckpointError {
  const dtype = unreadable?.get(name);
  if (dtype !== undefined) {
    return new CheckpointError(
      `${source}: the weight "${name}" is stored as ${dtype}; weights must be F32, F16 or BF16.`,
    );
  }
  const hint = OWN_HEADS.has(name)
    ? " Where the embedding is the head too, set tie_word_embeddings to true in it."
    : "";
  return new CheckpointError(
    `${source}: the weight "${name}" is missing. The file is incomplete, or config.json is of another model.${hint}`,
  );
}

/** Reads one weight of a model as float32. Throws CheckpointError where it is missing. */
export function readWeight(checkpoint: Checkpoint, model: LanguageModel, name: string): Float32Array<ArrayBuffer> {
  return checkpoint.read(storedName(checkpoint, model, name));
}

/**
 * A checkpoint of a model's body alone, as GPT-2's own is, lacks the body's name in front: "h.0.ln_1.weight". A head that is the
 * embedding is stored once, by either name.
 */
function storedName({ tensors }: Pick<Checkpoint, "tensors">, model: LanguageModel, name: string): string {
  const isHead = name === model.headWeight && model.scores === "log-probability";
  const others = [name.slice(name.indexOf(".") + 1), ...(isHead ? OWN_HEADS : [])];
  return tensors.has(name) ? name : (others.find((other) => tensors.has(other)) ?? name);
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
