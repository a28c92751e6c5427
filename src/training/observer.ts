/** What a run tells whoever watches it. Everything here is also in the run directory; nothing is known only to a watcher. */

import type { RowOrigin } from "../data/example.ts";
import type { Ledger } from "../data/ledger.ts";
import type { HubEvent } from "../hub/index.ts";
import type { TrainingConfig } from "./config.ts";
import type { MemoryPlan } from "./memory/memory.ts";

/**
 * Numbers by their field's standard names: of a training step, or of an evaluation. A line of metrics.jsonl has besides them
 * `time` (when it was written, Unix seconds), `examples` (training examples that the run had seen) and `memory_bytes` (resident).
 */
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

/** The tokens of a text as pieces that join to it, and their log-probabilities, in nats: 0 for a token that is given and not predicted. */
export interface TokenScores {
  readonly text: readonly string[];
  readonly policy: readonly number[];
  readonly reference: readonly number[];
}

/** One prompt with what the reference and the policy answer to it, decoded greedily. */
export interface Sample {
  readonly step: number;
  readonly prompt: string;
  readonly reference: string;
  readonly policy: string;
  /** The tokens of either answer. One that ends it is an empty piece. */
  readonly reference_tokens: TokenScores;
  readonly policy_tokens: TokenScores;
  /** The step whose policy the reference last moved to, where it moves. */
  readonly reference_step?: number;
}

/** A completion of a held-out example. What is not known of it is absent: a reward model knows no log-probabilities. */
export interface EvalCompletion {
  /** `chosen`, `rejected`, `rank 1`, ..., `desirable`, `undesirable`, or `completion`. */
  readonly role: string;
  readonly text: string;
  /** Log-probabilities by policy and reference, in nats, summed over its scored tokens. */
  readonly logp?: number;
  readonly reference_logp?: number;
  readonly reward?: number;
  /** Of the examples that are most wrong, until there are 200,000 tokens. */
  readonly tokens?: TokenScores;
}

/** One line of eval-rows.jsonl: a held-out example as the evaluation after this step found it. */
export interface EvalRow extends RowOrigin {
  readonly step: number;
  readonly prompt: string;
  readonly completions: readonly EvalCompletion[];
  /** Of examples that compare completions. */
  readonly margin?: number;
  readonly loss: number;
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

/** What asks a run to stop at its next step: the caller's signal, as by Ctrl-C, or a file `stop` in the run directory. */
export type Interruption = "signal" | "stop file";

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
  /** What asked the run to stop, where it did before its end: it can be resumed. */
  readonly interrupted?: Interruption;
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
    stage:
      | "opening"
      | "reading"
      | "loading"
      | "compiling"
      | "checking"
      | "evaluating"
      | "training"
      | "sampling"
      | "saving",
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
