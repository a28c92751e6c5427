/**
 * What all objectives over labelled completions share: one completion an example, desirable or not, and how far the policy has
 * moved on it from the reference, a = log(pi(y|x) / pi_ref(y|x)). With a reference point z they are functions of
 *
 *   d = a - z for a desirable completion,   d = z - a for another:
 *
 * how far the completion is on its own side of the reference point.
 */

import { constant, greaterOrEqual, mul, neg, sub, type Tensor, where } from "../tensor/index.ts";
import type { Objective, ScoredCompletions } from "./objective.ts";

/** Each example has one completion, and says by `label` (1 or 0) whether it is desirable. */
export const labelledCompletions = {
  roles: ["completion"],
  needsReference: true,
  columns: { label: "example" },
} as const satisfies Partial<Objective>;

/** Log-ratios a [E], and whether an example's completion is desirable [E]. */
interface LabelledScores {
  readonly ratio: Tensor;
  readonly isDesirable: Tensor;
}

export function labelledScores({ policy, reference, columns }: ScoredCompletions): LabelledScores {
  return { ratio: sub(policy, reference), isDesirable: greaterOrEqual(columns.label!, 0.5) };
}

/** How far each value is on its own side of the reference point: above it for desirable completions, below it for others [E]. */
export function onOwnSide({ isDesirable }: LabelledScores, value: Tensor, point: Tensor | number): Tensor {
  const above = sub(value, point);
  return where(isDesirable, above, neg(above));
}

/** Log-ratios closer to the reference point than this, in nats, are there but for float32 rounding. */
const ROUNDING = 1e-3;

/**
 * Rewards beta a and log-probabilities under the names that pairs have, each a mean over the examples of its kind alone, and the
 * share of all examples whose reward is on its own side of the reference point; one that is just there is not.
 */
export function labelledMetrics(
  { policy }: ScoredCompletions,
  scores: LabelledScores,
  { beta, ownSide }: { readonly beta: number; readonly ownSide: Tensor },
): Record<string, Tensor> {
  const { ratio, isDesirable } = scores;
  const rewards = mul(beta, ratio);
  const notOfThisKind = constant(Number.NaN);
  const desirable = (values: Tensor) => where(isDesirable, values, notOfThisKind);
  const undesirable = (values: Tensor) => where(isDesirable, notOfThisKind, values);
  return {
    "rewards/chosen": desirable(rewards),
    "rewards/rejected": undesirable(rewards),
    "rewards/accuracies": where(greaterOrEqual(beta * ROUNDING, ownSide), 0, 1),
    "logps/chosen": desirable(policy),
    "logps/rejected": undesirable(policy),
  };
}
