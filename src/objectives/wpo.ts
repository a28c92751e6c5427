/**
 * Weighted Preference Optimization, Zhou et al. 2024, "WPO: Enhancing RLHF with Weighted Preference Optimization" (arXiv
 * 2406.11827), equation 2 with sampled alignment: each pair's loss is multiplied by
 *
 *   w(x, y_w) w(x, y_l),   w(x, y) = exp(1/|y| sum_t (log pi(y_t | x, y_<t) - log sum_v pi(v | x, y_<t)^2))
 *
 * which is large for pairs that the policy might have written itself: over the policy's own samples a token's ratio
 * pi(y_t) / sum_v pi(v)^2 is 1 in the mean. The weights are numbers to the gradient. Being means over tokens they stay in
 * range however long a completion is.
 *
 * They are not clamped. The authors' code, and TRL to 0.28 with it, takes min(w w, 1); the paper's equation does not, nor
 * does TRL 1.13. Ratios above 1, at most 1 / max_v pi(v), are those of likely tokens in flat distributions, and a clamp
 * would cut off one side of what is 1 in the mean. RPO's term of a pair is weighed with the rest of its loss; the objective
 * `sft` beside it is not of pairs and is not weighed, as it is in TRL.
 */

import { z } from "zod";
import { div, exp, mul, stopGradient, sub, type Tensor } from "../tensor/index.ts";
import type { ScoredCompletions } from "./objective.ts";
import { splitPairs } from "./pair.ts";
import { sumBy } from "./sums.ts";

export const wpo = z
  .boolean()
  .default(false)
  .describe("weigh each pair by how likely the policy would have written it itself (WPO)");

/** w(x, y_w) w(x, y_l) [E]. */
export function pairWeights({ lengths, tokens }: ScoredCompletions): Tensor {
  const { policy, membership, statistics } = tokens;
  const ratios = sumBy(membership, sub(policy, statistics.logCollision!)); // [C]
  const weights = splitPairs(exp(div(ratios, lengths)));
  return stopGradient(mul(weights.chosen, weights.rejected));
}
