/**
 * One run of preference tuning, from a model and preference files to a result in a run directory: what the commands and
 * the library share. The objective is the only thing in which the methods differ.
 */

import { setImmediate } from "node:timers/promises";
import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import { openCheckpoint } from "../checkpoints/open.ts";
import { readAdapter } from "../checkpoints/peft.ts";
import type { TokenizedExample } from "../data/example.ts";
import { type LoadedPreferences, loadPreferences } from "../data/load.ts";
import { packedLength } from "../data/microbatch.ts";
import { ConfigError } from "../errors.ts";
import { type LanguageModel, loadWeights, modelFor } from "../models/index.ts";
import type { Objective } from "../objectives/index.ts";
import { interpreter } from "../runtime/interpreter.ts";
import { nodeRuntime } from "../runtime/node.ts";
import { type Tokenizer, tokenizerFromFiles } from "../text/tokenizer.ts";
import { version } from "../version.ts";
import { readTrainingCheckpoint, writeTrainingCheckpoint } from "./checkpoint.ts";
import type { DpoConfig } from "./config.ts";
import { Engine } from "./engine.ts";
import { evaluate, ObjectiveEvaluator } from "./evaluate.ts";
import { estimateMemory } from "./memory.ts";
import type { Metrics, RunObserver, RunResult, Sample } from "./observer.ts";
import { continuedPolicy, fullPolicy, loraPolicy, type Policy } from "./policy.ts";
import { fingerprint, ReferenceScores } from "./reference.ts";
import { writeResult } from "./result.ts";
import { describeEnvironment, RunDirectory } from "./run-directory.ts";
import { Sampler } from "./sampler.ts";
import { StepOrder } from "./step-order.ts";
import { Trainer } from "./trainer.ts";

export interface RunControl {
  readonly observer?: RunObserver;
  /** Go on with the interrupted run in the output directory. */
  readonly resume?: boolean;
  /** When it aborts, the run finishes its step, writes a checkpoint and returns without a result. */
  readonly signal?: AbortSignal;
}

/** Everything that a run has opened. */
interface Opened {
  readonly checkpoint: Checkpoint;
  readonly model: LanguageModel;
  readonly tokenizer: Tokenizer;
  readonly train: LoadedPreferences;
  readonly held: LoadedPreferences | undefined;
}

/** Tunes a model by an objective. Throws PreftuneError for everything that a user can mend, before anything is computed. */
export async function tune(config: DpoConfig, objective: Objective, control: RunControl = {}): Promise<RunResult> {
  const { observer, resume = false, signal } = control;
  const finished = resume ? finishedRun(config) : undefined;
  if (finished) return finished;

  observer?.onStage?.("opening");
  using checkpoint = await openCheckpoint(config.model);
  const model = modelFor(checkpoint);
  const tokenizer = tokenizerFromFiles(checkpoint.tokenizer);
  const adapter = config.adapter === undefined ? undefined : readAdapter(config.adapter);
  if (adapter && config.tuning === "full")
    throw new ConfigError("--adapter continues an adapter, so it can't go with --tuning full.");
  observer?.onStage?.("reading");
  const opened: Opened = { checkpoint, model, tokenizer, ...(await loadData(config, model, tokenizer)) };

  const weights = loadWeights(checkpoint, model);
  const policy = adapter
    ? continuedPolicy(model, weights, adapter)
    : config.tuning === "full"
      ? fullPolicy(model, weights)
      : loraPolicy(model, weights, { ...loraOptions(config) });

  const run = resume ? RunDirectory.resume(config.output, config) : RunDirectory.create(config.output, config);
  run.writeJson("environment.json", describeEnvironment(version, config.threads));
  run.writeJson("data.json", { train: opened.train.ledger, ...(opened.held && { eval: opened.held.ledger }) });
  try {
    return await execute(run, config, objective, opened, policy, { observer, signal });
  } catch (error) {
    if (!resume) run.removeIfUnused();
    throw error;
  }
}

function loraOptions(config: DpoConfig) {
  const all = config.loraTargets.length === 1 && config.loraTargets[0] === "all-linear";
  return {
    rank: config.loraRank,
    alpha: config.loraAlpha,
    rankStabilized: config.rsLora,
    targets: all ? ("all-linear" as const) : config.loraTargets,
    seed: config.seed,
  };
}

async function loadData(config: DpoConfig, model: LanguageModel, tokenizer: Tokenizer) {
  const maxLength = Math.min(config.maxLength, model.maxPositions);
  const options = { ...config, tokenizer, maxLength, maxPromptLength: Math.min(config.maxPromptLength, maxLength - 1) };
  const train = await loadPreferences({ ...options, files: config.data });
  const held = config.evalData && (await loadPreferences({ ...options, files: config.evalData, limit: undefined }));
  return { train, held };
}

/** The result of a run that has its result already. */
function finishedRun(config: DpoConfig): RunResult | undefined {
  const run = RunDirectory.resume(config.output, config);
  if (!run.hasResult(config.tuning)) return undefined;
  const metrics = run.read<Metrics>("metrics.jsonl");
  const step = metrics.at(-1)?.step ?? 0;
  const result = run.resultFolder(config.tuning);
  return {
    output: config.output,
    result,
    step,
    steps: step,
    ...firstAndLast(metrics),
    samples: run.read<Sample>("samples.jsonl"),
  };
}

