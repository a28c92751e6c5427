/**
 * Identity Preference Optimization, Azar et al. 2023 (arXiv 2310.12036), equation 17:
 *
 *   L = (h - 1 / (2 beta))^2,   h = log(pi(y_w|x) / pi_ref(y_w|x)) - log(pi(y_l|x) / pi_ref(y_l|x))
 *
 * The margin h has a finite target, so deterministic preferences can't drive it without bound as DPO's do. The paper
 * writes the log-probability of a whole completion; its authors confirmed that theirs is averaged over the completion's
 * tokens, each completion by its own length. `sum` keeps the sums, as the official DPO code has it.
 */

import { div, mul, sub } from "../tensor/index.ts";
import type { Objective } from "./objective.ts";
import { logRatios, pairRoles, rewardMetrics, splitPairs } from "./pairwise.ts";

export interface IpoOptions {
  /** The paper's tau: the target margin is 1 / (2 beta). */
  readonly beta: number;
  /** Sums of log-probabilities instead of averages over tokens. */
  readonly sum?: boolean;
  readonly referenceFree?: boolean;
}

export function ipo({ beta, sum = false, referenceFree = false }: IpoOptions): Objective {
  const target = 1 / (2 * beta);
  return {
    name: "ipo",
    roles: pairRoles,
    needsReference: !referenceFree,
    ...(!referenceFree && { lossAtReference: target * target }),
    build(completions) {
      const ratios = logRatios(completions, referenceFree);
      const lengths = splitPairs(completions.lengths);
      const margin = sum
        ? sub(ratios.chosen, ratios.rejected)
        : sub(div(ratios.chosen, lengths.chosen), div(ratios.rejected, lengths.rejected));
      const distance = sub(margin, target);
      return { losses: mul(distance, distance), metrics: rewardMetrics(ratios, beta) };
    },
  };
}
