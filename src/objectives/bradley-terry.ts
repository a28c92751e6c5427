/**
 * The reward model of Bradley and Terry (1952): the chosen completion is preferred with probability
 * sigmoid(r(x, y_w) - r(x, y_l)), so that maximum likelihood is (Ouyang et al. 2022, arXiv 2203.02155, equation 1)
 *
 *   L = -log sigmoid(r_w - r_l - alpha m) + c (r_w + r_l)^2
 *
 * with r the reward that the model reads at a completion's last token, which is its end token: a completion that truncation
 * has cut is read where it was cut. The first term knows nothing but differences. With alpha = 1 it asks for a row's own
 * margin m between the two (Touvron et al. 2023, "Llama 2", arXiv 2307.09288, equation 2); c > 0 pulls each pair's mean
 * towards 0, which makes rewards of different prompts comparable (Eisenstein et al. 2023, "Helping or Herding?",
 * arXiv 2312.09244).
 *
 * TRL's RewardTrainer: alpha = 1 wherever rows have a `margin`, and c is `center_rewards_coefficient`. Where the tokenizer
 * has no padding token, or pads with the end token, TRL reads a completion one token before its end (reward-head.ts).
 */

import { z } from "zod";
import { add, mul, neg, softplus, sub } from "../tensor/index.ts";
import { defineObjective } from "./definition.ts";
import { splitPairs } from "./pair.ts";
import { pairRoles, rewardMetrics } from "./pairwise.ts";

export const bradleyTerryLoss = defineObjective({
  name: "bradley_terry",
  method: "reward",
  rows: "pairs",
  title: "Bradley-Terry",
  source:
    "Bradley and Terry 1952; Ouyang et al. 2022, arXiv 2203.02155, equation 1; margin: Touvron et al. 2023, arXiv 2307.09288",
  formula: "-log s(r_w - r_l - alpha m) + c (r_w + r_l)^2",
  use: "a reward model from pairs: to score, to rank and to filter texts",
  options: {
    marginWeight: z
      .number()
      .min(0)
      .default(0)
      .describe(
        "how much of a row's margin the rewards must differ by, 1 as Llama 2; rows carry `margin` or two scores",
      ),
    centeringWeight: z.number().min(0).default(0).describe("weight of the term that keeps rewards around 0"),
  },
  build: ({ marginWeight, centeringWeight }) => ({
    name: "bradley_terry",
    scores: "reward",
    roles: pairRoles,
    needsReference: false,
    ...(marginWeight > 0 && { columns: { margin: "example" } as const }),
    build({ policy, columns }) {
      const rewards = splitPairs(policy);
      const difference = sub(rewards.chosen, rewards.rejected);
      const asked = marginWeight > 0 ? sub(difference, mul(marginWeight, columns.margin!)) : difference;
      // -log sigmoid(z) = softplus(-z), which never overflows.
      let losses = softplus(neg(asked));
      if (centeringWeight > 0) {
        const total = add(rewards.chosen, rewards.rejected);
        losses = add(losses, mul(centeringWeight, mul(total, total)));
      }
      return { losses, metrics: rewardMetrics(rewards, 1) };
    },
  }),
});