async function execute(
  run: RunDirectory,
  config: DpoConfig,
  objective: Objective,
  { checkpoint, model, tokenizer, train, held }: Opened,
  policy: Policy,
  { observer, signal }: Pick<RunControl, "observer" | "signal">,
): Promise<RunResult> {
  const order = new StepOrder(train.examples.length, config);
  const longest = [...train.examples, ...(held?.examples ?? [])].reduce((n, e) => Math.max(n, longestSequence(e)), 0);
  observer?.onStage?.("compiling");
  await using engine = await Engine.create({
    policy,
    objective,
    runtime: nodeRuntime,
    threads: config.threads,
    maxPositions: Math.max(longest, 1),
  });
  await using evaluator = await ObjectiveEvaluator.create(objective, interpreter);
  const store =
    order.epochs > 1
      ? { file: run.join("reference.jsonl"), fingerprint: fingerprint(policy.referenceWeights) }
      : undefined;
  const trainReference = new ReferenceScores((examples) => engine.score("reference", examples), store);
  const evalReference = new ReferenceScores((examples) => engine.score("reference", examples));
  const trainer = new Trainer({ policy, objective, engine, reference: trainReference, config, steps: order.steps });
  const sampler = new Sampler({ policy, tokenizer, checkpoint, config, examples: (held ?? train).examples });

  let step = restore(run, policy, trainer);
  const firstStep = step;
  observer?.onStart?.({
    config,
    family: model.family,
    parameters: [...model.weights.values()].reduce((n, shape) => n + shape.reduce((a, b) => a * b, 1), 0),
    trainable: policy.trainable.data.length,
    pairs: train.examples.length,
    evalPairs: held?.examples.length ?? 0,
    tokens: train.examples.reduce((n, example) => n + packedLength(example), 0),
    steps: order.steps,
    firstStep,
    memoryEstimate: estimateMemory(model, policy, config, train.examples),
    ledger: train.ledger,
    ...(held && { evalLedger: held.ledger }),
  });

  const look = async () => {
    if (held) {
      observer?.onStage?.("evaluating");
      const measured = await evaluate(held.examples, {
        engine,
        objective: evaluator,
        reference: evalReference,
        microBatchTokens: config.microBatchTokens,
      });
      const metrics: Metrics = { step, ...measured };
      run.append("metrics.jsonl", metrics);
      observer?.onEvaluation?.(metrics);
    }
    if (step === 0 || config.samplePrompts === 0) return;
    observer?.onStage?.("sampling");
    const samples = await sampler.sample(step);
    for (const sample of samples) run.append("samples.jsonl", sample);
    observer?.onSamples?.(samples);
  };
  const save = () => {
    observer?.onStage?.("saving");
    const folder = writeTrainingCheckpoint(run, {
      trainable: policy.trainable,
      optimizer: trainer.optimizer,
      state: { step, logs: run.logLengths() },
    });
    run.keepCheckpoints(config.keepCheckpoints);
    observer?.onCheckpoint?.(folder, step);
  };

  if (step === 0) {
    observer?.onStage?.("checking");
    await trainer.check(order.indices(0).map((i) => train.examples[i]!));
    await look();
  }
  const evalEvery = config.evalEvery ?? (held ? Math.ceil(order.steps / 10) : order.steps);
  while (step < order.steps) {
    await setImmediate(); // An engine run blocks the event loop: let signals through between steps.
    if (signal?.aborted) {
      if (step > 0 && run.checkpointSteps().at(-1) !== step) save();
      return summarize(run, config, { step, steps: order.steps });
    }
    observer?.onStage?.("training");
    const metrics = await trainer.step(
      step,
      order.indices(step).map((i) => train.examples[i]!),
    );
    step++;
    run.append("metrics.jsonl", metrics);
    observer?.onStep?.(metrics);
    if (step % evalEvery === 0 || step === order.steps) await look();
    if (step % config.saveEvery === 0 && step < order.steps) save();
  }
  observer?.onStage?.("saving");
  const { before, after } = firstAndLast(run.read<Metrics>("metrics.jsonl"));
  const result = writeResult(run, policy, checkpoint, { config, before, after });
  return { ...summarize(run, config, { step, steps: order.steps }), result };
}

/** Goes back to the newest checkpoint, or to the beginning, and cuts the logs accordingly. Returns the steps done. */
function restore(run: RunDirectory, policy: Policy, trainer: Trainer): number {
  const newest = run.checkpointSteps().at(-1);
  if (newest === undefined) {
    run.restoreLogs({ "metrics.jsonl": 0, "samples.jsonl": 0 });
    return 0;
  }
  const state = readTrainingCheckpoint(run.checkpointFolder(newest), {
    trainable: policy.trainable,
    optimizer: trainer.optimizer,
  });
  run.restoreLogs(state.logs);
  return state.step;
}

function summarize(run: RunDirectory, config: DpoConfig, at: { step: number; steps: number }): RunResult {
  const samples = run.read<Sample>("samples.jsonl");
  const last = samples.at(-1)?.step;
  return {
    output: config.output,
    ...at,
    ...firstAndLast(run.read<Metrics>("metrics.jsonl")),
    samples: samples.filter(({ step }) => step === last),
  };
}

/** The first and the last evaluation; where there are none, the first and the last training step. */
function firstAndLast(metrics: readonly Metrics[]): { before?: Metrics; after?: Metrics } {
  const evaluations = metrics.filter((line) => "eval_loss" in line);
  const lines = evaluations.length > 0 ? evaluations : metrics;
  return { before: lines[0], after: lines.at(-1) };
}

function longestSequence({ prompt, completions }: TokenizedExample): number {
  return prompt.length + completions.reduce((longest, { length }) => Math.max(longest, length), 0);
}
