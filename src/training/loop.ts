/** The course of a run once everything is open: steps, evaluations, samples and checkpoints, until its end or a signal. */

import { relative } from "node:path";
import { setImmediate } from "node:timers/promises";
import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import type { TokenizedExample } from "../data/example.ts";
import type { LoadedPreferences } from "../data/load.ts";
import { packedLength } from "../data/microbatch.ts";
import { conflictsAmong } from "../diagnostics/conflicts.ts";
import { parameterCount } from "../models/weights.ts";
import type { Objective } from "../objectives/index.ts";
import { interpreter } from "../runtime/interpreter.ts";
import { nodeRuntime } from "../runtime/node.ts";
import type { Program } from "../tensor/index.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { readTrainingCheckpoint, restoreTrainable, writeTrainingCheckpoint } from "./checkpoint.ts";
import type { TrainingConfig } from "./config.ts";
import { positionsNeeded } from "./context.ts";
import { Engine, type Scorable } from "./engine.ts";
import { evaluate, ObjectiveEvaluator } from "./evaluate.ts";
import { gaps } from "./history.ts";
import type { MemoryPlan } from "./memory.ts";
import { chosenObjectives, rowUnits } from "./methods.ts";
import type { Metrics, RunObserver, RunPart, RunResult, Sample, Warning } from "./observer.ts";
import type { Policy } from "./policy.ts";
import { fingerprint, ReferenceScores } from "./reference.ts";
import { writeResult } from "./result.ts";
import type { Outcome, RunDirectory } from "./run-directory.ts";
import { Sampler } from "./sampler.ts";
import { checkFiniteWeights } from "./self-checks.ts";
import { RoundOrder, StepOrder } from "./step-order.ts";
import { Trainer } from "./trainer.ts";
import { Watch } from "./watch.ts";

export interface LoopOptions {
  readonly run: RunDirectory;
  readonly config: TrainingConfig;
  readonly part: RunPart | undefined;
  readonly objective: Objective;
  readonly policy: Policy;
  readonly memory: { readonly plan: MemoryPlan; readonly available: number };
  readonly checkpoint: Checkpoint;
  readonly tokenizer: Tokenizer;
  readonly train: LoadedPreferences;
  readonly held: LoadedPreferences | undefined;
  /** Reference data, of which some join the examples of every step. */
  readonly regularization: LoadedPreferences | undefined;
  readonly observer: RunObserver | undefined;
  readonly signal: AbortSignal | undefined;
}

export class RunLoop implements AsyncDisposable {
  private readonly o: LoopOptions;
  private readonly engine: Engine;
  private readonly evaluator: ObjectiveEvaluator;
  private readonly order: StepOrder;
  private readonly regularizationOrder: RoundOrder | undefined;
  private readonly trainer: Trainer;
  private readonly sampler: Sampler;
  private readonly watch: Watch;
  /** Every run says how far its policy is from where it began; a reward model was no such model there. */
  private readonly evalReference: Pick<ReferenceScores, "of"> | undefined;
  private readonly evalEvery: number;
  /** Optimizer steps done. */
  private step = 0;
  private evaluationDue = true;

  private constructor(options: LoopOptions, engine: Engine, evaluator: ObjectiveEvaluator) {
    const { run, config, objective, policy, train, held, regularization, tokenizer, checkpoint } = options;
    this.o = options;
    this.engine = engine;
    this.evaluator = evaluator;
    this.order = new StepOrder(train.examples.length, config);
    const perStep = config.regularizationBatchSize ?? config.batchSize;
    this.regularizationOrder = regularization && new RoundOrder(regularization.examples.length, perStep, config);
    const score = (examples: readonly Scorable[]) => engine.score("reference", examples);
    const stored = { file: run.join("reference.jsonl"), fingerprint: () => fingerprint(policy.referenceWeights) };
    // Within one epoch nothing is kept: what an earlier group said of the same tokens would be lost to a resumed run. Nor is it
    // where each step scores completions that it has mismatched anew, with its own beside them.
    const keeps = this.order.epochs > 1 && !policy.moving && objective.context?.scores !== "mismatched";
    const scores = () => (keeps ? new ReferenceScores(score, stored) : { of: score });
    const reference = objective.needsReference ? scores() : undefined;
    const kept = policy.moving ? { of: score } : new ReferenceScores(score);
    this.evalReference = objective.scores === "reward" ? undefined : kept;
    const { steps } = this.order;
    this.trainer = new Trainer({
      policy,
      objective,
      engine,
      evaluator,
      ...(reference && { reference }),
      config,
      steps,
      watch: (examples, output) => this.watch.note(examples, output, this.step + 1),
    });
    // A reward model writes nothing.
    const asked = objective.scores === "reward" ? [] : (held ?? train).examples;
    this.sampler = new Sampler({ policy, tokenizer, checkpoint, config, score, examples: asked });
    this.watch = new Watch({
      run,
      config,
      observer: options.observer,
      parameters: parameterCount(policy.model),
      train: train.examples,
      heldOut: held?.examples.length ?? 0,
      conflicts: conflictsAmong(train.examples),
      labels: train.ledger.toJSON().labels,
      steps,
    });
    this.evalEvery = config.evalEvery ?? (held ? Math.ceil(this.order.steps / 10) : this.order.steps);
  }

