/** The course of a run once everything is open: steps, evaluations and checkpoints, until its end or until it is asked to stop. */

import { setImmediate } from "node:timers/promises";
import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import type { TokenizedExample } from "../data/example.ts";
import { conflictsAmong } from "../diagnostics/conflicts.ts";
import { refuseUnknownTokens } from "../models/index.ts";
import { parameterCount } from "../models/weights.ts";
import type { Objective } from "../objectives/index.ts";
import { interpreter } from "../runtime/interpreter.ts";
import { nodeRuntime } from "../runtime/node.ts";
import type { Program } from "../tensor/index.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { Keeper, type Position } from "./directory/keeper.ts";
import { writeResult } from "./directory/result.ts";
import type { Outcome, RunDirectory } from "./directory/run-directory.ts";
import { ObjectiveEvaluator } from "./measurements/evaluate.ts";
import { Evaluations } from "./measurements/evaluations.ts";
import { Sampler } from "./measurements/sampler.ts";
import type { Interruption, Metrics, RunObserver, RunResult } from "./observer.ts";
import { positionsNeeded } from "./step/context.ts";
import { Engine, type Scorable } from "./step/engine.ts";
import { fingerprint, ReferenceScores } from "./step/reference.ts";
import { RoundOrder, StepOrder } from "./step/step-order.ts";
import { Trainer } from "./step/trainer.ts";
import { type Announced, announcement, summaryOf } from "./summary.ts";
import { Watch } from "./watch/watch.ts";

interface LoopOptions extends Announced {
  readonly run: RunDirectory;
  /** The run that this is a part of, if it is. */
  readonly whole: RunDirectory | undefined;
  readonly objective: Objective;
  readonly checkpoint: Checkpoint;
  readonly tokenizer: Tokenizer;
  readonly observer: RunObserver | undefined;
  readonly signal: AbortSignal | undefined;
}

export class RunLoop implements AsyncDisposable {
  private readonly o: LoopOptions;
  private readonly engine: Engine;
  private readonly evaluator: ObjectiveEvaluator;
  private readonly evaluations: Evaluations;
  private readonly order: StepOrder;
  private readonly regularizationOrder: RoundOrder | undefined;
  private readonly trainer: Trainer;
  private readonly watch: Watch;
  private readonly keeper: Keeper;
  private readonly evalEvery: number;
  /** Optimizer steps done. */
  private step = 0;
  private evaluationDue = true;
  /** What has asked the run to stop. */
  private interruption: Interruption | undefined;

  private constructor(options: LoopOptions, engine: Engine, evaluator: ObjectiveEvaluator) {
    const { run, config, objective, policy, train, held, regularization } = options;
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
    this.keeper = new Keeper({ ...options, trainer: this.trainer, watch: this.watch });
    const { history } = this.watch;
    const stops = () => this.stops();
    this.evaluations = new Evaluations({
      ...options,
      engine,
      evaluator,
      history,
      stops,
      onStage: (name) => this.stage(name),
    });
    this.evalEvery = config.evalEvery ?? (held ? Math.ceil(this.order.steps / 10) : this.order.steps);
  }

  /** Compiles what the run needs, of which `step` is the policy's program for the objective. Dispose of it. */
  static async open(options: LoopOptions, step: Program): Promise<RunLoop> {
    const { policy, objective, config, train, held, regularization } = options;
    const examples = [train, held, regularization].flatMap((loaded) => loaded?.examples ?? []);
    refuseUnknownTokens(policy.model, examples);
    const answered = Sampler.longest((held ?? train).examples, config);
    const longest = positionsNeeded(objective, examples, Math.min(config.maxLength, policy.model.maxPositions));
    const maxPositions = Math.max(longest, Math.min(answered, policy.model.maxPositions));
    const { threads } = config;
    const engine = await Engine.create({ policy, objective, runtime: nodeRuntime, threads, maxPositions }, step);
    return new RunLoop(options, engine, await ObjectiveEvaluator.create(objective, interpreter));
  }

  /** Goes on from the newest checkpoint to the end, or until it is asked to stop. */
  async run(): Promise<RunResult> {
    try {
      return await this.goOn();
    } catch (error) {
      this.recordError(error);
      throw error;
    }
  }

  private async goOn(): Promise<RunResult> {
    ({ step: this.step, evaluationDue: this.evaluationDue } = this.keeper.restore());
    this.o.observer?.onStart?.(announcement(this.o, { steps: this.order.steps, firstStep: this.step }));
    this.watch.begin(this.step);
    if (this.step === 0) {
      this.stage("checking");
      await this.trainer.check(this.examplesOf(0));
    }
    for (;;) {
      if (this.evaluationDue && (await this.look())) {
        this.evaluationDue = false;
        this.keeper.saveBest(this.position);
      }
      const stopped = this.watch.stopReason;
      if (!this.evaluationDue && (stopped !== undefined || this.step === this.order.steps)) return this.finish(stopped);
      if (await this.stops()) return this.interrupt();
      if (this.step > 0 && this.step % this.o.config.saveEvery === 0) this.keeper.save(this.position);
      await this.takeStep();
    }
  }

