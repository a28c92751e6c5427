/**
 * Direct Preference Optimization, Rafailov et al. 2023 (arXiv 2305.18290), equation 7:
 *
 *   L = -log sigmoid(beta * h),   h = log(pi(y_w|x) / pi_ref(y_w|x)) - log(pi(y_l|x) / pi_ref(y_l|x))
 *
 * With label smoothing e it is conservative DPO (Mitchell 2023, "A note on DPO with noisy preferences"), which takes a
 * label to be flipped with probability e:
 *
 *   L = -(1 - e) log sigmoid(beta h) - e log sigmoid(-beta h)
 *
 * Reference-free drops both pi_ref terms. A smaller beta lets the policy drift further from the reference: beta is the
 * weight of the KL penalty in the problem that DPO solves in closed form (equation 3).
 */

import { add, mul, neg, softplus, sub } from "../tensor/index.ts";
import type { Objective } from "./objective.ts";
import { logRatios, pairRoles, rewardMetrics } from "./pairwise.ts";

export interface DpoOptions {
  /** Strength of the pull to the reference, above 0. */
  readonly beta: number;
  /** Probability that a preference is labelled the wrong way round, 0 to below 0.5. */
  readonly labelSmoothing?: number;
  readonly referenceFree?: boolean;
}

export function dpo({ beta, labelSmoothing = 0, referenceFree = false }: DpoOptions): Objective {
  return {
    name: "sigmoid",
    roles: pairRoles,
    needsReference: !referenceFree,
    ...(!referenceFree && { lossAtReference: Math.log(2) }),
    build(completions) {
      const ratios = logRatios(completions, referenceFree);
      const logits = mul(beta, sub(ratios.chosen, ratios.rejected));
      // -log sigmoid(z) = softplus(-z), which never overflows.
      const losses =
        labelSmoothing === 0
          ? softplus(neg(logits))
          : add(mul(1 - labelSmoothing, softplus(neg(logits))), mul(labelSmoothing, softplus(logits)));
      return { losses, metrics: rewardMetrics(ratios, beta) };
    },
  };
}