  /** Compiles what the run needs, of which `step` is the policy's program for the objective. Dispose of it. */
  static async open(options: LoopOptions, step: Program): Promise<RunLoop> {
    const { policy, objective, config, train, held, regularization } = options;
    const examples = [train, held, regularization].flatMap((loaded) => loaded?.examples ?? []);
    const drawn = config.klSamples > 0 ? Sampler.longest((held ?? train).examples, config) : 0;
    const longest = positionsNeeded(objective, examples, Math.min(config.maxLength, policy.model.maxPositions));
    const maxPositions = Math.max(longest, Math.min(drawn, policy.model.maxPositions));
    const { threads } = config;
    const engine = await Engine.create({ policy, objective, runtime: nodeRuntime, threads, maxPositions }, step);
    return new RunLoop(options, engine, await ObjectiveEvaluator.create(objective, interpreter));
  }

  /** Goes on from the newest checkpoint to the end, or until the signal. */
  async run(): Promise<RunResult> {
    this.restore();
    this.announce();
    if (this.step === 0) {
      this.stage("checking");
      await this.trainer.check(this.examplesOf(0));
    }
    for (;;) {
      if (this.evaluationDue && (await this.look())) {
        this.evaluationDue = false;
        this.keepBest();
      }
      const stopped = this.watch.stopReason;
      if (!this.evaluationDue && (stopped !== undefined || this.step === this.order.steps)) return this.finish(stopped);
      await setImmediate(); // An engine run blocks the event loop: let signals through between steps.
      if (this.o.signal?.aborted) {
        if (this.step > 0) this.save();
        return this.summarize({});
      }
      if (this.step > 0 && this.step % this.o.config.saveEvery === 0) this.save();
      await this.takeStep();
    }
  }

  private async takeStep(): Promise<void> {
    this.stage("training");
    await this.o.policy.moving?.follow(this.step);
    const measured = await this.trainer.step(this.step, this.examplesOf(this.step));
    this.step++;
    const metrics = { ...measured, ...this.referenceStep() };
    this.o.run.append("metrics.jsonl", metrics);
    this.o.observer?.onStep?.(metrics);
    this.watch.add(metrics);
    const last = this.step === this.order.steps || this.watch.stopReason !== undefined;
    this.evaluationDue = last || this.step % this.evalEvery === 0;
  }

  /** Evaluates on held-out examples, and hears what the policy says by itself. False when it was stopped midway. */
  private async look(): Promise<boolean> {
    const { run, config, held, observer, signal } = this.o;
    let measured: Record<string, number> | undefined = {};
    if (held) {
      this.stage("evaluating");
      measured = await evaluate(held.examples, {
        engine: this.engine,
        evaluator: this.evaluator,
        reference: this.evalReference,
        objectiveState: this.trainer.objectiveState,
        microBatchTokens: config.microBatchTokens,
        step: this.step,
        signal,
      });
      if (!measured) return false;
      measured = { ...measured, ...gaps(this.watch.history, measured), ...this.referenceStep() };
    }
    if (this.sampler.speaks(this.step)) this.stage("sampling");
    const { samples, metrics: heard } = await this.sampler.listen(this.step);
    const metrics: Metrics = { step: this.step, ...measured, ...heard };
    if (Object.keys(metrics).length > 1) {
      run.append("metrics.jsonl", metrics);
      observer?.onEvaluation?.(metrics);
      this.watch.add(metrics);
    }
    for (const sample of samples) run.append("samples.jsonl", sample);
    if (samples.length > 0) observer?.onSamples?.(samples);
    return true;
  }

  /** Keeps a checkpoint of what was now found the best, where that is asked for. */
  private keepBest(): void {
    const { best } = this.watch;
    if (best?.step !== this.step) return;
    this.save();
    const { run } = this.o;
    run.writeJson("best.json", { ...best, checkpoint: relative(run.path, run.checkpointFolder(best.step)) });
  }

