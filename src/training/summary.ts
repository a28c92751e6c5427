/** What is said of a run: what it is going to do, before its first step, and what it has come to. */

import type { LoadedPreferences } from "../data/load.ts";
import { packedLength } from "../data/microbatch.ts";
import { parameterCount } from "../models/weights.ts";
import type { TrainingConfig } from "./config.ts";
import type { RunDirectory } from "./directory/run-directory.ts";
import type { MemoryPlan } from "./memory/memory.ts";
import { chosenObjectives, rowUnits } from "./methods.ts";
import type { Metrics, RunPart, RunResult, RunSummary, Sample, Warning } from "./observer.ts";
import type { Policy } from "./policy/policy.ts";

export interface Announced {
  readonly config: TrainingConfig;
  readonly part: RunPart | undefined;
  readonly policy: Policy;
  readonly memory: { readonly plan: MemoryPlan; readonly available: number };
  readonly train: LoadedPreferences;
  readonly held: LoadedPreferences | undefined;
  readonly regularization: LoadedPreferences | undefined;
}

/** What a run is going to do: all its steps, from `firstStep` on. */
export function announcement(
  { config, part, policy, memory, train, held, regularization }: Announced,
  { steps, firstStep }: Pick<RunSummary, "steps" | "firstStep">,
): RunSummary {
  const { model } = policy;
  return {
    config,
    ...(part && { part }),
    family: model.family,
    parameters: parameterCount(model),
    trainable: policy.trainable.data.length,
    examples: train.examples.length,
    heldOut: held?.examples.length ?? 0,
    unit: rowUnits[chosenObjectives(config)[0]!.rows],
    tokens: train.examples.reduce((n, example) => n + packedLength(example), 0),
    steps,
    firstStep,
    memory: memory.plan,
    availableMemory: memory.available,
    ledger: train.ledger,
    ...(held && { evalLedger: held.ledger }),
    ...(regularization && { regularizationLedger: regularization.ledger }),
  };
}

/**
 * What a run's logs say of it: the first evaluation and the last (training steps where there are none), the last samples,
 * all warnings. Where the result is of an earlier evaluation that was the best, that one is the last.
 */
export function summaryOf(
  run: RunDirectory,
  best: RunResult["best"],
): Pick<RunResult, "before" | "after" | "samples" | "warnings"> {
  const until = <T extends { step: number }>(lines: T[]) => lines.filter(({ step }) => step <= (best?.step ?? step));
  const metrics = until(run.read<Metrics>("metrics.jsonl"));
  const evaluations = metrics.filter((line) => "eval_loss" in line);
  const lines = evaluations.length > 0 ? evaluations : metrics.filter((line) => "loss" in line);
  const samples = until(run.read<Sample>("samples.jsonl"));
  const last = samples.at(-1)?.step;
  return {
    before: lines[0],
    after: lines.at(-1),
    samples: samples.filter(({ step }) => step === last),
    warnings: run.read<Warning>("warnings.jsonl"),
  };
}
