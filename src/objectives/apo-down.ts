/**
 * Anchored preference optimization for chosen completions that are worse than the model's own, D'Oosterlinck et al. 2024
 * (arXiv 2408.06266), equation 8 by TRL's count: lowers both, the rejected more,
 *
 *   L = sigmoid(beta a) + (1 - sigmoid(beta (a - c)))
 *
 * The constant 1 is TRL's: the loss then is between 0 and 2.
 */

import { add, mul, sigmoid, sub } from "../tensor/index.ts";
import { pairObjective } from "./pairwise.ts";

export const apoDownLoss = pairObjective({
  name: "apo_down",
  title: "APO-down",
  source: "D'Oosterlinck et al. 2024, arXiv 2408.06266, equation 8",
  formula: "s(beta a) + 1 - s(beta (a - c))",
  use: "chosen completions that are worse than what the model would write: only their order is learned",
  loss: ({ chosen, rejected }, { beta }) => add(sigmoid(mul(beta, chosen)), sigmoid(mul(-beta, sub(chosen, rejected)))),
});
