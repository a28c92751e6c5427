/**
 * Maximum likelihood of the chosen completions beside objectives over pairs, in nats a token: the mean over all chosen
 * tokens of the optimizer step,
 *
 *   L = -(1 / N) sum over pairs of log pi(y_w | x),   N = sum over pairs of n_w
 *
 * As a loss of each of E pairs whose mean is L it is -(E / N) log pi(y_w | x). TRL means over a micro-batch, so that there
 * the loss depends on how a step is cut up. With `sigmoid` it is a DPO that holds the likelihood of what was preferred.
 */

import { div, neg } from "../tensor/index.ts";
import { defineObjective } from "./definition.ts";
import type { StepContext } from "./objective.ts";
import { splitPairs } from "./pair.ts";
import { pairRoles } from "./pairwise.ts";

export const sftLoss = defineObjective({
  name: "sft",
  method: "dpo",
  rows: "pairs",
  title: "Maximum likelihood of the chosen",
  source: "as the NLL term of Pang et al. 2024, arXiv 2404.19733, over the tokens of a step",
  formula: "-(1 / N) sum log pi(y_w|x), N the chosen tokens of the step",
  use: "beside others with --loss-weights, so that the chosen completions' likelihood does not fall",
  options: {},
  build: () => ({
    name: "sft",
    roles: pairRoles,
    needsReference: false,
    context: meanChosenTokens("chosenTokens"),
    build: ({ policy, step }) => ({
      losses: neg(div(splitPairs(policy).chosen, step.chosenTokens!)),
      metrics: {},
    }),
  }),
});

/** Tokens of a chosen completion, averaged over the pairs of the step: what makes the mean of losses a mean over tokens. */
export function meanChosenTokens(name: string): StepContext {
  return {
    values: { [name]: "step" },
    scores: "none",
    compute({ lengths, counts }) {
      const chosen = lengths.filter((_, i) => i % 2 === 0);
      return { values: { [name]: chosen.reduce((a, b) => a + b, 0) / counts.length } };
    },
  };
}
