/** What a model is, and what training it will take: nothing of its weights is read. */

import { z } from "zod";
import type { TokenizedExample } from "../data/example.ts";
import { findModel, type HubOptions } from "../hub/index.ts";
import { type LanguageModel, modelFor } from "../models/index.ts";
import { parameterCount } from "../models/weights.ts";
import type { Objective } from "../objectives/index.ts";
import { parseSettings } from "../parse-settings.ts";
import { list, trainingShape } from "../training/config.ts";
import {
  microBatchSizes,
  planMemory,
  type StepCost,
  scoresBesides,
  stepCost,
  trainedNumbers,
} from "../training/memory/memory.ts";
import { methods, objectiveOf, resolveConfig } from "../training/methods.ts";
import { fullShape, loraShape, type PolicyShape } from "../training/policy/policy.ts";
import { MachineSpeed } from "./speed.ts";
import { type TokenizerFacts, tokenizerFacts } from "./tokenizer.ts";

const positive = z.number().int().positive();
const lengths = list.transform((texts) => texts.map(Number)).pipe(z.array(positive).min(1));

const { model, loraRank, batchSize, microBatchTokens, threads } = trainingShape;

export const modelInspectionShape = {
  model,
  maxLength: lengths
    .default([256, 512, 1024])
    .describe("the lengths to estimate for: of a prompt with one completion, in tokens"),
  batchSize,
  microBatchTokens,
  loraRank,
  time: z
    .boolean()
    .default(true)
    .describe("time the model's matrix products on this machine (--no-time: memory alone)"),
  threads,
};

export type ModelInspectionOptions = z.input<z.ZodObject<typeof modelInspectionShape>>;

export interface ModelReport {
  readonly model: string;
  readonly family: string;
  readonly scores: LanguageModel["scores"];
  readonly architecture: Readonly<Record<string, number>>;
  /** How many parameters each part has. */
  readonly parameters: Readonly<Record<string, number>> & { readonly total: number };
  /** Parameters by the type that they are stored in; all are computed with in float32. */
  readonly dtypes: Readonly<Record<string, number>>;
  readonly tokenizer: TokenizerFacts;
  readonly batchSize: number;
  readonly microBatchTokens: number;
  readonly estimates: readonly TrainingEstimate[];
}

/** DPO on pairs whose prompt takes half of the length and whose completions take the other half each. */
export interface TrainingEstimate {
  readonly tuning: "lora" | "full";
  readonly trained: number;
  readonly maxLength: number;
  /** Bytes at the peak. */
  readonly memory: number;
  /** Operations of matrix products a pair. */
  readonly flops: number;
  /** Of an optimizer step; absent where time is not asked for. */
  readonly seconds?: number;
  readonly pairsPerSecond?: number;
}

/** Opens a model's header and describes it. Throws CheckpointError for one that is not supported, ConfigError for a setting. */
export async function inspectModel(
  given: ModelInspectionOptions,
  onStage: (text: string) => void = () => {},
  hub: HubOptions = {},
): Promise<ModelReport> {
  const options = parseSettings(z.strictObject(modelInspectionShape), given);
  using checkpoint = (await findModel(options.model, hub)).checkpoint;
  const model = modelFor(checkpoint);
  const dtypes: Record<string, number> = {};
  for (const [name, shape] of model.weights) {
    const { storage } = checkpoint.tensors.get(name) ?? { storage: "F32" };
    dtypes[storage] = (dtypes[storage] ?? 0) + sizeOf(shape);
  }
  const { layers, hiddenSize, attentionHeads, cacheWidth, vocabularySize, maxPositions } = model;
  return {
    model: options.model,
    family: model.family,
    scores: model.scores,
    architecture: { layers, hiddenSize, attentionHeads, cacheWidth, vocabularySize, maxPositions },
    parameters: parameterParts(model),
    dtypes,
    tokenizer: tokenizerFacts(checkpoint),
    batchSize: options.batchSize,
    microBatchTokens: options.microBatchTokens,
    estimates: model.scores === "reward" ? [] : await estimates(model, options, onStage),
  };
}

const sizeOf = (shape: readonly number[]) => shape.reduce((n, dim) => n * dim, 1);

