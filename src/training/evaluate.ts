/** Metrics of a set of examples as it stands: sums over examples divided by their count, never averages of averages. */

import { setImmediate } from "node:timers/promises";
import type { TokenizedExample } from "../data/example.ts";
import { packedLength, planMicroBatches } from "../data/microbatch.ts";
import type { Objective } from "../objectives/index.ts";
import type { Executable, Runtime } from "../runtime/runtime.ts";
import { input, product } from "../tensor/index.ts";
import type { CompletionScore, Engine, StepOutput } from "./engine.ts";
import type { ReferenceScores } from "./reference.ts";
import { checkFinite } from "./self-checks.ts";
import { metricOutput } from "./step.ts";

/** Sums values of examples by name, and divides by their count at the end. */
export class Averages {
  private readonly totals = new Map<string, { sum: number; count: number }>();

  add(name: string, value: number): void {
    const total = this.totals.get(name) ?? { sum: 0, count: 0 };
    total.sum += value;
    total.count++;
    this.totals.set(name, total);
  }

  /**
   * What one micro-batch says: the objective's own metrics, and of its completions, by role, the log-probability, the
   * length, how far the log-probability has drifted from the reference's, and the divergence on the data.
   */
  addBatch(output: StepOutput, roles: readonly string[], reference: readonly CompletionScore[] | undefined): void {
    for (const loss of Array.from(output.losses)) this.add("loss", loss);
    for (const [name, values] of Object.entries(output.metrics)) {
      for (const value of Array.from(values)) this.add(name, value);
    }
    output.scores.forEach((score, i) => {
      const role = roles[i % roles.length]!;
      this.add(`logps/${role}`, score.logp);
      this.add(`lengths/${role}`, score.tokens.length);
      const start = reference?.[i];
      if (!start) return;
      this.add("kl", divergenceOnData(score.tokens, start.tokens));
      this.add(`drift/${role}`, score.logp - start.logp);
    });
  }

  /** The mean of every name, each with a prefix. */
  means(prefix = ""): Record<string, number> {
    return Object.fromEntries([...this.totals].map(([name, { sum, count }]) => [prefix + name, sum / count]));
  }
}

/**
 * How far the policy has moved from the reference on one completion of the data, in nats: the sum over its tokens of
 * (log pi - log pi_ref)^2 / 2. Near the reference it is KL(policy || reference) to second order (Schulman 2020's k2), and it
 * is never negative. The unbiased estimators belong on the policy's own samples: on a rejected completion, which the policy
 * has learned to avoid, they explode.
 */
function divergenceOnData(policy: Float32Array, reference: Float32Array): number {
  let total = 0;
  for (let i = 0; i < policy.length; i++) total += (policy[i]! - reference[i]!) ** 2 / 2;
  return total;
}

/** The objective alone, from log-probabilities to losses: what evaluation needs of it. */
export class ObjectiveEvaluator implements AsyncDisposable {
  readonly roles: readonly string[];
  private readonly executable: Executable;

  private constructor(roles: readonly string[], executable: Executable) {
    this.roles = roles;
    this.executable = executable;
  }

  static async create(objective: Objective, runtime: Runtime): Promise<ObjectiveEvaluator> {
    const shape = [product([objective.roles.length, "E"])];
    const { losses, metrics } = objective.build({
      policy: input("policy", shape),
      reference: input("reference", shape),
      lengths: input("lengths", shape),
    });
    const named = Object.fromEntries(Object.entries(metrics).map(([name, value]) => [metricOutput(name), value]));
    return new ObjectiveEvaluator(objective.roles, await runtime.compile({ outputs: { losses, ...named } }));
  }

  async evaluate(policy: readonly CompletionScore[], reference: readonly CompletionScore[]): Promise<StepOutput> {
    const column = (values: number[]) => ({ dims: [values.length], data: Float32Array.from(values) });
    const { losses, ...rest } = await this.executable.run({
      policy: column(policy.map((s) => s.logp)),
      reference: column(reference.map((s) => s.logp)),
      lengths: column(policy.map((s) => s.tokens.length)),
    });
    const metrics = Object.entries(rest).map(
      ([name, { data }]) => [name.slice(metricOutput("").length), data] as const,
    );
    return {
      losses: losses!.data as Float32Array,
      metrics: Object.fromEntries(metrics) as StepOutput["metrics"],
      scores: policy,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.executable[Symbol.asyncDispose]();
  }
}

/**
 * Evaluates the policy as it is now on every example; names get the prefix `eval_`. Undefined when it was stopped midway.
 * Throws TrainingError at a loss that is not finite.
 */
export async function evaluate(
  examples: readonly TokenizedExample[],
  {
    engine,
    objective,
    reference,
    microBatchTokens,
    step,
    signal,
  }: {
    engine: Engine;
    objective: ObjectiveEvaluator;
    reference: ReferenceScores;
    microBatchTokens: number;
    /** Optimizer steps done. */
    step: number;
    signal?: AbortSignal | undefined;
  },
): Promise<Record<string, number> | undefined> {
  const averages = new Averages();
  for (const indices of planMicroBatches(examples.map(packedLength), microBatchTokens)) {
    await setImmediate(); // An engine run blocks the event loop: let signals through.
    if (signal?.aborted) return undefined;
    const group = indices.map((i) => examples[i]!);
    const policyScores = await engine.score("policy", group);
    const referenceScores = await reference.of(group);
    const output = await objective.evaluate(policyScores, referenceScores);
    checkFinite(output, group, step);
    averages.addBatch(output, objective.roles, referenceScores);
  }
  return averages.means("eval_");
}
