/**
 * Maximum Preference Optimization, Jiang, Huang and Wei 2023 (arXiv 2312.16430); docs/mpo.md derives it. A pair is a choice
 * between two arms, which the policy makes in proportion to the probability that it gives each:
 *
 *   pi_p(w) = sigmoid(z),   z = beta (log pi(y_w|x) - log pi(y_l|x))
 *
 * and the reward of an arm is the probability that it is preferred. Labels are draws from that probability, so the importance
 * weight of a label cancels its reward, and the expected reward of the policy's own choices is maximised off-policy by
 *
 *   L = E[1 - pi_p(w)] + lambda NLL(reference data),   dL/dz = -sigmoid(z) sigmoid(-z) a pair
 *
 * The second term is KL(pi_ref || pi) on data of the reference but for a constant, in nats a token: it keeps the policy near
 * the reference where that is wanted and needs no reference model. Each term is a mean of its own over the optimizer step.
 */

import { z } from "zod";
import {
  abs,
  add,
  constant,
  div,
  greaterOrEqual,
  maximum,
  mul,
  neg,
  sigmoid,
  sub,
  type Tensor,
  where,
} from "../tensor/index.ts";
import { defineObjective } from "./definition.ts";
import type { StepContext } from "./objective.ts";
import { rewardMetrics } from "./pairwise.ts";
import { sumBy } from "./sums.ts";

/**
 * What an example's completions are to MPO. `preference` is 1 for the chosen completion of a pair, -1 for the rejected, 0
 * for a completion of the reference data; `regularizes` is 1 where a completion stands for the reference, else 0.
 */
const mpoColumns = { preference: "completion", regularizes: "completion" } as const;

/**
 * The step's loss is the mean over its E examples. A pair's regret is times E / pairs, and a log-probability times
 * E / (tokens of the reference data), so that each term is a mean over its own.
 */
const shares: StepContext = {
  values: { pairShare: "step", tokenShare: "step" },
  scores: "none",
  compute({ columns, lengths, counts }) {
    const pairs = columns.preference!.filter((marks) => [marks].flat().includes(1)).length;
    const regularizes = columns.regularizes!.flat();
    const tokens = lengths.reduce((sum, length, i) => sum + length * regularizes[i]!, 0);
    const share = (of: number) => (of === 0 ? 0 : counts.length / of);
    return { values: { pairShare: share(pairs), tokenShare: share(tokens) } };
  },
};

export const mpoLoss = defineObjective({
  name: "mpo",
  method: "mpo",
  rows: "pairs",
  title: "MPO",
  source: "Jiang, Huang and Wei 2023, arXiv 2312.16430; derived in docs/mpo.md",
  formula: "1 - s(z) + lambda NLL(reference data), z = beta (log pi_w - log pi_l)",
  use: "noisy or contradictory preferences, and other data that the policy must stay good at",
  options: {
    beta: z.number().positive().default(1).describe("inverse temperature of the choice between the two completions"),
    perToken: z.boolean().default(false).describe("choose by the log-probability a token, not of the whole completion"),
    regularizationWeight: z.number().min(0).default(1).describe("weight of the likelihood of the reference data"),
  },
  build: ({ beta, perToken, regularizationWeight }) => ({
    name: "mpo",
    roles: "any",
    needsReference: false,
    columns: mpoColumns,
    context: shares,
    build({ policy, lengths, owners, columns, step }) {
      const { preference, regularizes } = columns as Record<keyof typeof mpoColumns, Tensor>;
      const isChosen = maximum(preference, 0);
      const isRejected = maximum(neg(preference), 0);
      const inPair = mul(0.5, sumBy(owners, abs(preference)));
      const scores = mul(beta, perToken ? div(policy, lengths) : policy);
      const ofSide = (side: Tensor, values: Tensor) => sumBy(owners, mul(side, values));
      const rewards = { chosen: ofSide(isChosen, scores), rejected: ofSide(isRejected, scores) };
      const margin = sub(rewards.chosen, rewards.rejected);
      const regret = mul(mul(step.pairShare!, inPair), sigmoid(neg(margin)));
      const nll = neg(mul(step.tokenShare!, ofSide(regularizes, policy)));
      const ofPairs = {
        ...rewardMetrics(rewards, 1),
        "choices/chosen": sigmoid(margin),
        "choices/undecided": mul(4, mul(sigmoid(margin), sigmoid(neg(margin)))),
        "logps/chosen": ofSide(isChosen, policy),
        "logps/rejected": ofSide(isRejected, policy),
        "lengths/chosen": ofSide(isChosen, lengths),
        "lengths/rejected": ofSide(isRejected, lengths),
      };
      const notOfPairs = constant(Number.NaN);
      const isPair = greaterOrEqual(inPair, 0.5);
      return {
        losses: regularizationWeight === 0 ? regret : add(regret, mul(regularizationWeight, nll)),
        metrics: {
          ...Object.fromEntries(
            Object.entries(ofPairs).map(([name, values]) => [name, where(isPair, values, notOfPairs)]),
          ),
          nll_loss: nll,
        },
      };
    },
  }),
});
