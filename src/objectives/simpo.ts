/**
 * Simple Preference Optimization, Meng et al. 2024 (arXiv 2405.14734), equation 6:
 *
 *   L = -log sigmoid(z),   z = beta r(y_w) - beta r(y_l) - gamma,   r(y) = (1/|y|) log pi(y|x)
 *
 * The reward is the quantity that generation follows, so nothing else is needed; gamma is the margin by which the chosen
 * must win. The paper's authors give gamma as a share of beta, 0.3 to 0.55 of it, and TRL's simpo_gamma is this gamma. A
 * label may be smoothed, and maximum likelihood of the chosen added, as in the authors' code.
 */

import { z } from "zod";
import { mul, sub } from "../tensor/index.ts";
import { logisticLoss } from "./dpo.ts";
import { labelSmoothing } from "./options.ts";
import type { Pair } from "./pair.ts";
import { averaged, referenceFreeObjective, scaled } from "./reference-free.ts";

export const simpoOptions = {
  beta: z.number().positive().default(2).describe("scale of the reward, which is in nats a token"),
  gamma: z.number().min(0).default(0.5).describe("margin by which the chosen completion's reward must win"),
  labelSmoothing,
  sftWeight: z.number().min(0).default(0).describe("weight of the likelihood of the chosen completions beside it"),
};

/** The loss on rewards in nats a token. */
export function simpoPreference(
  rewards: Pair,
  { beta, gamma, labelSmoothing: e }: { beta: number; gamma: number; labelSmoothing: number },
) {
  const z = sub(mul(beta, sub(rewards.chosen, rewards.rejected)), gamma);
  return { losses: logisticLoss(z, e), rewards: scaled(rewards, beta) };
}

export const simpoLoss = referenceFreeObjective({
  name: "simpo",
  method: "simpo",
  title: "SimPO",
  source: "Meng et al. 2024, arXiv 2405.14734, equation 6",
  formula: "-(1 - e) log s(z) - e log s(-z), z = beta (log pi_w / n_w - log pi_l / n_l) - gamma",
  use: "no reference in memory, and no reward for length",
  options: simpoOptions,
  nllWeight: ({ sftWeight }) => sftWeight,
  preference: (pair, options) => simpoPreference(averaged(pair), options),
});
