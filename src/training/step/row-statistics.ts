/**
 * The row statistics that an objective may declare (objective.ts), in the graph: sums over the vocabulary of what the
 * logits of the scored rows say, so that no array as wide as the vocabulary leaves the engine.
 *
 * The reference's distribution comes as its final hidden rows [R, d], an output of its own pass, and its output head: its
 * logits are computed where they are needed, and again rather than kept.
 */

import type { LanguageModel } from "../../models/model.ts";
import { rowLogits } from "../../models/scoring.ts";
import type { Objective, RowStatistic } from "../../objectives/index.ts";
import { input, klDivergence, logCollision, reshape, type Tensor } from "../../tensor/index.ts";

/** Logits [R, V] of the policy and of the reference. */
interface RowDistributions {
  readonly policy: Tensor;
  readonly reference: Tensor;
}

/** Each statistic [R, 1] from the logits. */
const definitions: Readonly<Record<RowStatistic, (logits: RowDistributions) => Tensor>> = {
  logCollision: ({ policy }) => logCollision(policy),
  referenceKl: ({ policy, reference }) => klDivergence(reference, policy),
};

/** Inputs of programs with statistics of the reference's distribution: its hidden rows [R, d] and its head [V, d]. */
export const referenceRowsInput = "reference.rows";
export const referenceHeadInput = "reference.head";

/** Whether the objective needs the reference's whole distribution at each scored token. */
export function needsReferenceRows({ rowStatistics = [] }: Pick<Objective, "rowStatistics">): boolean {
  return rowStatistics.includes("referenceKl");
}

/** The declared statistics [R] of rows whose logits under the policy are given [R, V]. */
export function rowStatistics(
  { rowStatistics: names = [] }: Pick<Objective, "rowStatistics">,
  model: Pick<LanguageModel, "hiddenSize" | "vocabularySize" | "logitCap">,
  policy: Tensor,
): Partial<Record<RowStatistic, Tensor>> {
  const rows = policy.shape[0]!;
  const hidden = input(referenceRowsInput, [rows, model.hiddenSize]);
  const reference = rowLogits(model, hidden, input(referenceHeadInput, [model.vocabularySize, model.hiddenSize]));
  return Object.fromEntries(names.map((name) => [name, reshape(definitions[name]({ policy, reference }), [rows])]));
}
