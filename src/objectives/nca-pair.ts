/**
 * Noise contrastive alignment on pairs, Chen et al. 2024, "Noise Contrastive Alignment of Language Models with Explicit
 * Rewards" (arXiv 2402.05369):
 *
 *   L = -log sigmoid(beta a) - (1/2) log sigmoid(-beta a) - (1/2) log sigmoid(-beta c)
 *
 * The middle term holds the chosen completion's likelihood where DPO, which sees differences alone, lets it fall.
 */

import { add, mul, neg, softplus } from "../tensor/index.ts";
import { pairObjective } from "./pairwise.ts";

export const ncaPairLoss = pairObjective({
  name: "nca_pair",
  title: "NCA",
  source: "Chen et al. 2024, arXiv 2402.05369",
  formula: "-log s(beta a) - (log s(-beta a) + log s(-beta c)) / 2",
  use: "chosen completions whose likelihood must not fall",
  loss: (ratios, { beta }) => {
    const [chosen, rejected] = [mul(beta, ratios.chosen), mul(beta, ratios.rejected)];
    return add(softplus(neg(chosen)), mul(0.5, add(softplus(chosen), softplus(rejected))));
  },
});
