/**
 * Binary classifier optimization on pairs, Jung et al. 2024 (arXiv 2404.04656): a classifier of completions into chosen and
 * rejected, whose logit is the reward less a shift,
 *
 *   L = -log sigmoid(beta a - delta) - log sigmoid(-(beta c - delta)),   delta = (E[beta a] + E[beta c]) / 2
 *
 * With the shift that is the paper's the sum bounds DPO's loss most closely. delta is the mean reward of all pairs since
 * the run began, those of the present step included, and a constant to the gradient; it is kept in checkpoints. TRL took it
 * so too (`RunningMoments`) until 0.29, and has no shift on pairs since: without `rewardShift` delta is 0, as there.
 */

import { z } from "zod";
import { add, mul, neg, softplus, sub } from "../tensor/index.ts";
import type { StepContext } from "./objective.ts";
import { differences, type PairSettings, pairObjective, stepPairs } from "./pairwise.ts";

export const bcoPairLoss = pairObjective({
  name: "bco_pair",
  title: "BCO on pairs",
  source: "Jung et al. 2024, arXiv 2404.04656",
  formula: "-log s(beta a - delta) - log s(-(beta c - delta))",
  use: "each completion judged by itself, so that the chosen one rises; in mixtures with sigmoid and sft",
  options: {
    rewardShift: z.boolean().default(false).describe("compare rewards with their running mean, as BCO's paper does"),
  },
  context: (options) => (options.rewardShift ? meanReward(options) : undefined),
  loss: ({ chosen, rejected, step }, { beta }) => {
    const delta = step.meanReward ?? 0;
    return add(softplus(neg(sub(mul(beta, chosen), delta))), softplus(sub(mul(beta, rejected), delta)));
  },
});

/** The mean reward since the beginning; its state is that mean and the number of rewards in it. */
function meanReward(options: PairSettings): StepContext {
  return {
    values: { meanReward: "step" },
    scores: "own",
    initialState: [0, 0],
    compute(step, [before, seen]) {
      const { policy, reference } = stepPairs(step, options);
      const ratios = (["chosen", "rejected"] as const).flatMap((side) => differences(policy[side], reference[side]));
      const rewards = ratios.map((ratio) => options.beta * ratio);
      const count = seen! + rewards.length;
      const mean = rewards.reduce((sum, reward) => sum + reward, before! * seen!) / count;
      return { values: { meanReward: mean }, state: [mean, count] };
    },
  };
}
