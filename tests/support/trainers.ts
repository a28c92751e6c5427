/** What tests of training steps share: the tiny model as a policy, trainers of it, and how far gradients are apart. */

import { dpo, type Objective } from "../../src/objectives/index.ts";
import { interpreter } from "../../src/runtime/interpreter.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { ObjectiveEvaluator } from "../../src/training/measurements/evaluate.ts";
import { globalNorm } from "../../src/training/policy/flat.ts";
import { fullPolicy, type LoraOptions, loraPolicy, type Policy } from "../../src/training/policy/policy.ts";
import { Engine } from "../../src/training/step/engine.ts";
import { ReferenceScores } from "../../src/training/step/reference.ts";
import { Trainer, type TrainerConfig } from "../../src/training/step/trainer.ts";
import { tinyModel, tinyWeights } from "./tiny-model.ts";

const lora: LoraOptions = { rank: 2, alpha: 4, rankStabilized: false, targets: "all-linear", seed: 0 };

/** The tiny model before its first step. */
export function newPolicy(tuning: "lora" | "full" = "lora", options: Partial<LoraOptions> = {}): Policy {
  const weights = tinyWeights();
  return tuning === "full" ? fullPolicy(tinyModel, weights) : loraPolicy(tinyModel, weights, { ...lora, ...options });
}

/** One that has moved off its reference, so that every row has a loss and a gradient of its own. */
export function movedPolicy(tuning: "lora" | "full" = "lora", by = 0.05): Policy {
  const policy = newPolicy(tuning);
  const { data } = policy.trainable;
  data.set(data.map((x, i) => x + by * Math.sin(i)));
  return policy;
}

export const engineOf = (policy: Policy, objective: Objective): Promise<Engine> =>
  Engine.create({ policy, objective, runtime: nodeRuntime, threads: 1, maxPositions: 64 });

export const trainerConfig: TrainerConfig = {
  optimizer: "adamw",
  weightDecay: 0,
  learningRate: 1e-3,
  schedule: "constant",
  warmupSteps: 0,
  maxGradNorm: 1,
  microBatchTokens: 10_000,
};

interface TrainerSettings extends Partial<TrainerConfig> {
  /** DPO unless given. */
  readonly objective?: Objective;
  /** Moved off its reference unless given. */
  readonly policy?: Policy;
  /** Of the whole run. */
  readonly steps?: number;
}

interface Opened {
  readonly trainer: Trainer;
  readonly engine: Engine;
  readonly evaluator: ObjectiveEvaluator;
  readonly reference: ReferenceScores;
}

/** Runs `use` with a trainer of its own, and with what it steps by. */
export async function withTrainer<T>(
  { objective = dpo({ beta: 0.1 }), policy = movedPolicy(), steps = 10, ...changes }: TrainerSettings,
  use: (opened: Opened) => Promise<T>,
): Promise<T> {
  await using engine = await engineOf(policy, objective);
  await using evaluator = await ObjectiveEvaluator.create(objective, interpreter);
  const reference = new ReferenceScores((examples) => engine.score("reference", examples));
  const trainer = new Trainer({
    policy,
    objective,
    engine,
    evaluator,
    ...(objective.needsReference && { reference }),
    config: { ...trainerConfig, ...changes },
    steps,
  });
  return await use({ trainer, engine, evaluator, reference });
}

/** |a - b| / |b| over whole vectors. */
export function relativeError(a: Float32Array, b: Float32Array): number {
  return globalNorm(a.map((x, i) => x - b[i]!)) / globalNorm(b);
}
