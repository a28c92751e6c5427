/**
 * The optimizer step: micro-batches through the engine, gradients summed, clipped and applied, and the numbers of the
 * step. With every micro-batch scaled by 1 / (pairs in the step), accumulation is exactly the large batch.
 */

import type { TokenizedExample } from "../../data/example.ts";
import { packedLength, planMicroBatches } from "../../data/microbatch.ts";
import type { Objective } from "../../objectives/index.ts";
import type { TrainingConfig } from "../config.ts";
import { Averages, type ObjectiveEvaluator } from "../measurements/evaluate.ts";
import type { Metrics } from "../observer.ts";
import { clippingScale, globalNorm } from "../policy/flat.ts";
import type { Policy } from "../policy/policy.ts";
import {
  checkFinite,
  checkFiniteNorm,
  checkGradientsReachAll,
  checkLossIsExact,
  checkPackingIsExact,
  checkStartsAtReference,
} from "../watch/self-checks.ts";
import { type ContextValues, contextOf } from "./context.ts";
import type { Engine, Scorable, StepOutput } from "./engine.ts";
import { type Optimizer, optimizers } from "./optimizers.ts";
import type { ReferenceScores } from "./reference.ts";
import { learningRateFactor } from "./schedules.ts";

export type TrainerConfig = Pick<
  TrainingConfig,
  "optimizer" | "weightDecay" | "learningRate" | "schedule" | "warmupSteps" | "maxGradNorm" | "microBatchTokens"
>;

interface TrainerOptions {
  readonly policy: Policy;
  readonly objective: Objective;
  readonly engine: Engine;
  /** The objective in double precision, which the first step is checked against. */
  readonly evaluator: ObjectiveEvaluator;
  /** Absent for an objective without a reference. */
  readonly reference?: Pick<ReferenceScores, "of">;
  readonly config: TrainerConfig;
  /** Sees what the policy says of some of a step's examples, before it learns from them. */
  readonly watch?: (examples: readonly TokenizedExample[], output: StepOutput) => void;
  /** Optimizer steps of the whole run, which the schedule spreads over. */
  readonly steps: number;
}

/** Some of a step's examples, with their places in it. */
interface Group {
  readonly indices: readonly number[];
  readonly examples: readonly TokenizedExample[];
}

export class Trainer {
  readonly optimizer: Optimizer;
  /** What the objective remembers from step to step. */
  objectiveState: readonly number[];
  private readonly o: TrainerOptions;

  constructor(options: TrainerOptions) {
    this.o = options;
    const { config, policy, objective } = options;
    this.objectiveState = objective.context?.initialState ?? [];
    this.optimizer = optimizers[config.optimizer]({
      size: policy.trainable.data.length,
      weightDecay: config.weightDecay,
    });
  }

  /** The self-checks that need nothing but examples, before the first step. */
  async check(examples: readonly TokenizedExample[]): Promise<void> {
    const { engine, evaluator } = this.o;
    const context = await this.open(examples);
    const [group] = this.groups(examples);
    const { output, reference } = await this.run(group!, 1, context);
    engine.clearGradients();
    checkFinite(output, group!.examples, 0);
    if (reference) checkStartsAtReference(output, reference);
    // At the reference; what is known of the policy's distributions alone is the policy's own.
    const start = reference?.map((score, i) => ({ ...output.scores[i]!, logp: score.logp, tokens: score.tokens }));
    const expected = await evaluator.evaluate(
      group!.examples,
      start ?? output.scores,
      reference,
      context.of(group!.indices),
    );
    checkLossIsExact(output, expected);
    await checkPackingIsExact(engine, output, group!.examples[0]!);
  }

  /** Takes one optimizer step on the examples. `index` counts from 0. Throws TrainingError before a non-finite update. */
  async step(index: number, examples: readonly TokenizedExample[]): Promise<Metrics> {
    const { engine, objective, config, policy, steps } = this.o;
    const started = performance.now();
    const averages = new Averages(objective.scores);
    engine.clearGradients();
    const context = await this.open(examples);
    for (const group of this.groups(examples)) {
      const { output, reference } = await this.run(group, 1 / examples.length, context);
      checkFinite(output, group.examples, index + 1);
      averages.addBatch(output, objective.roles, reference, group.examples);
      this.o.watch?.(group.examples, output);
    }
    const norm = globalNorm(engine.gradients.data);
    checkFiniteNorm(norm, examples, index + 1);
    const means = averages.means();
    // Rows that pull nowhere, as those beyond a hinge, say nothing of where gradients reach; at the reference every row pulls.
    const atReference = index === 0 && objective.needsReference && means.loss !== 0;
    if (index < 2 && (norm > 0 || atReference)) checkGradientsReachAll(engine.gradients, policy.trainable);
    const learningRate =
      config.learningRate * learningRateFactor(config.schedule, index, { warmup: config.warmupSteps, total: steps });
    this.optimizer.update({
      parameters: policy.trainable.data,
      gradients: engine.gradients.data,
      learningRate,
      step: index + 1,
      gradientScale: clippingScale(norm, config.maxGradNorm),
    });
    this.objectiveState = context.state;
    const seconds = (performance.now() - started) / 1000;
    const tokens = examples.reduce((n, example) => n + packedLength(example), 0);
    return {
      step: index + 1,
      ...means,
      grad_norm: norm,
      learning_rate: learningRate,
      examples_per_second: examples.length / seconds,
      tokens_per_second: tokens / seconds,
    } as Metrics;
  }

  /** What the objective must know of the whole step. */
  private async open(examples: readonly TokenizedExample[]): Promise<ContextValues> {
    const { engine, objective, config } = this.o;
    // Prompts with other examples' completions are new in each step: keeping their scores would only fill the store.
    const known = objective.context?.scores === "own" ? this.o.reference : undefined;
    const scorers = {
      policy: (group: readonly Scorable[]) => engine.score("policy", group),
      reference: async (group: readonly Scorable[]) => known?.of(group) ?? engine.score("reference", group),
    };
    const { maxPositions } = engine;
    return contextOf(objective, examples, scorers, {
      state: this.objectiveState,
      budget: config.microBatchTokens,
      maxPositions,
    });
  }

  private async run({ indices, examples }: Group, scale: number, context: ContextValues) {
    const reference = context.reference(indices) ?? (await this.o.reference?.of(examples));
    return { output: await this.o.engine.step(examples, reference, scale, context.of(indices)), reference };
  }

  private groups(examples: readonly TokenizedExample[]): Group[] {
    const plan = planMicroBatches(examples.map(packedLength), this.o.config.microBatchTokens);
    return plan.map((indices) => ({ indices, examples: indices.map((i) => examples[i]!) }));
  }
}