  /** Writes a checkpoint of this step, unless the run has just come from it. */
  private save(): void {
    const { run, policy, config, observer } = this.o;
    if (run.checkpointSteps().at(-1) === this.step) return;
    this.stage("saving");
    const { step, evaluationDue } = this;
    checkFiniteWeights(policy.trainable, step);
    const folder = writeTrainingCheckpoint(run, {
      trainable: policy.trainable,
      optimizer: this.trainer.optimizer,
      reference: policy.moving?.values,
      rows: this.watch.rows,
      state: { step, evaluationDue, logs: run.logLengths(), objectiveState: this.trainer.objectiveState },
    });
    run.keepCheckpoints(config.keepCheckpoints, this.watch.best?.step);
    this.watch.writeSuspects();
    observer?.onCheckpoint?.(folder, step);
  }

  /** Goes back to the newest checkpoint, or to the beginning, and cuts the logs accordingly. */
  private restore(): void {
    const { run, policy } = this.o;
    const newest = run.checkpointSteps().at(-1);
    if (newest === undefined) {
      run.restoreLogs({});
      return;
    }
    const restored = {
      trainable: policy.trainable,
      optimizer: this.trainer.optimizer,
      reference: policy.moving?.values,
      rows: this.watch.rows,
    };
    const state = readTrainingCheckpoint(run.checkpointFolder(newest), restored);
    run.restoreLogs(state.logs);
    this.step = state.step;
    this.evaluationDue = state.evaluationDue;
    this.trainer.objectiveState = state.objectiveState;
    this.watch.recall();
  }

  private announce(): void {
    const { config, part, policy, memory, train, held, regularization, observer } = this.o;
    const { model } = policy;
    observer?.onStart?.({
      config,
      ...(part && { part }),
      family: model.family,
      parameters: parameterCount(model),
      trainable: policy.trainable.data.length,
      examples: train.examples.length,
      heldOut: held?.examples.length ?? 0,
      unit: rowUnits[chosenObjectives(config)[0]!.rows],
      tokens: train.examples.reduce((n, example) => n + packedLength(example), 0),
      steps: this.order.steps,
      firstStep: this.step,
      memory: memory.plan,
      availableMemory: memory.available,
      ledger: train.ledger,
      ...(held && { evalLedger: held.ledger }),
      ...(regularization && { regularizationLedger: regularization.ledger }),
    });
    this.watch.begin(this.step);
  }

  /** Writes the result: the values that the run has come to, or the best where they are kept. */
  private finish(stopped: string | undefined): RunResult {
    const { run, policy, checkpoint, config } = this.o;
    if (stopped !== undefined) this.save();
    this.stage("saving");
    const { best } = this.watch;
    if (best && best.step !== this.step) restoreTrainable(run.checkpointFolder(best.step), policy.trainable);
    checkFiniteWeights(policy.trainable, this.step);
    const ending = { ...(stopped !== undefined && { stopped }), ...(best && { best }) };
    const summary = this.summarize(ending);
    const { step, steps, suspects } = summary;
    run.writeJson("outcome.json", { step, steps, ...ending, suspects } satisfies Outcome);
    return { ...summary, result: writeResult(run, policy, checkpoint, { config, ...summary }) };
  }

  private summarize(ending: Pick<RunResult, "stopped" | "best">): RunResult {
    const { run, config } = this.o;
    const reached = { step: this.step, steps: this.order.steps, ...ending, suspects: this.watch.writeSuspects() };
    return { output: config.output, ...reached, ...summaryOf(run, ending.best) };
  }

  private examplesOf(step: number): TokenizedExample[] {
    const { train, regularization } = this.o;
    const own = this.order.indices(step).map((i) => train.examples[i]!);
    const beside = this.regularizationOrder?.indices(step) ?? [];
    return [...own, ...beside.map((i) => regularization!.examples[i]!)];
  }

  /** Which reference the KL and the rewards are against, where it moves: the step whose policy it last moved to. */
  private referenceStep(): { reference_step?: number } {
    const { moving } = this.o.policy;
    return moving ? { reference_step: moving.since(this.step) } : {};
  }

  private stage(name: Parameters<NonNullable<RunObserver["onStage"]>>[0]): void {
    this.o.observer?.onStage?.(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.engine[Symbol.asyncDispose]();
    await this.evaluator[Symbol.asyncDispose]();
  }
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
