/**
 * Direct Preference Optimization, Rafailov et al. 2023 (arXiv 2305.18290), equation 7:
 *
 *   L = -log sigmoid(z),   z = beta (log(pi(y_w|x) / pi_ref(y_w|x)) - log(pi(y_l|x) / pi_ref(y_l|x)))
 *
 * With label smoothing e it is conservative DPO (Mitchell 2023, "A note on DPO with noisy preferences"), which takes a
 * label to be flipped with probability e:
 *
 *   L = -(1 - e) log sigmoid(z) - e log sigmoid(-z)
 *
 * The official code smooths so; TRL has dropped it and ignores `label_smoothing` here without a word.
 *
 * Reference-free drops both pi_ref terms. A smaller beta lets the policy drift further from the reference: beta is the
 * weight of the KL penalty in the problem that DPO solves in closed form (equation 3).
 */

import { add, mul, neg, softplus, type Tensor } from "../tensor/index.ts";
import { marginObjective } from "./margin.ts";
import { labelSmoothing } from "./options.ts";

export const sigmoidLoss = marginObjective({
  name: "sigmoid",
  title: "DPO",
  source: "Rafailov et al. 2023, arXiv 2305.18290, equation 7; smoothed: Mitchell 2023",
  formula: "-(1 - e) log s(z) - e log s(-z)",
  use: "the default: simple and well understood; e above 0 for noisy labels",
  options: { labelSmoothing },
  loss: (z, { labelSmoothing: e }) => logisticLoss(z, e),
});

/** -(1 - e) log sigmoid(z) - e log sigmoid(-z), by -log sigmoid(z) = softplus(-z), which never overflows. */
export function logisticLoss(z: Tensor, e: number): Tensor {
  return e === 0 ? softplus(neg(z)) : add(mul(1 - e, softplus(neg(z))), mul(e, softplus(z)));
}
