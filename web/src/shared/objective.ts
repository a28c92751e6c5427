/**
 * Objectives as the figures use them: the library's own definition, built by the library and evaluated in double precision
 * by its interpreter, gradients by its table of gradient rules. Nothing here knows a formula.
 */

import { completionInputs, type Objective } from "../../../src/objectives/index.ts";
import { interpreter } from "../../../src/runtime/interpreter.ts";
import type { Executable, Value } from "../../../src/runtime/runtime.ts";
import { gradients, reduceSum } from "../../../src/tensor/index.ts";

/** Log-probabilities in nats of N pairs, and how many tokens each completion has (1 where it isn't said). */
export interface Pairs {
  readonly policyChosen: ArrayLike<number>;
  readonly policyRejected: ArrayLike<number>;
  readonly referenceChosen: ArrayLike<number>;
  readonly referenceRejected: ArrayLike<number>;
  readonly lengths?: { readonly chosen: ArrayLike<number>; readonly rejected: ArrayLike<number> };
}

export interface Evaluated {
  /** The loss of each pair [N]. */
  readonly losses: Float64Array;
  /** Further values of each pair [N], under the names that metrics.jsonl has. */
  readonly metrics: Readonly<Record<string, Float64Array>>;
  /** The derivative of each pair's loss by the policy's log-probabilities [N]. */
  readonly gradient: { readonly chosen: Float64Array; readonly rejected: Float64Array };
}

/** Whether pairs of log-probabilities are all that the objective reads. */
export function readsPairsAlone(objective: Objective): boolean {
  const { roles, context, rowStatistics, columns } = objective;
  const isPair = roles !== "any" && roles.join() === "chosen,rejected";
  return isPair && !context && !rowStatistics?.length && !Object.keys(columns ?? {}).length;
}

export class PairEvaluator {
  private constructor(
    readonly objective: Objective,
    private readonly executable: Executable,
  ) {}

  static async create(objective: Objective): Promise<PairEvaluator> {
    const inputs = completionInputs(objective);
    const { losses, metrics } = objective.build(inputs);
    const [gradient] = gradients(reduceSum(losses), [inputs.policy]);
    const named = Object.fromEntries(Object.entries(metrics).map(([name, value]) => [`metric:${name}`, value]));
    return new PairEvaluator(
      objective,
      await interpreter.compile({ outputs: { losses, gradient: gradient!, ...named } }),
    );
  }

  async evaluate(pairs: Pairs): Promise<Evaluated> {
    const { losses, gradient, ...metrics } = await this.executable.run(pairInputs(pairs, this.executable.inputNames));
    const byPolicy = gradient!.data as Float64Array;
    return {
      losses: losses!.data as Float64Array,
      metrics: Object.fromEntries(
        Object.entries(metrics).map(([name, { data }]) => [name.slice("metric:".length), data as Float64Array]),
      ),
      gradient: {
        chosen: byPolicy.filter((_, i) => i % 2 === 0),
        rejected: byPolicy.filter((_, i) => i % 2 === 1),
      },
    };
  }
}

/** The pairs as the inputs of a program that has inputs of these names. */
export function pairInputs(pairs: Pairs, names: readonly string[]): Record<string, Value> {
  const ones = new Float64Array(pairs.policyChosen.length).fill(1);
  const { chosen = ones, rejected = ones } = pairs.lengths ?? {};
  const inputs: Record<string, Value> = {
    policy: interleaved(pairs.policyChosen, pairs.policyRejected),
    reference: interleaved(pairs.referenceChosen, pairs.referenceRejected),
    lengths: interleaved(chosen, rejected),
  };
  return Object.fromEntries(names.map((name) => [name, inputs[name]!]));
}

/** Chosen and rejected by turns [2 N], as a micro-batch has them. */
function interleaved(chosen: ArrayLike<number>, rejected: ArrayLike<number>): Value {
  const data = new Float64Array(2 * chosen.length);
  for (let i = 0; i < chosen.length; i++) {
    data[2 * i] = chosen[i]!;
    data[2 * i + 1] = rejected[i]!;
  }
  return { dims: [data.length], data };
}
