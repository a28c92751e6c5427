/**
 * Preference tuning without files: a model and rows in memory, the command line's own steps on whatever runtime is there, and
 * nothing written. One call at a time: a run of the engine takes the thread that it is on, so a page has its session in a worker.
 */

import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import { filesInMemory, openModelFiles } from "../checkpoints/model-files.ts";
import { parseColumns } from "../data/columns.ts";
import type { Content, TokenizedExample } from "../data/example.ts";
import { examplesOf, type LoadedPreferences } from "../data/examples.ts";
import { textRows } from "../data/files/text-rows.ts";
import type { Ledger } from "../data/ledger.ts";
import { limitsWithin } from "../data/truncate.ts";
import { demoSettings } from "../demo/settings.ts";
import { ConfigError, TrainingError } from "../errors.ts";
import { type LanguageModel, loadWeights, modelFor, refuseRewardModel } from "../models/index.ts";
import { parameterCount } from "../models/weights.ts";
import type { Objective } from "../objectives/index.ts";
import { interpreter } from "../runtime/interpreter.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { promptIds } from "../text/boundary.ts";
import { TokenPieces } from "../text/pieces.ts";
import { type Tokenizer, tokenizerFromFiles } from "../text/tokenizer.ts";
import type { TrainingConfig } from "../training/config.ts";
import { evaluate, ObjectiveEvaluator } from "../training/measurements/evaluate.ts";
import { Sampler } from "../training/measurements/sampler.ts";
import { methods, objectiveOf, resolveConfig, rowNeeds } from "../training/methods.ts";
import type { Metrics, Sample } from "../training/observer.ts";
import { newPolicy } from "../training/policy/new-policy.ts";
import type { Policy } from "../training/policy/policy.ts";
import { Engine, type Scorable } from "../training/step/engine.ts";
import { KnownScores } from "../training/step/known-scores.ts";
import { StepOrder } from "../training/step/step-order.ts";
import { Trainer } from "../training/step/trainer.ts";
import type { DpoOptions } from "../training/tuners.ts";

/** The settings of `preftune dpo` that have a meaning without files. */
export type TuningSettings = Omit<
  DpoOptions,
  | "model"
  | "adapter"
  | "data"
  | "evalData"
  | "mixture"
  | "output"
  | "threads"
  | "sftFirst"
  | "sftEpochs"
  | "sftLearningRate"
  | "syncReference"
  | "referenceMixup"
>;

/** Rows as a file would have them: JSON lines, a JSON array, CSV or TSV. */
export interface Rows {
  /** What messages call it; `.csv` or `.tsv` at its end says that it is that. */
  readonly name: string;
  readonly text: string;
}

export interface TuningOptions {
  /** The model's files by name, as in its folder: `config.json`, `tokenizer.json`, `model.safetensors` and what else it has. */
  readonly model: Readonly<Record<string, Uint8Array>>;
  readonly train: Rows;
  readonly heldOut?: Rows;
  readonly runtime: Runtime;
  /** The embedded demo's (demo/settings.ts) where none are given; those that are missing are the command line's defaults. */
  readonly settings?: TuningSettings;
  /** Told what is being done, for each of these may take a while. */
  readonly onStage?: (stage: "opening" | "reading" | "compiling" | "checking") => void;
}

interface Opened {
  readonly config: TrainingConfig;
  readonly objective: Objective;
  readonly checkpoint: Checkpoint;
  readonly tokenizer: Tokenizer;
  readonly policy: Policy;
  readonly train: LoadedPreferences;
  readonly held: LoadedPreferences | undefined;
  readonly runtime: Runtime;
}

export class Tuning implements AsyncDisposable {
  /** Every setting, with the defaults filled in. */
  readonly config: TrainingConfig;
  /** The whole session's optimizer steps. */
  readonly steps: number;
  private done = 0;
  private readonly order: StepOrder;
  private readonly trainer: Trainer;
  private readonly reference: KnownScores<Scorable>;
  private readonly pieces: TokenPieces;
  private sampler: { readonly prompts: string; readonly sampler: Sampler } | undefined;

  private constructor(
    private readonly o: Opened,
    private readonly engine: Engine,
    private readonly evaluator: ObjectiveEvaluator,
  ) {
    const { config, objective, policy, train, tokenizer } = o;
    this.config = config;
    this.order = new StepOrder(train.examples.length, config);
    this.steps = this.order.steps;
    // Examples are the same objects for as long as the session lasts.
    const score = (examples: readonly Scorable[]) => engine.score("reference", examples);
    this.reference = new KnownScores(score, (example) => example);
    this.pieces = new TokenPieces(tokenizer);
    const reference = objective.needsReference ? { reference: this.reference } : {};
    this.trainer = new Trainer({ policy, objective, engine, evaluator, ...reference, config, steps: this.steps });
  }

