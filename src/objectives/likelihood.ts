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
 */

import { z } from "zod";
import { div, neg } from "../tensor/index.ts";
import { defineObjective } from "./definition.ts";
import type { StepContext } from "./objective.ts";

const meanLength: StepContext = {
  values: { meanLength: "step" },
  scores: "none",
  compute: ({ lengths }) => ({ values: { meanLength: lengths.reduce((a, b) => a + b, 0) / lengths.length } }),
};

export const nllLoss = defineObjective({
  name: "nll",
  method: "sft",
  rows: "texts",
  title: "Maximum likelihood",
  source: "next-token cross-entropy; over the tokens of a step as in TRL's SFTTrainer",
  formula: "-(1 / N) sum log pi(y|x), N the scored tokens of the step",
  use: "supervised fine-tuning: before preferences, or where there are only good examples",
  options: {
    average: z
      .enum(["tokens", "completions"])
      .default("tokens")
      .describe("the mean over all tokens of a step, or over its completions, each by its own length"),
  },
  build: ({ average }) => ({
    name: "nll",
    roles: ["completion"],
    needsReference: false,
    ...(average === "tokens" && { context: meanLength }),
    build: ({ policy, lengths, step }) => ({
      losses: neg(div(policy, average === "tokens" ? step.meanLength! : lengths)),
      metrics: {},
    }),
  }),
});
