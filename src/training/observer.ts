/** What a run tells whoever watches it. Everything here is also in the run directory; nothing is known only to a watcher. */

import type { Ledger } from "../data/ledger.ts";
import type { HubEvent } from "../hub/index.ts";
import type { TrainingConfig } from "./config.ts";
import type { MemoryPlan } from "./memory.ts";

/** One line of metrics.jsonl: numbers by their field's standard names. */
export type Metrics = { readonly step: number } & Readonly<Record<string, number>>;

/** What a run of two parts is doing: fine-tuning first (supervised.ts), or what it is for. */
export type RunPart = "first" | "second";

export interface RunSummary {
  readonly config: TrainingConfig;
  /** Absent for a run that has no parts. */
  readonly part?: RunPart;
  readonly family: string;
  /** Values in the model, and of those in what is trained. */
  readonly parameters: number;
  readonly trainable: number;
  /** Examples to train on and held out, and what they are called. */
  readonly examples: number;
  readonly heldOut: number;
  readonly unit: string;
  /** Prompt and completion tokens of an epoch, each prompt counted once. */
  readonly tokens: number;
  readonly steps: number;
  /** The step that the run goes on from; 0 for a new run. */
  readonly firstStep: number;
  /** The memory that the run is expected to take, and what there is of it, in bytes. */
  readonly memory: MemoryPlan;
  readonly availableMemory: number;
  readonly ledger: Ledger;
  readonly evalLedger?: Ledger;
  readonly regularizationLedger?: Ledger;
}

/** One prompt with what the reference and the policy answer to it, decoded greedily. */
export interface Sample {
  readonly step: number;
  readonly prompt: string;
  readonly reference: string;
  readonly policy: string;
  /** The step whose policy the reference last moved to, where it moves. */
  readonly reference_step?: number;
}

/** One line of warnings.jsonl: what was found at a step, and what to do. Names are those of docs/diagnostics.md. */
export interface Warning {
  readonly step: number;
  readonly name: string;
  /** A sentence without its full stop. */
  readonly found: string;
  readonly advice: string;
}

/** An evaluation that was better than all before it. */
export interface Best {
  readonly step: number;
  readonly metric: TrainingConfig["bestMetric"];
  readonly value: number;
}

export interface RunResult {
  readonly output: string;
  /** Folder of the adapter or the model, the run's result. Absent when the run was stopped before its end. */
  readonly result?: string;
  /** The part in which a run that has parts was stopped: `step` and all the rest are of that part. */
  readonly part?: RunPart;
  readonly step: number;
  readonly steps: number;
  /** Why the run ended before its last step, where it did of itself. */
  readonly stopped?: string;
  /** The evaluation whose values the result has, where the best are kept. */
  readonly best?: Best;
  /** Number of rows in suspects.jsonl. */
  readonly suspects: number;
  readonly warnings: readonly Warning[];
  /** The first evaluation and the last, or the one of the result; without evaluation data the first and the last training steps. */
  readonly before?: Metrics;
  readonly after?: Metrics;
  readonly samples: readonly Sample[];
}

/** All optional: a program that only wants the result passes none. */
export interface RunObserver {
  onStage?(
    stage: "opening" | "reading" | "compiling" | "checking" | "evaluating" | "training" | "sampling" | "saving",
  ): void;
  /** Called while files are fetched from the hub, many times a second. */
  onHub?(event: HubEvent): void;
  /** Called once, and once for each part of a run that has parts. */
  onStart?(summary: RunSummary): void;
  onStep?(metrics: Metrics): void;
  /** Of held-out examples (`eval_loss` and others), of the policy's samples (`eval_kl_samples` and others), or of both. */
  onEvaluation?(metrics: Metrics): void;
  onSamples?(samples: readonly Sample[]): void;
  onWarning?(warning: Warning): void;
  onCheckpoint?(folder: string, step: number): void;
}
