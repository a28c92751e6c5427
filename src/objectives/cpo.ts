/**
 * Contrastive Preference Optimization, Xu et al. 2024 (arXiv 2401.08417), equation 3 and the objective after it:
 *
 *   L = -log sigmoid(z) + cpo_alpha NLL(y_w),   z = beta (log pi(y_w|x) - log pi(y_l|x))
 *
 * DPO with a uniform reference, whose place the likelihood of the chosen completions takes: it keeps the policy near what
 * is preferred. The paper sums that likelihood over a completion; as in its official code and in TRL it is the mean over
 * the tokens here (reference-free.ts). The other two losses are those of SLiC (Zhao et al. 2023, arXiv 2305.10425) and of IPO
 * (Azar et al. 2023, arXiv 2310.12036, equation 17, on averaged log-probabilities) in the sigmoid's place, as TRL has them.
 */

import { z } from "zod";
import { maximum, mul, sub } from "../tensor/index.ts";
import { logisticLoss } from "./dpo.ts";
import { labelSmoothing } from "./options.ts";
import { averaged, referenceFreeObjective, scaled } from "./reference-free.ts";

const common = {
  beta: z.number().positive().default(0.1).describe("scale of the margin between the two log-probabilities"),
  cpoAlpha: z.number().min(0).default(1).describe("weight of the likelihood of the chosen completions"),
};

const nllWeight = ({ cpoAlpha }: { cpoAlpha: number }) => cpoAlpha;

export const cpoSigmoidLoss = referenceFreeObjective({
  name: "sigmoid",
  method: "cpo",
  title: "CPO",
  source: "Xu et al. 2024, arXiv 2401.08417, equation 3",
  formula: "-(1 - e) log s(z) - e log s(-z) + cpo_alpha NLL(y_w), z = beta (log pi_w - log pi_l)",
  use: "no reference in memory, with the chosen completions good enough to imitate: translations, edits",
  options: { ...common, labelSmoothing },
  nllWeight,
  preference(pair, { beta, labelSmoothing: e }) {
    const rewards = scaled(pair, beta);
    return { losses: logisticLoss(sub(rewards.chosen, rewards.rejected), e), rewards };
  },
});

export const cpoHingeLoss = referenceFreeObjective({
  name: "hinge",
  method: "cpo",
  title: "CPO with a hinge",
  source: "Zhao et al. 2023 (SLiC), arXiv 2305.10425, in CPO's form",
  formula: "max(0, 1 - z) + cpo_alpha NLL(y_w)",
  use: "pairs that are won by a margin need no more of it",
  options: common,
  nllWeight,
  preference(pair, { beta }) {
    const rewards = scaled(pair, beta);
    return { losses: maximum(sub(1, sub(rewards.chosen, rewards.rejected)), 0), rewards };
  },
});

export const cpoIpoLoss = referenceFreeObjective({
  name: "ipo",
  method: "cpo",
  title: "CPO with IPO's square",
  source: "Azar et al. 2023, arXiv 2310.12036, equation 17, in CPO's form",
  formula: "(log pi_w / n_w - log pi_l / n_l - 1 / (2 beta))^2 + cpo_alpha NLL(y_w)",
  use: "a margin that must not grow without bound",
  options: common,
  nllWeight,
  preference(pair, { beta }) {
    const likelihood = averaged(pair);
    const distance = sub(sub(likelihood.chosen, likelihood.rejected), 1 / (2 * beta));
    return { losses: mul(distance, distance), rewards: scaled(likelihood, beta) };
  },
});