  /** Whether the run is asked to stop; once it is, that stays. */
  private async stops(): Promise<boolean> {
    await setImmediate(); // An engine run blocks the event loop: let signals through.
    const { signal, run, whole } = this.o;
    if (signal?.aborted) this.interruption ??= "signal";
    else if (run.stopRequested || whole?.stopRequested) this.interruption ??= "stop file";
    return this.interruption !== undefined;
  }

  private get position(): Position {
    const { step, evaluationDue } = this;
    return { step, evaluationDue };
  }

  private async takeStep(): Promise<void> {
    this.stage("training");
    const { policy, observer } = this.o;
    await policy.moving?.follow(this.step);
    const measured = await this.trainer.step(this.step, this.examplesOf(this.step));
    this.step++;
    // Which reference the KL and the rewards are against, where it moves: the step whose policy it last moved to.
    const metrics = this.record({
      ...measured,
      ...(policy.moving && { reference_step: policy.moving.since(this.step) }),
    });
    observer?.onStep?.(metrics);
    this.watch.add(metrics);
    const last = this.step === this.order.steps || this.watch.stopReason !== undefined;
    this.evaluationDue = last || this.step % this.evalEvery === 0;
  }

  /** Evaluates, and hears what the policy says by itself. False when it was stopped midway. */
  private async look(): Promise<boolean> {
    const { run, observer } = this.o;
    const found = await this.evaluations.after(this.step, this.trainer.objectiveState);
    if (!found) return false;
    if (Object.keys(found.metrics).length > 0) {
      const metrics = this.record({ step: this.step, ...found.metrics });
      observer?.onEvaluation?.(metrics);
      this.watch.add(metrics);
    }
    for (const sample of found.samples) run.append("samples.jsonl", sample);
    if (found.samples.length > 0) observer?.onSamples?.(found.samples);
    return true;
  }

  /** Writes a line of metrics.jsonl, with where the run is in time, examples and memory. */
  private record(measured: Metrics): Metrics {
    const metrics = {
      ...measured,
      time: Date.now() / 1000,
      examples: this.order.seen(this.step),
      memory_bytes: process.memoryUsage.rss(),
    };
    this.o.run.append("metrics.jsonl", metrics);
    return metrics;
  }

  /** Writes the result: the values that the run has come to, or the best where they are kept. */
  private finish(stopped: string | undefined): RunResult {
    const { run, policy, checkpoint, config } = this.o;
    if (stopped !== undefined) this.keeper.save(this.position);
    this.stage("saving");
    this.keeper.restoreBest(this.step);
    const { best } = this.watch;
    const summary = this.conclude({ ...(stopped !== undefined && { stopped }), ...(best && { best }) });
    const [ledger, evalLedger] = [this.o.train.ledger.toJSON(), this.o.held?.ledger.toJSON()];
    return { ...summary, result: writeResult(run, policy, checkpoint, { config, ledger, evalLedger, ...summary }) };
  }

  /** Leaves the run as it is, to be resumed. */
  private interrupt(): RunResult {
    if (this.step > 0) this.keeper.save(this.position);
    return this.conclude({ interrupted: this.interruption! });
  }

  private conclude(ending: Pick<RunResult, "stopped" | "interrupted" | "best">): RunResult {
    const { run, config } = this.o;
    const outcome = this.recordOutcome(ending);
    return { output: config.output, ...outcome, ...summaryOf(run, ending.best) };
  }

  private recordError(error: unknown): void {
    try {
      this.recordOutcome({ error: error instanceof Error ? error.message : String(error) });
    } catch {
      // What is told is the error that ended the run. Where it was a full disk, this can't be written either.
    }
  }

  private recordOutcome<T extends Omit<Outcome, "step" | "steps" | "suspects">>(ending: T) {
    const outcome = { step: this.step, steps: this.order.steps, ...ending, suspects: this.watch.writeSuspects() };
    this.o.run.writeJson("outcome.json", outcome satisfies Outcome);
    return outcome;
  }

  private examplesOf(step: number): TokenizedExample[] {
    const { train, regularization } = this.o;
    const own = this.order.indices(step).map((i) => train.examples[i]!);
    const beside = this.regularizationOrder?.indices(step) ?? [];
    return [...own, ...beside.map((i) => regularization!.examples[i]!)];
  }

  private stage(name: Parameters<NonNullable<RunObserver["onStage"]>>[0]): void {
    this.o.observer?.onStage?.(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.engine[Symbol.asyncDispose]();
    await this.evaluator[Symbol.asyncDispose]();
  }
}
