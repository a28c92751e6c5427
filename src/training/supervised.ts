/**
 * Supervised fine-tuning as a method, and as the first part of preference tuning: `--sft-first`.
 *
 * DPO's reference is to know the data it is compared on. Where no model was fine-tuned on completions like the preferred ones,
 * Rafailov et al. 2023 (arXiv 2305.18290, section 4) make one by maximizing the likelihood of the preferred completions
 * themselves. With `--sft-first` a run does that in a run of its own, in its folder `sft`, and starts from what comes of it, as
 * policy and as reference.
 */

import { z } from "zod";
import { scores } from "../data/texts.ts";
import { ConfigError } from "../errors.ts";
import { type TrainingConfig, trainingShape } from "./config.ts";

export const supervisedSettings = {
  score: z
    .enum(scores)
    .optional()
    .describe(
      "tokens that are learned: of the completion, all, or of the assistant's turns; by the kind of row if not given",
    ),
};

/** What TRL takes. */
export const supervisedLearningRate = { lora: 2e-4, full: 2e-5 } as const;

/** Settings of the methods that have a reference on whose kind of data it should be trained. */
export const sftFirstSettings = {
  sftFirst: z
    .boolean()
    .default(false)
    .describe("fine-tune on the chosen completions first, and start from that as policy and reference"),
  sftEpochs: trainingShape.epochs
    .unwrap()
    .optional()
    .describe("passes of that fine-tuning over the data, 1 if not given"),
  sftLearningRate: trainingShape.learningRate
    .unwrap()
    .optional()
    .describe("peak learning rate of that fine-tuning; 2e-4 for LoRA and 2e-5 for full tuning if not given"),
};

export type SupervisedSettings = z.input<z.ZodObject<typeof supervisedSettings>>;
export type SftFirstSettings = z.input<z.ZodObject<typeof sftFirstSettings>>;

/**
 * The run of supervised fine-tuning that goes before this one, undefined where none is asked for. It has the settings of the whole
 * run but for those that watch over preferences. Throws ConfigError for settings of a part that is not.
 */
export function firstPart(config: TrainingConfig): TrainingConfig | undefined {
  if (!config.sftFirst) {
    for (const [flag, value] of [
      ["epochs", config.sftEpochs],
      ["learning-rate", config.sftLearningRate],
    ] as const) {
      if (value !== undefined)
        throw new ConfigError(`--sft-${flag} has no effect without --sft-first. Leave it out, or add that.`);
    }
    return undefined;
  }
  const shared = Object.keys(trainingShape).map((key) => [key, config[key as keyof TrainingConfig]] as const);
  return {
    ...(Object.fromEntries(shared) as Pick<TrainingConfig, keyof typeof trainingShape>),
    method: "sft",
    loss: ["nll"],
    lossWeights: [1],
    objective: { average: "tokens" },
    score: "completion",
    output: `${config.output}/sft`,
    epochs: config.sftEpochs ?? 1,
    learningRate: config.sftLearningRate ?? supervisedLearningRate[config.tuning],
    klSamples: 0,
    maxKl: undefined,
    earlyStopping: undefined,
    keepBest: false,
    bestMetric: "eval_loss",
  };
}
