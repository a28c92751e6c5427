/**
 * The settings of a training run that all methods share: one schema for types, defaults, flags, the YAML file and the reference documentation.
 * `describe` is the text that `--help` shows; a key `batchSize` is `--batch-size` on the command line and `batch-size` or
 * `batchSize` in a file.
 */

import { z } from "zod";
import type { pairings } from "../data/derive.ts";
import { droppable } from "../data/drop.ts";
import { mixtures } from "../data/mixture.ts";
import { dataShape, type GivenSource } from "../data/source-settings.ts";
import type { Score } from "../data/texts.ts";
import type { MethodName } from "../objectives/index.ts";

const count = z.number().int().positive();

/** At least one text, or several, which may also be given as one with commas. */
export const list = z
  .union([z.string().transform((text) => text.split(",").map((part) => part.trim())), z.array(z.string())])
  .pipe(z.array(z.string().min(1)).min(1));

/** What every method of training has. A method's own schema (methods.ts) adds its objectives and their options. */
export const trainingShape = {
  model: z.string().min(1).describe("the model: a Hugging Face folder, a .gguf file, or org/name on the hub"),
  data: dataShape.sources.describe(
    "rows to train on: files, folders, globs, - or hf:org/name; several with commas, mixed if weighted, as in a.jsonl:0.7",
  ),
  evalData: dataShape.sources.optional().describe("held-out rows to evaluate on"),
  mixture: z
    .enum(mixtures)
    .default("all")
    .describe("with weights: use all rows, those of small sources more than once, or no row more than once"),
  format: dataShape.format,
  columns: dataShape.columns,
  output: z.string().min(1).describe("the run directory, made by this run"),

  tuning: z.enum(["lora", "full"]).default("lora").describe("train a LoRA adapter or all weights"),
  loraRank: count.default(16).describe("rank of the adapter"),
  loraAlpha: z.number().positive().default(32).describe("the adapter is scaled by alpha / rank"),
  loraTargets: list.default(["all-linear"]).describe("layers with an adapter: all-linear, or names with commas"),
  rsLora: z.boolean().default(false).describe("scale the adapter by alpha / sqrt(rank) instead"),
  adapter: z.string().min(1).optional().describe("continue this PEFT adapter, which is then also the reference"),

  batchSize: count.default(8).describe("examples in an optimizer step"),
  epochs: count.default(1).describe("passes over the data"),
  maxSteps: count.optional().describe("stop after this many optimizer steps, whatever the epochs"),
  limit: count.optional().describe("use only the first N usable rows"),
  shuffle: z.boolean().default(true).describe("rows in a seeded random order (--no-shuffle: in file order)"),

  learningRate: z
    .number()
    .positive()
    .optional()
    .describe("peak learning rate; what is usual for the method if not given"),
  optimizer: z.enum(["adamw", "rmsprop"]).default("adamw").describe("as PyTorch's"),
  weightDecay: z.number().min(0).default(0).describe("decay of weights"),
  schedule: z.enum(["linear", "cosine", "constant"]).default("linear").describe("learning rate after warm-up"),
  warmupSteps: z.number().int().min(0).default(0).describe("steps of linear warm-up"),
  maxGradNorm: z.number().positive().default(1).describe("clip the gradient to this global norm"),

  maxLength: count.default(1024).describe("longest prompt with completion, in tokens"),
  maxPromptLength: count
    .optional()
    .describe("what a prompt may be cut to in a longer example; half of --max-length, at most 512, if not given"),
  truncation: z
    .enum(["shorten", "drop", "error"])
    .default("shorten")
    .describe("what happens to examples over the maximum length"),
  onBadRow: z
    .enum(["error", "drop"])
    .optional()
    .describe("stop at rows that can't be used, or drop rows that can't be read"),
  drop: z
    .union([z.string().transform((text) => text.split(",").map((part) => part.trim())), z.array(z.string())])
    .pipe(z.array(z.enum(droppable)).min(1))
    .optional()
    .describe(
      "leave rows out: duplicates (the same as an earlier row), near-duplicates (nearly so, too), opposites (pairs preferred both ways round), garbled (characters lost or misread), leaks (held-out rows that are trained on)",
    ),
  chat: z
    .boolean()
    .default(false)
    .describe("wrap plain prompts as a user's message, plain completions as the assistant's"),

  evalEvery: count
    .optional()
    .describe("evaluate and sample every N steps; a tenth of the run if not given, only its end without --eval-data"),
  saveEvery: count.default(100).describe("write a checkpoint every N steps"),
  keepCheckpoints: count.default(2).describe("how many of the newest checkpoints to keep"),
  samplePrompts: z
    .number()
    .int()
    .min(0)
    .default(2)
    .describe("prompts to answer with reference and policy at each evaluation"),
  sampleTokens: count.default(64).describe("longest sampled answer, in tokens"),
  klSamples: z
    .number()
    .int()
    .min(0)
    .default(0)
    .describe("answers to draw from the policy at each evaluation, to measure KL and repetition on"),
  maxKl: z.number().positive().optional().describe("leash: the most KL to the reference, in nats a completion"),
  maxKlAction: z.enum(["stop", "warn"]).default("stop").describe("what happens beyond --max-kl"),
  earlyStopping: count.optional().describe("stop after N evaluations that are no better than the best"),
  keepBest: z
    .boolean()
    .default(false)
    .describe("keep the best evaluation's checkpoint and make it the result; --early-stopping does too"),
  bestMetric: z
    .enum(["eval_loss", "eval_rewards/accuracies", "eval_rewards/margins"])
    .default("eval_loss")
    .describe("what the best evaluation is the best in: eval_loss, eval_rewards/accuracies or eval_rewards/margins"),

  seed: z.number().int().min(0).default(0).describe("seed of everything random"),
  // Each takes memory of its own: a number that was mistyped would take all there is.
  threads: count.max(1024).optional().describe("threads of the engine; all cores if not given"),
  microBatchTokens: count.default(256).describe("examples are packed into one engine run up to this many tokens"),
};

type TrainingSettings = z.output<z.ZodObject<typeof trainingShape>>;

/** The settings of a run with every default filled in. */
export type TrainingConfig = Omit<TrainingSettings, "learningRate" | "maxPromptLength"> & {
  readonly method: MethodName;
  readonly learningRate: number;
  readonly maxPromptLength: number;
  /** Names of the method's objectives, and the weight of each in the loss. */
  readonly loss: readonly string[];
  readonly lossWeights: readonly number[];
  /** The options of these objectives, and of no others. */
  readonly objective: Readonly<Record<string, unknown>>;
  /** Of methods that compare completions: methods.ts. */
  readonly pairs?: (typeof pairings)[number];
  /** Of MPO: regularization.ts. */
  readonly regularizationData?: readonly GivenSource[];
  readonly regularizationBatchSize?: number;
  /** Of supervised fine-tuning, and of a run that begins with it: supervised.ts. */
  readonly score?: Score | "last";
  readonly sftFirst?: boolean;
  readonly sftEpochs?: number;
  readonly sftLearningRate?: number;
  /** Of methods with a reference: moving-reference.ts. */
  readonly syncReference?: number;
  readonly referenceMixup?: number;
};

/** Settings that do not change what is computed: a resumed run may have others. */
export const incidental: ReadonlySet<string> = new Set(["threads", "saveEvery", "keepCheckpoints", "output"]);

/** A configuration as it is written and as flags and files give it: the objective's options among the others. */
export type FlatConfig = Readonly<Record<string, unknown>>;

export function flatConfig({ objective, ...config }: TrainingConfig): FlatConfig {
  return { ...config, ...objective };
}
