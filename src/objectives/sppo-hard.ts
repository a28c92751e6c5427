/**
 * Self-play preference optimization, Wu et al. 2024 (arXiv 2405.00675), equation 4.7 by TRL's count, with a winning
 * probability of 1 for the chosen completion and 0 for the rejected ("hard") in place of an estimate of it:
 *
 *   L = (a - 1 / (2 beta))^2 + (c + 1 / (2 beta))^2
 *
 * The paper's eta is 1 / beta. Its reference is the policy of the iteration before: tune again from a result for that.
 */

import { add, mul, sub } from "../tensor/index.ts";
import { pairObjective } from "./pairwise.ts";

export const sppoHardLoss = pairObjective({
  name: "sppo_hard",
  title: "SPPO",
  source: "Wu et al. 2024, arXiv 2405.00675, equation 4.7",
  formula: "(a - 1 / (2 beta))^2 + (c + 1 / (2 beta))^2",
  use: "rounds of self-play, in which each completion has a log-ratio to reach",
  loss: ({ chosen, rejected }, { beta }) => {
    const [above, below] = [sub(chosen, 0.5 / beta), add(rejected, 0.5 / beta)];
    return add(mul(above, above), mul(below, below));
  },
});
