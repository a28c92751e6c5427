/** How much memory a run is going to take, estimated from shapes before anything is computed. */

import type { TokenizedExample } from "../data/example.ts";
import { packedLength, scoredLengths } from "../data/microbatch.ts";
import type { LanguageModel } from "../models/model.ts";
import { linearSizes } from "../models/parameters.ts";
import { parameterCount } from "../models/weights.ts";
import type { Objective } from "../objectives/index.ts";
import type { TrainingConfig } from "./config.ts";
import type { Policy } from "./policy.ts";
import { needsReferenceRows } from "./row-statistics.ts";

const FLOAT = 4;
/** Node, the engine's library and compiled programs. */
const BASE_BYTES = 150e6;

/**
 * Bytes: the weights; of what is trained the values, their gradients (the sum, and one micro-batch's as the engine makes
 * and returns them) and the optimizer's memory; what a moving reference holds of its own; and the activations of the
 * largest micro-batch.
 */
export function estimateMemory(
  model: LanguageModel,
  policy: Policy,
  config: TrainingConfig,
  examples: readonly TokenizedExample[],
  objective: Pick<Objective, "rowStatistics"> = {},
): number {
  const weights = parameterCount(model);
  const moments = config.optimizer === "adamw" ? 2 : 1;
  const trained = policy.trainable.data.length * (1 + 3 + moments);
  const reference = policy.moving?.values.data.length ?? 0;
  const tokens = Math.max(
    config.microBatchTokens,
    examples.reduce((n, e) => Math.max(n, packedLength(e)), 0),
  );
  const scored = model.scores === "reward" ? 0 : tokens * Math.max(0.5, scoredShare(examples));
  return BASE_BYTES + FLOAT * (weights + trained + reference + activations(model, { tokens, scored }, objective));
}

/** The share of their tokens that is scored: most of them where texts are learned whole. */
function scoredShare(examples: readonly TokenizedExample[]): number {
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
  return sum(examples.flatMap(scoredLengths)) / Math.max(1, sum(examples.map(packedLength)));
}

/**
 * Values alive at the end of a forward pass on `tokens` tokens, and the logits of those that are scored with their gradient: the
 * policy's, and the reference's where the objective sees both.
 */
function activations(
  model: LanguageModel,
  { tokens, scored }: { tokens: number; scored: number },
  objective: Pick<Objective, "rowStatistics">,
): number {
  const widths = model.linearModules.reduce((n, module) => n + linearSizes(model, module).outFeatures, 0);
  const attention = model.layers * model.attentionHeads * tokens * tokens;
  const logits = needsReferenceRows(objective) ? 6 : 3;
  return 1.5 * tokens * widths + attention + logits * scored * model.vocabularySize;
}
