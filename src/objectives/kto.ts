/**
 * Kahneman-Tversky Optimization, Ethayarajh et al. 2024 (arXiv 2402.01306), equation 7: a completion is worth what a person would
 * feel it to be, a gain or a loss against a reference point z0, in a value function that flattens on both sides,
 *
 *   L = w_D (1 - sigmoid(beta (a - z0)))   for a desirable completion,   a = log(pi(y|x) / pi_ref(y|x)),
 *   L = w_U (1 - sigmoid(beta (z0 - a)))   for an undesirable one,
 *
 * that is w sigmoid(-beta d) with the distance d of labelled.ts. The reference point is the KL divergence of policy and reference,
 * a constant to the gradient, estimated from prompts with the completions of other examples (x_i, y_j), j != i:
 *
 *   z0 = max(0, mean over i of log(pi(y_j|x_i) / pi_ref(y_j|x_i)))
 *
 * It is one number for the whole optimizer step. TRL has one a micro-batch, so that accumulation is another objective there, and
 * takes y_j from the neighbour in the batch, which in data of pairs has the same prompt; here every y_j answers another prompt.
 * Where no two prompts of a step differ there is nothing to estimate it from, and it is 0; so a step needs at least two examples.
 *
 * `apo_zero_unpaired` (TRL's; D'Oosterlinck et al. 2024, arXiv 2408.06266, equation 7, one completion at a time) is the same about
 * a reference point of 0: with beta and weights of 1, 1 - s(a) for desirable completions and s(a) for others.
 */

import { z } from "zod";
import { ConfigError } from "../errors.ts";
import { broadcastTo, mul, sigmoid, where } from "../tensor/index.ts";
import { defineObjective } from "./definition.ts";
import { labelledCompletions, labelledMetrics, labelledScores, onOwnSide } from "./labelled.ts";
import type { Objective, StepContext } from "./objective.ts";
import { beta } from "./options.ts";

const weight = z.number().min(0).default(1);
const options = {
  beta,
  desirableWeight: weight.describe("weight of the loss of desirable completions"),
  undesirableWeight: weight.describe("weight of the loss of undesirable completions"),
};
type Settings = z.output<z.ZodObject<typeof options>>;

export const ktoLoss = defineObjective({
  name: "kto",
  method: "kto",
  rows: "labelled",
  title: "KTO",
  source: "Ethayarajh et al. 2024, arXiv 2402.01306, equation 7",
  formula: "w (1 - s(beta d)), d = a - z0 if desirable, z0 - a if not",
  use: "completions that are only known to be good or bad, also in unequal numbers; robust to noisy labels",
  options,
  build: (settings) => objective("kto", settings, divergenceFromMismatched),
});

export const apoZeroUnpairedLoss = defineObjective({
  name: "apo_zero_unpaired",
  method: "kto",
  rows: "labelled",
  title: "APO-zero, unpaired",
  source: "D'Oosterlinck et al. 2024, arXiv 2408.06266, equation 7, a completion at a time",
  formula: "w (1 - s(beta d)), d = a if desirable, -a if not",
  use: "desirable completions that are better than what the model says: they rise, the others fall; no mismatched completions to score",
  options,
  build: (settings) => objective("apo_zero_unpaired", settings),
});

function objective(
  name: string,
  { beta: scale, desirableWeight, undesirableWeight }: Settings,
  context?: StepContext,
): Objective {
  if (desirableWeight === 0 && undesirableWeight === 0) {
    throw new ConfigError(
      "--desirable-weight and --undesirable-weight are both 0, so there would be nothing to learn. Give one of them more than 0.",
    );
  }
  return {
    name,
    ...labelledCompletions,
    ...(context && { context }),
    build(completions) {
      const scores = labelledScores(completions);
      const { z0 } = completions.step;
      const ownSide = onOwnSide(scores, scores.ratio, z0 ?? 0);
      const weights = where(scores.isDesirable, desirableWeight, undesirableWeight);
      return {
        losses: mul(weights, sigmoid(mul(-scale, ownSide))),
        metrics: {
          ...labelledMetrics(completions, scores, { beta: scale, ownSide: mul(scale, ownSide) }),
          ...(z0 && { "kto/z0": broadcastTo(z0, scores.ratio) }),
        },
      };
    },
  };
}

/** z0 of the step. */
const divergenceFromMismatched: StepContext = {
  values: { z0: "step" },
  scores: "mismatched",
  compute({ policy, reference }) {
    const total = policy.reduce((sum, logp, i) => sum + logp - reference[i]!, 0);
    return { values: { z0: Math.max(0, total / Math.max(1, policy.length)) } };
  },
};

/**
 * n_D w_D / (n_U w_U), how much more the desirable completions count together than the undesirable. KTO's authors advise to keep it
 * in 1 to 4/3 by the weights (equation 8), so that a desirable example of a smaller number is not drowned out.
 */
export function desirableBalance(
  { desirable, undesirable }: { readonly desirable: number; readonly undesirable: number },
  { desirableWeight, undesirableWeight }: { readonly desirableWeight: number; readonly undesirableWeight: number },
): number {
  return (desirable * desirableWeight) / (undesirable * undesirableWeight);
}

/** The balance that KTO's authors advise. */
export const advisedBalance = { least: 1, most: 4 / 3 } as const;
