/**
 * Maximum likelihood, the next-token loss of pre-training and of supervised fine-tuning: the mean negative
 * log-probability of the scored tokens, in nats a token.
 *
 *   tokens        L = -(1 / N) sum over y of log pi(y | x),   N = sum over y of |y|
 *   completions   L = mean over y of -(1 / |y|) log pi(y | x)
 *
 * The first counts every token of the optimizer step the same, whatever the length of its completion and whatever the
 * micro-batches: TRL's SFTTrainer and transformers' Trainer call N `num_items_in_batch`. As a loss of each of E examples
 * whose mean is L it is -(E / N) log pi(y | x), in which N / E, the step's mean length, is known from its context.
 *
 * Dynamic fine-tuning (Wu et al. 2025, arXiv 2508.05629, its loss over tokens) weighs every token by its own probability, which the
 * gradient takes for a number: the gradient of log pi is then weighed as a policy gradient's would be, and tokens that
 * the model thinks unlikely pull little.
 *
 *   L = -(1 / N) sum over y, t of sg(pi(y_t | x, y_<t)) log pi(y_t | x, y_<t)
 */

import { z } from "zod";
import { div, exp, mul, neg, stopGradient, type Tensor } from "../tensor/index.ts";
import { defineObjective } from "./definition.ts";
import type { Objective, ScoredCompletions, StepContext } from "./objective.ts";
import { sumBy } from "./sums.ts";

const options = {
  average: z
    .enum(["tokens", "completions"])
    .default("tokens")
    .describe("the mean over all tokens of a step, or over its completions, each by its own length"),
};

type Average = z.output<typeof options.average>;

export const nllLoss = defineObjective({
  name: "nll",
  method: "sft",
  rows: "texts",
  title: "Maximum likelihood",
  source: "next-token cross-entropy; over the tokens of a step as in TRL's SFTTrainer",
  formula: "-(1 / N) sum log pi(y|x), N the scored tokens of the step",
  use: "supervised fine-tuning: before preferences, or where there are only good examples",
  options,
  build: ({ average }) => tokenMean("nll", average, ({ policy }) => policy),
});

export const dftLoss = defineObjective({
  name: "dft",
  method: "sft",
  rows: "texts",
  title: "Dynamic fine-tuning",
  source: "Wu et al. 2025, arXiv 2508.05629",
  formula: "-(1 / N) sum sg(pi(y_t)) log pi(y_t), N the scored tokens of the step",
  use: "fine-tuning that is to keep what the model knows: tokens it thinks unlikely count little",
  options,
  build: ({ average }) =>
    tokenMean("dft", average, ({ tokens: { policy, membership } }) =>
      sumBy(membership, mul(stopGradient(exp(policy)), policy)),
    ),
});

/** The objective whose loss is minus a sum over each completion's tokens [C], averaged over tokens or completions. */
function tokenMean(name: string, average: Average, total: (completions: ScoredCompletions) => Tensor): Objective {
  const meanLength = `${name}MeanLength`;
  return {
    name,
    roles: ["completion"],
    needsReference: false,
    ...(average === "tokens" && { context: meanLengthOf(meanLength) }),
    build: (completions) => {
      const divisor = average === "tokens" ? completions.step[meanLength]! : completions.lengths;
      return { losses: neg(div(total(completions), divisor)), metrics: {} };
    },
  };
}

/** Scored tokens of a completion, averaged over the step: what makes the mean of losses a mean over tokens. */
function meanLengthOf(name: string): StepContext {
  return {
    values: { [name]: "step" },
    scores: "none",
    compute: ({ lengths }) => ({ values: { [name]: lengths.reduce((a, b) => a + b, 0) / lengths.length } }),
  };
}
