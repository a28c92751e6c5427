/**
 * One run of preference tuning, from a model and preference files to a result in a run directory: what the commands and
 * the library share. The objective is the only thing in which the methods differ.
 */

import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { readAdapter } from "../checkpoints/peft.ts";
import { refuseDropWithoutUse } from "../data/drop.ts";
import { type LoadedPreferences, loadExamples } from "../data/load.ts";
import { refuseWeights } from "../data/sources.ts";
import { limitsWithin } from "../data/truncate.ts";
import { conflictsAmong } from "../diagnostics/conflicts.ts";
import { ConfigError } from "../errors.ts";
import { datasetFinder, findModel, withoutCacheFolders } from "../hub/index.ts";
import { type LanguageModel, modelFor, refuseRewardModel, withRewardHead } from "../models/index.ts";
import type { Objective } from "../objectives/index.ts";
import { nodeRuntime } from "../runtime/node.ts";
import type { Program } from "../tensor/index.ts";
import { type Tokenizer, tokenizerFromFiles } from "../text/tokenizer.ts";
import { version } from "../version.ts";
import type { TrainingConfig } from "./config.ts";
import { describeEnvironment, type Outcome, RunDirectory, readRunConfig } from "./directory/run-directory.ts";
import { refuseRunning } from "./directory/run-lock.ts";
import { fetchSources, pinnedAs } from "./directory/sources.ts";
import { RunLoop } from "./loop.ts";
import { availableMemory } from "./memory/available-memory.ts";
import { planMemory, scoresBesides, stepCost } from "./memory/memory.ts";
import { type PlannedRun, refuseLack } from "./memory/memory-limit.ts";
import { objectiveOf, rowNeeds } from "./methods.ts";
import type { RunObserver, RunPart, RunResult } from "./observer.ts";
import { referenceMixup, withMovingReference } from "./policy/moving-reference.ts";
import type { PolicyShape } from "./policy/policy.ts";
import { startingPolicy, startingShape } from "./start.ts";
import { hashOfExamples } from "./step/reference.ts";
import { checkRegularization, markRegularization, type RunData } from "./step/regularization.ts";
import { StepOrder } from "./step/step-order.ts";
import { summaryOf } from "./summary.ts";
import { firstPart } from "./supervised.ts";
import { checkStopping } from "./watch/stopping.ts";

export interface RunControl {
  readonly observer?: RunObserver;
  /** Go on with the interrupted run in the output directory. */
  readonly resume?: boolean;
  /** Start even where the run is expected to take more memory than there is. */
  readonly force?: boolean;
  /** Bytes of memory that the run may take; what the machine has available if not given. */
  readonly memoryLimit?: number;
  /** When it aborts, the run finishes its step, writes a checkpoint and returns without a result; a file `stop` in the run directory asks for the same. */
  readonly signal?: AbortSignal;
}

/** Tunes a model. Throws PreftuneError for everything that a user can mend, before anything is computed. */
export async function tune(config: TrainingConfig, control: RunControl = {}): Promise<RunResult> {
  return await tunePart(config, control, config.sftFirst ? { part: "second" } : {});
}

/** What a run is a part of, if it is. */
interface Place {
  readonly part?: RunPart;
  /** The run directory in whose folder `sft` the first part is. */
  readonly whole?: RunDirectory;
}

async function tunePart(given: TrainingConfig, control: RunControl, { part, whole }: Place): Promise<RunResult> {
  const objective = objectiveOf(given);
  checkStopping(given, objective);
  checkRegularization(given);
  if (given.evalData) refuseWeights(given.evalData, "--eval-data");
  refuseDropWithoutUse(given.drop, given.evalData);
  const mixup = referenceMixup(given, objective);
  const before = firstPart(given);
  const { observer, resume = false, force = false, signal } = control;
  const asked = resume ? pinnedAs(readRunConfig(given.output), given) : given;
  const finished = resume ? finishedRun(asked) : undefined;
  if (finished) return finished;
  if (resume) refuseRunning(asked.output);
  else RunDirectory.refuseExisting(asked.output);

  observer?.onStage?.("opening");
  const hub = { observer: observer?.onHub?.bind(observer), signal };
  const found = await findModel(asked.model, hub);
  using base = found.checkpoint;
  const sources = await fetchSources(asked, hub);
  const pinned = { model: found.reference, ...sources.pinned };
  const config = { ...asked, ...pinned };
  const checkpoint = objective.scores === "reward" ? withRewardHead(base, modelFor(base), config.seed) : base;
  const model = modelFor(checkpoint);
  if (objective.scores !== "reward") refuseRewardModel(model, config.model);
  const tokenizer = tokenizerFromFiles(checkpoint.tokenizer);
  if (config.adapter !== undefined && config.tuning === "full")
    throw new ConfigError("--adapter continues an adapter, so it can't go with --tuning full.");
  const adapter = sources.adapter === undefined ? undefined : readAdapter(sources.adapter);
  observer?.onStage?.("reading");
  const opened = { checkpoint, model, tokenizer, ...(await loadData(config, objective, model, tokenizer)) };
  const shape = startingShape(config, model, adapter);
  const step = shape.step(objective);
  const planned = planRun(config, { shape, step, objective, mixup, ...opened });
  const available = control.memoryLimit ?? availableMemory();
  if (!force) refuseLack(planned, available);
  await found.fetchWeights();

  using run = resume ? RunDirectory.resume(config.output, config) : RunDirectory.create(config.output, config);
  try {
    run.writeJson("environment.json", describeEnvironment(version, config.threads));
    const { train, held, regularization } = opened;
    run.recordData({
      train: describeData(train),
      ...(held && { eval: describeData(held) }),
      ...(regularization && { regularization: describeData(regularization) }),
    });
    const tuned = before && (await tuneFirst({ ...before, ...pinned }, control, run));
    if (tuned && tuned.result === undefined) {
      const { step, steps, interrupted, suspects } = tuned;
      run.writeJson("outcome.json", { part: "first", step, steps, interrupted, suspects } satisfies Outcome);
      return { ...tuned, output: config.output, part: "first" };
    }
    observer?.onStage?.("loading");
    const start = await startingPolicy(config, { checkpoint, model, adapter, tuned: tuned?.result, signal }).catch(
      (error) => {
        if (signal?.aborted && error === signal.reason) return undefined;
        throw error;
      },
    );
    if (start === undefined) return { ...interrupted(run, config, train), ...(part && { part }) };
    const { syncReference: every, threads } = config;
    const policy =
      every === undefined || mixup === undefined
        ? start
        : await withMovingReference(start, { every, mixup, runtime: nodeRuntime, threads });
    observer?.onStage?.("compiling");
    const memory = { plan: planned.plan, available };
    const options = { run, whole, config, part, objective, policy, memory, ...opened, observer, signal };
    await using loop = await RunLoop.open(options, step);
    return { ...(await loop.run()), ...(part && { part }) };
  } catch (error) {
    if (!resume) run.removeIfUnused();
    throw error;
  }
}

