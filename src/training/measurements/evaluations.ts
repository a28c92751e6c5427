/**
 * What a run looks at every so many steps: how the policy does on held-out examples, one by one and together, and what it
 * says by itself.
 */

import type { Checkpoint } from "../../checkpoints/checkpoint.ts";
import type { LoadedPreferences } from "../../data/load.ts";
import type { Objective } from "../../objectives/index.ts";
import { nodeRuntime } from "../../runtime/node.ts";
import { TokenPieces } from "../../text/pieces.ts";
import type { Tokenizer } from "../../text/tokenizer.ts";
import type { TrainingConfig } from "../config.ts";
import type { RunDirectory } from "../directory/run-directory.ts";
import type { RunObserver, Sample } from "../observer.ts";
import type { Policy } from "../policy/policy.ts";
import type { Engine, Scorable } from "../step/engine.ts";
import { ReferenceScores } from "../step/reference.ts";
import { gaps, type History } from "../watch/history.ts";
import { EvalRows } from "./eval-rows.ts";
import { evaluate, type ObjectiveEvaluator } from "./evaluate.ts";
import { Sampler } from "./sampler.ts";

interface EvaluationsOptions {
  readonly run: RunDirectory;
  readonly config: TrainingConfig;
  readonly objective: Objective;
  readonly policy: Policy;
  readonly checkpoint: Checkpoint;
  readonly tokenizer: Tokenizer;
  readonly train: LoadedPreferences;
  readonly held: LoadedPreferences | undefined;
  readonly engine: Engine;
  readonly evaluator: ObjectiveEvaluator;
  readonly history: History;
  readonly onStage: NonNullable<RunObserver["onStage"]>;
  /** Whether the run is asked to stop; asked between runs of the engine. */
  readonly stops: () => Promise<boolean>;
}

/** What was found after a step. */
interface Findings {
  readonly metrics: Readonly<Record<string, number>>;
  readonly samples: readonly Sample[];
}

export class Evaluations {
  private readonly o: EvaluationsOptions;
  private readonly pieces: TokenPieces;
  private readonly sampler: Sampler;
  /** Every run says how far its policy is from where it began; a reward model was no such model there. */
  private readonly reference: Pick<ReferenceScores, "of"> | undefined;

  constructor(options: EvaluationsOptions) {
    this.o = options;
    const { objective, policy, tokenizer, engine, held, train } = options;
    this.pieces = new TokenPieces(tokenizer);
    const writesNothing = objective.scores === "reward";
    const examples = writesNothing ? [] : (held ?? train).examples;
    this.sampler = new Sampler({ ...options, pieces: this.pieces, examples, runtime: nodeRuntime });
    const score = (group: readonly Scorable[]) => engine.score("reference", group);
    const scores = policy.moving ? { of: score } : new ReferenceScores(score);
    this.reference = writesNothing ? undefined : scores;
  }

  /** Looks at the policy after this many steps, and writes eval-rows.jsonl. Undefined when it was stopped midway. */
  async after(step: number, objectiveState: readonly number[]): Promise<Findings | undefined> {
    const { held, onStage } = this.o;
    if (held) onStage("evaluating");
    const measured = held ? await this.measure(held, step, objectiveState) : {};
    if (!measured) return undefined;
    if (this.sampler.speaks(step)) onStage("sampling");
    const { samples, metrics: heard } = await this.sampler.listen(step);
    return { metrics: { ...measured, ...heard }, samples };
  }

  private async measure({ examples }: LoadedPreferences, step: number, objectiveState: readonly number[]) {
    const { run, config, objective, tokenizer, engine, evaluator, history, stops, policy } = this.o;
    const rows = new EvalRows(objective, tokenizer, this.pieces);
    const measured = await evaluate(examples, {
      engine,
      evaluator,
      reference: this.reference,
      objectiveState,
      microBatchTokens: config.microBatchTokens,
      step,
      stops,
      found: (...found) => rows.add(...found),
    });
    if (!measured) return undefined;
    run.writeLines("eval-rows.jsonl", rows.sorted(examples, step));
    return {
      ...measured,
      ...gaps(history, measured),
      ...(policy.moving && { reference_step: policy.moving.since(step) }),
    };
  }
}
