/**
 * How much memory a run is going to take, told before a weight is read: what is held as arrays, and what the run's own programs
 * need for the values in between (tensor/cost.ts) on its largest micro-batch.
 */

import type { TokenizedExample } from "../../data/example.ts";
import { longestSequence, packedLength, scoredLengths } from "../../data/microbatch.ts";
import { parameterCount } from "../../models/weights.ts";
import type { Objective } from "../../objectives/index.ts";
import { evaluateNode } from "../../runtime/interpreter.ts";
import { onnxFused, type Program, type ProgramCost, programCost, type Sizes } from "../../tensor/index.ts";
import type { TrainingConfig } from "../config.ts";
import { movingNumbers } from "../policy/moving-reference.ts";
import type { PolicyShape } from "../policy/policy.ts";
import { needsReferenceRows } from "../step/row-statistics.ts";
import { scoreProgram } from "../step/step.ts";

/** Bytes of a number. */
export const FLOAT = 4;
/** Node with the engine's library, and what a compiled operation takes: measured (bench/estimates.js). */
export const BASE_BYTES = 165e6;
const OPERATION_BYTES = 12e3;

/** What the programs of a run cost. */
export interface StepCost {
  readonly step: ProgramCost;
  /** Forward passes that go on beside the steps, each where there is one: the reference's, and the policy's own. */
  readonly reference?: ProgramCost;
  readonly policy?: ProgramCost;
}

/** Whether a run scores completions beside its steps: held-out rows, or what it samples. */
export function scoresBesides(config: Pick<TrainingConfig, "samplePrompts" | "klSamples">, held: unknown): boolean {
  return held !== undefined || config.samplePrompts > 0 || config.klSamples > 0;
}

/** `step` is the shape's own program for the objective; `evaluates` says that completions are scored besides. */
export function stepCost(
  { model, parameters, referenceParameters }: PolicyShape,
  step: Program,
  objective: Objective,
  evaluates = false,
): StepCost {
  const options = { fused: onnxFused, fold: evaluateNode };
  const { rowStatistics = [], needsReference, scores, context } = objective;
  const reference = needsReference || (evaluates && scores !== "reward");
  // One program serves both where they differ in the bound weights alone (engine.ts).
  const isShared = parameters === referenceParameters && rowStatistics.length === 0;
  const scoresAhead = context !== undefined && context.scores !== "none";
  const policy = (evaluates || scoresAhead) && !(isShared && reference);
  const hidden = needsReferenceRows(objective);
  return {
    step: programCost(step, options),
    ...(reference && { reference: programCost(scoreProgram(model, referenceParameters, { hidden }), options) }),
    ...(policy && { policy: programCost(scoreProgram(model, parameters, { rowStatistics }), options) }),
  };
}

/** Numbers that a run holds as arrays from beginning to end. */
interface HeldNumbers {
  readonly weights: number;
  readonly trained: number;
  /** What the reference has of its own. */
  readonly reference?: number;
  readonly optimizer: TrainingConfig["optimizer"];
}

/** Bytes at a run's peak, and what they are of. */
export interface MemoryPlan {
  readonly total: number;
  /** The model in float32, with what the reference has of its own. */
  readonly weights: number;
  /** What is trained: its values, the sum of their gradients, one micro-batch's as the engine returns them, and the optimizer's moments. */
  readonly training: number;
  /** Values in between, in the engine, of the largest micro-batch. */
  readonly activations: number;
  /** Node, the engine, and what it keeps of each compiled program. */
  readonly engine: number;
}

/** What a run takes whose largest micro-batch has these sizes; where others are scored besides, `scored` are the largest of those. */
export function memoryOf(cost: StepCost, held: HeldNumbers, sizes: Sizes, scored: Sizes = sizes): MemoryPlan {
  const moments = held.optimizer === "adamw" ? 2 : 1;
  const weights = FLOAT * (held.weights + (held.reference ?? 0));
  const training = FLOAT * held.trained * (3 + moments);
  const forwards = [cost.reference, cost.policy].filter((program) => program !== undefined);
  const activations = forwards.reduce(
    (sum, { peakBytes }) => sum + Math.max(peakBytes(sizes), peakBytes(scored)),
    cost.step.peakBytes(sizes),
  );
  const engine = [cost.step, ...forwards].reduce((sum, { nodes }) => sum + nodes * OPERATION_BYTES, BASE_BYTES);
  return { total: weights + training + activations + engine, weights, training, activations, engine };
}

/** What a run works on. */
export interface MemoryWork {
  readonly shape: PolicyShape;
  readonly cost: StepCost;
  /** Examples to train on, and held out. */
  readonly learned: readonly TokenizedExample[];
  readonly held?: readonly TokenizedExample[] | undefined;
  /** The policy's share in the updates of a reference that moves. */
  readonly mixup?: number | undefined;
}

/** What a run of these settings takes. */
export function planMemory(
  { shape, cost, learned, held, mixup }: MemoryWork,
  config: Pick<TrainingConfig, "optimizer" | "batchSize" | "microBatchTokens">,
): MemoryPlan {
  const trained = trainedNumbers(shape);
  const moving = mixup === undefined ? 0 : movingNumbers(shape, mixup);
  const numbers = {
    weights: parameterCount(shape.model),
    trained,
    reference: moving + (shape.continues ? trained : 0),
    optimizer: config.optimizer,
  };
  return memoryOf(cost, numbers, largestMicroBatch(config, learned), held && largestMicroBatch(config, held));
}

/** How many numbers are trained. */
export function trainedNumbers({ trained }: PolicyShape): number {
  return trained.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
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
  const rows = Math.min(
    tokens,
    scored.reduce((most, one) => Math.max(most, one), Math.ceil(share * tokens)),
  );
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