/** Parts by what all families call them. */
const PARTS: readonly (readonly [string, RegExp])[] = [
  ["embedding", /embed|wte|wpe/],
  ["norms", /norm|\.ln_|layernorm/],
  ["attention", /attn|attention/],
  ["feed-forward", /mlp|feed_forward/],
];

function parameterParts(model: LanguageModel): ModelReport["parameters"] {
  const parts: Record<string, number> = {};
  for (const [name, shape] of model.weights) {
    const known = PARTS.find(([, pattern]) => pattern.test(name))?.[0];
    const part = known ?? (name === model.headWeight ? "output head" : "other");
    parts[part] = (parts[part] ?? 0) + sizeOf(shape);
  }
  return { ...parts, total: parameterCount(model) };
}

type Options = z.output<z.ZodObject<typeof modelInspectionShape>>;

/** What a kind of tuning trains, and what its programs cost. */
interface Tuning {
  readonly tuning: "lora" | "full";
  readonly shape: PolicyShape;
  readonly trained: number;
  readonly cost: StepCost;
}

/** The tunings of a model without its weights; `evaluates` says that completions are scored besides. */
export function tuningOf(
  model: LanguageModel,
  tuning: "lora" | "full",
  loraRank: number,
  objective: Objective,
  evaluates = false,
): Tuning {
  const options = { rank: loraRank, alpha: loraRank, rankStabilized: false, targets: "all-linear", seed: 0 } as const;
  const shape = tuning === "full" ? fullShape(model) : loraShape(model, options);
  const cost = stepCost(shape, shape.step(objective), objective, evaluates);
  return { tuning, shape, trained: trainedNumbers(shape), cost };
}

async function estimates(
  model: LanguageModel,
  options: Options,
  onStage: (text: string) => void,
): Promise<TrainingEstimate[]> {
  const { batchSize, microBatchTokens, loraRank } = options;
  // With the defaults of a run for all that is not asked for: it samples, for one.
  const config = resolveConfig(methods.dpo!, { model: "m", data: "d", output: "o", batchSize, microBatchTokens });
  const objective = objectiveOf(config);
  const lengths = [...new Set(options.maxLength.map((length) => Math.min(length, model.maxPositions)))];
  const speed = options.time ? await MachineSpeed.measure({ threads: options.threads }) : undefined;
  const list: TrainingEstimate[] = [];
  for (const kind of ["lora", "full"] as const) {
    const { tuning, shape, trained, cost } = tuningOf(
      model,
      kind,
      loraRank,
      objective,
      scoresBesides(config, undefined),
    );
    for (const maxLength of lengths) {
      onStage(`${tuning} at ${maxLength} tokens`);
      const { learned, sizes, count, pairs } = workOf({ maxLength, batchSize, microBatchTokens });
      const seconds = await speed?.stepSeconds({ cost, sizes, count, trained });
      const flops = (cost.step.flops(sizes) + (cost.reference?.flops(sizes) ?? 0)) / pairs;
      list.push({
        tuning,
        trained,
        maxLength,
        memory: planMemory({ shape, cost, learned }, config).total,
        flops,
        ...(seconds !== undefined && { seconds, pairsPerSecond: batchSize / seconds }),
      });
    }
  }
  return list;
}

/** A step on pairs of one length, and its micro-batches: a prompt of half of it, and two completions of the other half. */
function workOf({
  maxLength,
  batchSize,
  microBatchTokens,
}: Pick<Options, "batchSize" | "microBatchTokens"> & { maxLength: number }) {
  const completion = Math.max(1, Math.floor(maxLength / 2));
  const packed = maxLength + completion;
  const pair: TokenizedExample = {
    origin: { file: "", line: 1 },
    prompt: new Int32Array(maxLength - completion),
    completions: [new Int32Array(completion), new Int32Array(completion)],
  };
  const pairs = Math.min(batchSize, Math.max(1, Math.floor(microBatchTokens / packed)));
  const rows = 2 * completion * pairs;
  const sizes = microBatchSizes({
    tokens: packed * pairs,
    rows,
    examples: pairs,
    completions: 2,
    positions: maxLength,
  });
  const learned = Array.from({ length: batchSize }, () => pair);
  return { learned, sizes, pairs, count: batchSize / pairs };
}