  /**
   * Opens the model, reads the rows, compiles the step and checks itself on the first examples. Throws PreftuneError with what to
   * mend. Dispose of it.
   */
  static async open({ settings = demoSettings, onStage, ...given }: TuningOptions): Promise<Tuning> {
    const config = resolveConfig(methods.dpo!, {
      ...settings,
      model: "model",
      data: [given.train.name],
      ...(given.heldOut && { evalData: [given.heldOut.name] }),
      output: "memory",
    });
    const objective = objectiveOf(config);
    onStage?.("opening");
    const checkpoint = openModelFiles(filesInMemory(config.model, given.model));
    const model = modelFor(checkpoint);
    refuseRewardModel(model, config.model);
    const tokenizer = tokenizerFromFiles(checkpoint.tokenizer);
    onStage?.("reading");
    const rows = { config, objective, model, tokenizer };
    const train = await readExamples(given.train, rows, config.limit);
    const held = given.heldOut && (await readExamples(given.heldOut, rows));
    const policy = newPolicy(config, model, await loadWeights(checkpoint, model));
    const opened = { config, objective, checkpoint, tokenizer, policy, train, held, runtime: given.runtime };
    onStage?.("compiling");
    const maxPositions = Math.min(config.maxLength, model.maxPositions);
    const engine = await Engine.create({ policy, objective, runtime: given.runtime, maxPositions });
    const tuning = new Tuning(opened, engine, await ObjectiveEvaluator.create(objective, interpreter));
    onStage?.("checking");
    try {
      await tuning.trainer.check(tuning.examplesOf(0));
    } catch (error) {
      await tuning[Symbol.asyncDispose]();
      throw error;
    }
    return tuning;
  }

  /** Optimizer steps done. */
  get step(): number {
    return this.done;
  }

  /** What is tuned, and on how much. */
  get summary() {
    const { policy, train, held } = this.o;
    return {
      family: policy.model.family,
      parameters: parameterCount(policy.model),
      trainable: policy.trainable.data.length,
      examples: train.examples.length,
      heldOut: held?.examples.length ?? 0,
    };
  }

  /** What became of the rows. */
  get ledgers(): { readonly train: Ledger; readonly heldOut?: Ledger } {
    const { train, held } = this.o;
    return { train: train.ledger, ...(held && { heldOut: held.ledger }) };
  }

  /** Takes the next optimizer step. Throws TrainingError after the last, and before a non-finite update. */
  async next(): Promise<Metrics> {
    if (this.done === this.steps) {
      throw new TrainingError(`Step ${this.steps} was the last. Give more epochs or maxSteps, or begin again.`);
    }
    const metrics = await this.trainer.step(this.done, this.examplesOf(this.done));
    this.done++;
    return metrics;
  }

  /** Metrics of the held-out rows, as `eval_loss` and so on, by the policy as it is now. Throws ConfigError where there are none. */
  async evaluate(): Promise<Metrics> {
    const { held, config } = this.o;
    if (!held)
      throw new ConfigError("There are no held-out rows to evaluate on: give some when the session is opened.");
    const measured = await evaluate(held.examples, {
      engine: this.engine,
      evaluator: this.evaluator,
      reference: this.reference,
      objectiveState: this.trainer.objectiveState,
      microBatchTokens: config.microBatchTokens,
      step: this.done,
    });
    return { step: this.done, ...measured };
  }

  /**
   * The policy's and the reference's greedy answers to some prompts, with each token's log-probability by either; where no prompts
   * are given, to the first held-out ones (to train on, where there are none), as many as `samplePrompts`. Text is a user's
   * message to a model with a chat template. Throws ConfigError for a prompt that leaves no room for an answer.
   */
  async sample(prompts?: readonly Content[]): Promise<Sample[]> {
    const key = JSON.stringify(prompts ?? null);
    if (this.sampler?.prompts !== key) this.sampler = { prompts: key, sampler: this.samplerFor(prompts) };
    // Before the first step a run has nothing to show; here the answers of the model as it was are asked for.
    const { samples } = await this.sampler.sampler.listen(Math.max(1, this.done));
    return samples.map((sample) => ({ ...sample, step: this.done }));
  }

  private samplerFor(prompts: readonly Content[] | undefined): Sampler {
    const { train, held, config, tokenizer } = this.o;
    const examples = prompts?.map((prompt) => this.question(prompt)) ?? (held ?? train).examples;
    const samplePrompts = prompts?.length ?? config.samplePrompts;
    const room = this.engine.maxPositions - config.sampleTokens;
    const long = examples.slice(0, samplePrompts).find(({ prompt }) => prompt.length > room);
    if (long) {
      throw new ConfigError(
        `A prompt has ${long.prompt.length} tokens, which leaves less than ${config.sampleTokens} of ${this.engine.maxPositions} to its answer. Shorten it, or lower sampleTokens.`,
      );
    }
    return new Sampler({
      ...this.o,
      tokenizer,
      pieces: this.pieces,
      engine: this.engine,
      examples,
      config: { ...config, samplePrompts, klSamples: 0 },
    });
  }

  private question(prompt: Content): TokenizedExample {
    const { tokenizer, checkpoint } = this.o;
    const chat = checkpoint.tokenizer.chatTemplate !== undefined;
    return { origin: { file: "prompts", line: 1 }, prompt: promptIds(tokenizer, prompt, { chat }), completions: [] };
  }

  private examplesOf(step: number): TokenizedExample[] {
    return this.order.indices(step).map((i) => this.o.train.examples[i]!);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.engine[Symbol.asyncDispose]();
    await this.evaluator[Symbol.asyncDispose]();
  }
}

interface RowsFor {
  readonly config: TrainingConfig;
  readonly objective: Objective;
  readonly model: LanguageModel;
  readonly tokenizer: Tokenizer;
}

async function readExamples(
  { name, text }: Rows,
  { config, objective, model, tokenizer }: RowsFor,
  limit?: number,
): Promise<LoadedPreferences> {
  const source = {
    name,
    files: [name],
    ...(config.format !== undefined && { format: config.format }),
    columns: parseColumns(config.columns ?? []),
    read: () => textRows(name, [new TextEncoder().encode(text)]),
  };
  const limits = limitsWithin(config, model.maxPositions);
  return examplesOf(rowNeeds(config, objective), [source], { ...config, ...limits, tokenizer, limit });
}
