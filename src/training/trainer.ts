/**
 * The optimizer step: micro-batches through the engine, gradients summed, clipped and applied, and the numbers of the
 * step. With every micro-batch scaled by 1 / (pairs in the step), accumulation is exactly the large batch.
 */

import type { TokenizedExample } from "../data/example.ts";
import { packedLength, planMicroBatches } from "../data/microbatch.ts";
import type { Objective } from "../objectives/index.ts";
import type { DpoConfig } from "./config.ts";
import type { Engine } from "./engine.ts";
import { Averages } from "./evaluate.ts";
import { clippingScale, globalNorm } from "./flat.ts";
import type { Metrics } from "./observer.ts";
import { type Optimizer, optimizers } from "./optimizers.ts";
import type { Policy } from "./policy.ts";
import type { ReferenceScores } from "./reference.ts";
import { learningRateFactor } from "./schedules.ts";
import {
  checkFinite,
  checkFiniteNorm,
  checkGradientsReachAll,
  checkPackingIsExact,
  checkStartsAtReference,
} from "./self-checks.ts";

export type TrainerConfig = Pick<
  DpoConfig,
  "optimizer" | "weightDecay" | "learningRate" | "schedule" | "warmupSteps" | "maxGradNorm" | "microBatchTokens"
>;

export interface TrainerOptions {
  readonly policy: Policy;
  readonly objective: Objective;
  readonly engine: Engine;
  /** Absent for an objective without a reference. */
  readonly reference?: Pick<ReferenceScores, "of">;
  readonly config: TrainerConfig;
  /** Optimizer steps of the whole run, which the schedule spreads over. */
  readonly steps: number;
}

export class Trainer {
  readonly optimizer: Optimizer;
  private readonly o: TrainerOptions;

  constructor(options: TrainerOptions) {
    this.o = options;
    const { config, policy } = options;
    this.optimizer = optimizers[config.optimizer]({
      size: policy.trainable.data.length,
      weightDecay: config.weightDecay,
    });
  }

  /** The self-checks that need nothing but examples, before the first step. */
  async check(examples: readonly TokenizedExample[]): Promise<void> {
    const { engine, objective } = this.o;
    const [group] = this.groups(examples);
    const { output, reference } = await this.run(group!, 1);
    engine.clearGradients();
    checkFinite(output, group!, 0);
    if (reference) checkStartsAtReference(objective, output, reference);
    await checkPackingIsExact(engine, output, group![0]!);
  }

  /** Takes one optimizer step on the examples. `index` counts from 0. Throws TrainingError before a non-finite update. */
  async step(index: number, examples: readonly TokenizedExample[]): Promise<Metrics> {
    const { engine, objective, config, policy, steps } = this.o;
    const started = performance.now();
    const averages = new Averages();
    engine.clearGradients();
    for (const group of this.groups(examples)) {
      const { output, reference } = await this.run(group, 1 / examples.length);
      checkFinite(output, group, index + 1);
      averages.addBatch(output, objective.roles, reference);
    }
    const norm = globalNorm(engine.gradients.data);
    checkFiniteNorm(norm, examples, index + 1);
    if (index < 2) checkGradientsReachAll(engine.gradients, policy.trainable);
    const learningRate =
      config.learningRate * learningRateFactor(config.schedule, index, { warmup: config.warmupSteps, total: steps });
    this.optimizer.update({
      parameters: policy.trainable.data,
      gradients: engine.gradients.data,
      learningRate,
      step: index + 1,
      gradientScale: clippingScale(norm, config.maxGradNorm),
    });
    const seconds = (performance.now() - started) / 1000;
    const tokens = examples.reduce((n, example) => n + packedLength(example), 0);
    return {
      step: index + 1,
      ...averages.means(),
      grad_norm: norm,
      learning_rate: learningRate,
      pairs_per_second: examples.length / seconds,
      tokens_per_second: tokens / seconds,
    } as Metrics;
  }

  private async run(group: readonly TokenizedExample[], scale: number) {
    const reference = await this.o.reference?.of(group);
    const completions = group.length * this.o.objective.roles.length;
    const logps = reference?.map(({ logp }) => logp) ?? new Array<number>(completions).fill(0);
    return { output: await this.o.engine.step(group, logps, scale), reference };
  }

  private groups(examples: readonly TokenizedExample[]): TokenizedExample[][] {
    const plan = planMicroBatches(examples.map(packedLength), this.o.config.microBatchTokens);
    return plan.map((indices) => indices.map((i) => examples[i]!));
  }
}
