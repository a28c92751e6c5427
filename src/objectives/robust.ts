/**
 * Robust DPO, Chowdhury, Kini, Natarajan 2024, "Provably Robust DPO" (arXiv 2403.00409): where labels are flipped with
 * probability e, the mean of this loss over the flips is the loss on the clean labels,
 *
 *   L = (-(1 - e) log sigmoid(z) + e log sigmoid(-z)) / (1 - 2 e) = -log sigmoid(z) - e z / (1 - 2 e)
 *
 * by log sigmoid(-z) = log sigmoid(z) - z. Written so it keeps its digits as e goes to 1/2, where the two terms cancel.
 * It can be negative, and is not bounded from below for e above 0.
 */

import { mul, neg, softplus, sub } from "../tensor/index.ts";
import { marginObjective } from "./margin.ts";
import { labelSmoothing } from "./options.ts";

export const robustLoss = marginObjective({
  name: "robust",
  title: "Robust DPO",
  source: "Chowdhury et al. 2024, arXiv 2403.00409",
  formula: "(-(1 - e) log s(z) + e log s(-z)) / (1 - 2 e)",
  use: "labels that are known to be flipped at a rate e",
  options: { labelSmoothing },
  loss: (z, { labelSmoothing: e }) => sub(softplus(neg(z)), mul(e / (1 - 2 * e), z)),
});
