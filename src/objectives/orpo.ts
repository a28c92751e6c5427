/**
 * Odds Ratio Preference Optimization, Hong et al. 2024 (arXiv 2403.07691), equations 4, 6 and 7:
 *
 *   L = NLL(y_w) - lambda log sigmoid(log odds(y_w|x) - log odds(y_l|x)),   odds = p / (1 - p)
 *
 * where log p(y|x) = (1/|y|) log pi(y|x), the likelihood a token. Supervised fine-tuning and preference in one stage: the
 * odds ratio term keeps the likelihood term from raising the rejected completions with the chosen.
 *
 * The paper's likelihood is of the chosen completion given its prompt, and so is ours. TRL's also trains on the prompt's
 * tokens; where a prompt is a single token the two are the same. TRL calls lambda beta.
 */

import { z } from "zod";
import { add, log, maximum, mul, neg, softplus, sub, type Tensor, tanh } from "../tensor/index.ts";
import { averaged, referenceFreeObjective, scaled } from "./reference-free.ts";

/** An average log-probability closer to 0 counts as this far from it in the odds, which are infinite at 0. In nats. */
const SURE = 1e-6;

/**
 * log(p / (1 - p)) of x = log p. With u = -x it is -log(e^u - 1), and e^u - 1 = tanh(u/2) (e^u + 1) loses no digit where
 * p is near 1, nor overflows where p is near 0:
 *
 *   log odds = -log tanh(u/2) - log(1 + e^u)
 */
function logOdds(x: Tensor): Tensor {
  const u = neg(x);
  return neg(add(log(tanh(mul(0.5, maximum(u, SURE)))), softplus(u)));
}

export const orpoLoss = referenceFreeObjective({
  name: "orpo",
  method: "orpo",
  title: "ORPO",
  source: "Hong et al. 2024, arXiv 2403.07691, equations 4, 6 and 7",
  formula: "NLL(y_w) - lambda log s(log odds_w - log odds_l), odds = p / (1 - p) of averaged log-probabilities",
  use: "a base model and pairs, with neither a stage of supervised fine-tuning before nor a reference",
  options: { lambda: z.number().positive().default(0.1).describe("weight of the odds ratio term") },
  nllWeight: () => 1,
  preference(pair, { lambda }) {
    const likelihood = averaged(pair);
    const logRatio = sub(logOdds(likelihood.chosen), logOdds(likelihood.rejected));
    const surprise = softplus(neg(logRatio));
    return {
      losses: mul(lambda, surprise),
      rewards: scaled(likelihood, lambda),
      metrics: { log_odds_ratio: neg(surprise), log_odds_chosen: logRatio },
    };
  },
});
