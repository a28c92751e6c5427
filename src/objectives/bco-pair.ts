/**
 * Binary classifier optimization on pairs, Jung et al. 2024 (arXiv 2404.04656): a classifier of completions into chosen and
 * rejected, whose logit is the reward less a shift,
 *
 *   L = -log sigmoid(beta a - delta) - log sigmoid(-(beta c - delta)),   delta = (E[beta a] + E[beta c]) / 2
 *
 * The sum bounds DPO's loss from above, most closely with this delta, which `rewardShift` takes: the mean reward that the
 * run has seen (mean-reward.ts). TRL had it on pairs until 0.29 and has none since: without `rewardShift` delta is 0, as there.
 */

import { z } from "zod";
import { add, mul, neg, softplus, sub } from "../tensor/index.ts";
import { meanReward } from "./mean-reward.ts";
import type { StepScores } from "./objective.ts";
import { type PairSettings, pairObjective } from "./pairwise.ts";
import { differences, stepPairs } from "./step-pairs.ts";

export const bcoPairLoss = pairObjective({
  name: "bco_pair",
  title: "BCO on pairs",
  source: "Jung et al. 2024, arXiv 2404.04656",
  formula: "-log s(beta a - delta) - log s(-(beta c - delta))",
  use: "each completion judged by itself, so that the chosen one rises; in mixtures with sigmoid and sft",
  options: {
    rewardShift: z.boolean().default(false).describe("compare rewards with their running mean, as BCO's paper does"),
  },
  context: (options) => (options.rewardShift ? meanReward((step) => rewards(step, options)) : undefined),
  loss: ({ chosen, rejected, step }, { beta }) => {
    const delta = step.meanReward ?? 0;
    return add(softplus(neg(sub(mul(beta, chosen), delta))), softplus(sub(mul(beta, rejected), delta)));
  },
});

function rewards(step: StepScores, options: PairSettings): number[] {
  const { policy, reference } = stepPairs(step, options);
  const ratios = (["chosen", "rejected"] as const).flatMap((side) => differences(policy[side], reference[side]));
  return ratios.map((ratio) => options.beta * ratio);
}