/** What becomes of a run that is interrupted while its weights are read: it is where it was. */
function interrupted(run: RunDirectory, config: TrainingConfig, { examples }: LoadedPreferences): RunResult {
  const outcome: Outcome = {
    step: run.checkpointSteps().at(-1) ?? 0,
    steps: new StepOrder(examples.length, config).steps,
    interrupted: "signal",
    suspects: 0,
  };
  run.writeJson("outcome.json", outcome);
  return { output: config.output, ...outcome, ...summaryOf(run, undefined) };
}

/** Runs the first part, from where it was interrupted or to what it came to, if there is anything of it. */
async function tuneFirst(config: TrainingConfig, control: RunControl, whole: RunDirectory): Promise<RunResult> {
  const resume = existsSync(join(config.output, "config.json"));
  if (!resume) rmSync(config.output, { recursive: true, force: true });
  return await tunePart(config, { ...control, resume }, { part: "first", whole });
}

interface Plannable extends RunData {
  readonly shape: PolicyShape;
  readonly step: Program;
  readonly objective: Objective;
  readonly mixup: number | undefined;
}

/** What the run will take of memory, and what that depends on. */
function planRun(
  config: TrainingConfig,
  { shape, step, objective, mixup, train, held, regularization }: Plannable,
): PlannedRun {
  const cost = stepCost(shape, step, objective, scoresBesides(config, held));
  const learned = [...train.examples, ...(regularization?.examples ?? [])];
  const work = { shape, cost, learned, held: held?.examples, mixup };
  return { plan: planMemory(work, config), work, objective, config };
}

async function loadData(config: TrainingConfig, objective: Objective, model: LanguageModel, tokenizer: Tokenizer) {
  const options = { ...config, tokenizer, ...limitsWithin(config, model.maxPositions) };
  const needs = rowNeeds(config, objective);
  const train = await loadExamples(needs, { ...options, files: config.data, find: datasetFinder("training") });
  const heldOut = { ...options, limit: undefined, find: datasetFinder("evaluation"), trainedOn: train.known };
  const held = config.evalData && (await loadExamples(needs, { ...heldOut, files: config.evalData }));
  const { regularizationData: files } = config;
  const whole = { ...options, limit: undefined, score: undefined, find: datasetFinder("training") };
  const regularization = files && (await loadExamples({ rows: "texts" }, { ...whole, files }));
  return markRegularization(objective, { train, held, regularization });
}

function describeData({ examples, ledger }: LoadedPreferences) {
  const conflictingPairs = conflictsAmong(examples);
  const report = { ...ledger.toJSON(), ...(conflictingPairs && { conflictingPairs }) };
  const portable = JSON.parse(JSON.stringify(report), (_, value) =>
    typeof value === "string" ? withoutCacheFolders(value) : value,
  ) as typeof report;
  return { ...portable, tokensSha256: hashOfExamples(examples) };
}

/** The result of a run that has its result already. */
function finishedRun(config: TrainingConfig): RunResult | undefined {
  const run = RunDirectory.open(config.output, config);
  if (!run.hasResult(config)) return undefined;
  const outcome = run.readOutcome();
  const summary = summaryOf(run, outcome?.best);
  const step = summary.after?.step ?? 0;
  return {
    output: config.output,
    result: run.resultFolder(config),
    step,
    steps: step,
    suspects: 0,
    ...outcome,
    ...summary,
  };
}
