/**
 * EXO on pairs, Ji et al. 2024, "Towards Efficient and Exact Optimization of Language Model Alignment" (arXiv 2402.00856),
 * equation 16 by TRL's count: the reverse KL from the policy's preference, (s(z), s(-z)), to the label's, (1 - e, e):
 *
 *   L = s(z) (log s(z) - log(1 - e)) + s(-z) (log s(-z) - log e),   s = sigmoid
 *
 * Without smoothing the label gives the rejected completion no probability at all and the divergence is infinite, so e is
 * above 0 here; TRL refuses its own default of 0 there.
 */

import { add, mul, neg, sigmoid, softplus, sub } from "../tensor/index.ts";
import { marginObjective } from "./margin.ts";
import { labelSmoothing } from "./options.ts";

export const exoPairLoss = marginObjective({
  name: "exo_pair",
  title: "EXO",
  source: "Ji et al. 2024, arXiv 2402.00856, equation 16",
  formula: "s(z) (log s(z) - log(1 - e)) + s(-z) (log s(-z) - log e)",
  use: "a policy that should settle on one mode of the preferences instead of covering all",
  options: { labelSmoothing: labelSmoothing.unwrap().positive().default(1e-3).describe(labelSmoothing.description!) },
  loss: (z, { labelSmoothing: e }) => {
    const chosen = mul(sigmoid(z), sub(neg(softplus(neg(z))), Math.log1p(-e)));
    const rejected = mul(sigmoid(neg(z)), sub(neg(softplus(z)), Math.log(e)));
    return add(chosen, rejected);
  },
});
