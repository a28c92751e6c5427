/**
 * Anchored preference optimization for chosen completions that are better than the model's own, D'Oosterlinck et al. 2024
 * (arXiv 2408.06266), equation 7 by TRL's count: raises the chosen, lowers the rejected,
 *
 *   L = (1 - sigmoid(beta a)) + sigmoid(beta c)
 *
 * The constant 1 is TRL's: the loss then is between 0 and 2.
 */

import { add, mul, sigmoid } from "../tensor/index.ts";
import { pairObjective } from "./pairwise.ts";

export const apoZeroLoss = pairObjective({
  name: "apo_zero",
  title: "APO-zero",
  source: "D'Oosterlinck et al. 2024, arXiv 2408.06266, equation 7",
  formula: "1 - s(beta a) + s(beta c)",
  use: "chosen completions that are better than what the model would write: their likelihood rises",
  loss: ({ chosen, rejected }, { beta }) => add(sigmoid(mul(-beta, chosen)), sigmoid(mul(beta, rejected))),
});
