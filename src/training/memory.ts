/**
 * How much memory a run is going to take, told before anything is computed: what is held as arrays, and what the run's own programs
 * need for the values in between (tensor/cost.ts) on its largest micro-batch.
 */

import type { TokenizedExample } from "../data/example.ts";
import { longestSequence, packedLength, scoredLengths } from "../data/microbatch.ts";
import { parameterCount } from "../models/weights.ts";
import type { Objective } from "../objectives/index.ts";
import { evaluateNode } from "../runtime/interpreter.ts";
import { onnxFused, type ProgramCost, programCost, type Sizes } from "../tensor/index.ts";
import type { TrainingConfig } from "./config.ts";
import type { Policy } from "./policy.ts";
import { needsReferenceRows } from "./row-statistics.ts";
import { scoreProgram } from "./step.ts";

const FLOAT = 4;
/** Node with the engine's library, and what a compiled operation takes: measured (bench/estimates.js). */
const BASE_BYTES = 155e6;
const OPERATION_BYTES = 12e3;

/** What the programs of an optimizer step cost. */
export interface StepCost {
  readonly step: ProgramCost;
  /** Of the reference's forward pass; absent for an objective without a reference. */
  readonly reference?: ProgramCost;
}

export function stepCost(
  { model, step, referenceParameters }: Pick<Policy, "model" | "step" | "referenceParameters">,
  objective: Objective,
): StepCost {
  const options = { fused: onnxFused, fold: evaluateNode };
  const hidden = needsReferenceRows(objective);
  return {
    step: programCost(step(objective), options),
    ...(objective.needsReference && {
      reference: programCost(scoreProgram(model, referenceParameters, { hidden }), options),
    }),
  };
}

/** Numbers that a run holds as arrays from beginning to end. */
export interface HeldNumbers {
  readonly weights: number;
  readonly trained: number;
  /** What a moving reference has of its own. */
  readonly reference?: number;
  readonly optimizer: TrainingConfig["optimizer"];
}

/**
 * Bytes: the weights; of what is trained the values, the sum of their gradients, one micro-batch's as the engine returns them,
 * and the optimizer's memory; and what the engine keeps for each program.
 */
export function memoryOf({ step, reference }: StepCost, held: HeldNumbers, sizes: Sizes): number {
  const moments = held.optimizer === "adamw" ? 2 : 1;
  const numbers = held.weights + held.trained * (3 + moments) + (held.reference ?? 0);
  const programs = [step, ...(reference ? [reference] : [])];
  const engine = programs.reduce((sum, { peakBytes, nodes }) => sum + peakBytes(sizes) + nodes * OPERATION_BYTES, 0);
  return BASE_BYTES + FLOAT * numbers + engine;
}

/** Bytes that a run of this policy on these examples takes at its peak. */
export function estimateMemory(
  policy: Policy,
  config: Pick<TrainingConfig, "optimizer" | "batchSize" | "microBatchTokens">,
  examples: readonly TokenizedExample[],
  objective: Objective,
): number {
  const held = {
    weights: parameterCount(policy.model),
    trained: policy.trainable.data.length,
    reference: policy.moving?.values.data.length ?? 0,
    optimizer: config.optimizer,
  };
  return memoryOf(stepCost(policy, objective), held, largestMicroBatch(config, examples));
}

/** The sizes of the largest micro-batch that examples can make. */
function largestMicroBatch(
  { batchSize, microBatchTokens }: Pick<TrainingConfig, "batchSize" | "microBatchTokens">,
  examples: readonly TokenizedExample[],
): Sizes {
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
  const lengths = examples.map(packedLength).sort((a, b) => b - a);
  const scored = examples.map((example) => sum(scoredLengths(example)));
  const step = lengths.slice(0, batchSize);
  const tokens = Math.max(lengths[0] ?? 1, Math.min(microBatchTokens, sum(step)));
  const share = sum(scored) / Math.max(1, sum(lengths));
  const rows = Math.min(tokens, Math.max(Math.ceil(share * tokens), ...scored));
  const completions = sum(examples.map((example) => example.completions.length)) / Math.max(1, examples.length);
  return microBatchSizes({
    tokens,
    rows,
    examples: Math.max(1, Math.floor((tokens * examples.length) / Math.max(1, sum(lengths)))),
    completions,
    positions: longestSequence(examples),
  });
}

/** A micro-batch by the names of sizes that programs have; `completions` is how many an example has. */
export function microBatchSizes(batch: {
  readonly tokens: number;
  readonly rows: number;
  readonly examples: number;
  readonly completions: number;
  readonly positions: number;
}): Sizes {
  return new Map([
    ["T", batch.tokens],
    ["R", batch.rows],
    ["E", batch.examples],
    ["C", Math.ceil(batch.examples * batch.completions)],
    ["P", batch.positions],
  ]);
}
