/** What all objectives over pairs share: the chosen and the rejected column, log-ratios, and the metrics everybody knows. */

import { greaterOrEqual, mul, quotient, reshape, slice, sub, type Tensor, where } from "../tensor/index.ts";
import type { ScoredCompletions } from "./objective.ts";

export const pairRoles = ["chosen", "rejected"] as const;

/** A column of values of the chosen completions and one of the rejected, each [E]. */
export interface Pair {
  readonly chosen: Tensor;
  readonly rejected: Tensor;
}

/** Splits values of C = 2 E completions, chosen first in each pair. */
export function splitPairs(values: Tensor): Pair {
  const examples = quotient(values.shape[0]!, 2);
  const pairs = reshape(values, [examples, 2]);
  return {
    chosen: reshape(slice(pairs, 1, 0, 1), [examples]),
    rejected: reshape(slice(pairs, 1, 1, 2), [examples]),
  };
}

/** log pi(y | x) - log pi_ref(y | x) of both completions; reference-free: log pi(y | x) itself. */
export function logRatios(completions: ScoredCompletions, referenceFree: boolean): Pair {
  return splitPairs(referenceFree ? completions.policy : sub(completions.policy, completions.reference));
}

/**
 * Implicit rewards r(x, y) = beta log(pi(y | x) / pi_ref(y | x)) (Rafailov et al. 2023, section 5.1), under the names
 * that every trainer logs. A tie is not an accurate ranking.
 */
export function rewardMetrics(ratios: Pair, beta: number): Record<string, Tensor> {
  const chosen = mul(beta, ratios.chosen);
  const rejected = mul(beta, ratios.rejected);
  return {
    "rewards/chosen": chosen,
    "rewards/rejected": rejected,
    "rewards/margins": sub(chosen, rejected),
    "rewards/accuracies": where(greaterOrEqual(rejected, chosen), 0, 1),
  };
}
