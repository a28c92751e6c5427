/**
 * Alignment via optimal transport, Melnyk et al. 2024, "Distributional Preference Alignment of LLMs via Optimal Transport"
 * (arXiv 2406.05882), for pairs. Not each pair's margin has to grow, but their distribution: the i-th smallest margin of
 * the policy has to be above the i-th smallest of the reference, which is first-order stochastic dominance,
 *
 *   L = -(1 - e) log sigmoid(beta (u_(i) - v_(i))) - e log sigmoid(-beta (u_(i) - v_(i)))
 *
 *   u = log pi(y_w|x) - log pi(y_l|x),   v = log pi_ref(y_w|x) - log pi_ref(y_l|x)
 *
 * Sorted is the whole optimizer step; TRL sorts each micro-batch, so that there the loss depends on how a step is cut up.
 * Knowing the order before the gradient of any pair takes one forward pass more of the policy.
 *
 * The margin of the reference that a pair is matched with is a constant to the gradient, which is exact: a small change of
 * the policy leaves the order as it is.
 */

import { mul, sub } from "../tensor/index.ts";
import { logisticLoss } from "./dpo.ts";
import type { StepContext } from "./objective.ts";
import { labelSmoothing } from "./options.ts";
import { splitPairs } from "./pair.ts";
import { type PairSettings, pairObjective } from "./pairwise.ts";
import { differences, interleave, matched, stepPairs } from "./step-pairs.ts";

export const aotLoss = pairObjective({
  name: "aot",
  title: "AOT, paired",
  source: "Melnyk et al. 2024, arXiv 2406.05882",
  formula: "-(1 - e) log s(z) - e log s(-z), z = beta (u_(i) - v_(i)), u and v sorted over the step",
  use: "preferences that hold between distributions more than pair by pair; with large steps",
  options: { labelSmoothing },
  sorted: true,
  context: matchedMargins,
  loss: ({ policy, step }, { beta, labelSmoothing: e }) => {
    const margin = sub(policy.chosen, policy.rejected);
    return logisticLoss(mul(beta, sub(margin, splitPairs(step.matchedMargin!).chosen)), e);
  },
});

/** The reference's margin that each pair is matched with, at the place of its chosen completion. */
function matchedMargins(options: PairSettings): StepContext {
  return {
    values: { matchedMargin: "completion" },
    scores: "own",
    compute(step) {
      const { policy, reference } = stepPairs(step, options);
      const margins = differences(policy.chosen, policy.rejected);
      const chosen = matched(margins, differences(reference.chosen, reference.rejected));
      return { values: { matchedMargin: interleave({ chosen, rejected: chosen.map(() => 0) }) } };
    },
  };
}
