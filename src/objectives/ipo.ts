/**
 * Identity Preference Optimization, Azar et al. 2023 (arXiv 2310.12036), equation 17:
 *
 *   L = (h - 1 / (2 beta))^2,   h = log(pi(y_w|x) / pi_ref(y_w|x)) - log(pi(y_l|x) / pi_ref(y_l|x))
 *
 * The margin h has a finite target, so deterministic preferences can't drive it without bound as DPO's do. The paper
 * writes the log-probability of a whole completion; its authors confirmed that theirs is averaged over the completion's
 * tokens, each completion by its own length. `ipoSum` keeps the sums, as the official DPO code has it. Another f-divergence
 * changes the summed log-ratios, before they are averaged, as in TRL.
 */

import { z } from "zod";
import { div, mul, sub } from "../tensor/index.ts";
import { checkDivergence, divergenceOptions, divergenceScores } from "./divergences.ts";
import { pairObjective } from "./pairwise.ts";

export const ipoLoss = pairObjective({
  name: "ipo",
  title: "IPO",
  source: "Azar et al. 2023, arXiv 2310.12036, equation 17",
  formula: "(a / n_w - c / n_l - 1 / (2 beta))^2",
  use: "preferences that are nearly deterministic, where DPO's margin would grow without bound",
  options: {
    ...divergenceOptions,
    ipoSum: z.boolean().default(false).describe("IPO on summed instead of length-averaged log-probabilities"),
  },
  check: checkDivergence,
  loss: ({ lengths, ...ratios }, { beta, ipoSum, ...options }) => {
    const { chosen, rejected } = divergenceScores(ratios, options);
    const margin = ipoSum ? sub(chosen, rejected) : sub(div(chosen, lengths.chosen), div(rejected, lengths.rejected));
    const distance = sub(margin, 1 / (2 * beta));
    return mul(distance, distance);
  },
});
