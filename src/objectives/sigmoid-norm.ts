/**
 * DPO on length-averaged log-ratios, as open-instruct trains Tulu 3 with (Lambert et al. 2024, arXiv 2411.15124,
 * `dpo_norm`): SimPO's normalization with the reference kept,
 *
 *   L = -(1 - e) log sigmoid(z) - e log sigmoid(-z),   z = beta (A / n_w - C / n_l)
 *
 * A margin a token is smaller than one of sums by the completions' length, so that beta has to be larger: Tulu 3 has 5.
 * Another f-divergence changes the summed log-ratios, before they are averaged, as in TRL.
 */

import { div, mul, sub } from "../tensor/index.ts";
import { checkDivergence, divergenceOptions, divergenceScores } from "./divergences.ts";
import { logisticLoss } from "./dpo.ts";
import { labelSmoothing } from "./options.ts";
import { pairObjective } from "./pairwise.ts";

export const sigmoidNormLoss = pairObjective({
  name: "sigmoid_norm",
  title: "Length-normalized DPO",
  source: "Lambert et al. 2024, arXiv 2411.15124",
  formula: "-(1 - e) log s(z) - e log s(-z), z = beta (a / n_w - c / n_l)",
  use: "completions whose length grows under sigmoid; with a larger beta, 2 to 10",
  options: { ...divergenceOptions, labelSmoothing },
  check: checkDivergence,
  loss: ({ lengths, ...ratios }, { beta, labelSmoothing: e, ...options }) => {
    const { chosen, rejected } = divergenceScores(ratios, options);
    return logisticLoss(mul(beta, sub(div(chosen, lengths.chosen), div(rejected, lengths.rejected))), e);
  },
});
