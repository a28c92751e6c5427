/** What the tests of objectives share: an objective's losses, metrics and gradients on given pairs. */

import { completionInputs, type Objective, stepInput } from "../../src/objectives/index.ts";
import { interpreter } from "../../src/runtime/interpreter.ts";
import type { Runtime, Value } from "../../src/runtime/runtime.ts";
import { gradients, reduceSum } from "../../src/tensor/index.ts";
import { numbers } from "../support/programs.ts";

/** A pair's values of the chosen and of the rejected completion. */
export type Two = readonly [chosen: number, rejected: number];

export interface Pair {
  readonly policy: Two;
  readonly reference: Two;
  readonly lengths: Two;
}

export interface Outcome {
  readonly losses: number[];
  readonly metrics: Record<string, number[]>;
  /** Of the sum of the losses, with respect to each pair's policy log-probabilities. */
  readonly gradient: Two[];
}

export async function evaluatePairs(
  objective: Objective,
  pairs: readonly Pair[],
  runtime: Runtime = interpreter,
): Promise<Outcome> {
  const tensors = completionInputs(objective);
  const { losses, metrics } = objective.build(tensors);
  const [gradient] = gradients(reduceSum(losses), [tensors.policy]);
  await using program = await runtime.compile({ outputs: { losses, gradient: gradient!, ...metrics } });
  const array = (values: readonly number[], dims: readonly number[]): Value => {
    return { dims, data: runtime === interpreter ? Float64Array.from(values) : Float32Array.from(values) };
  };
  const column = (name: keyof Pair): Value =>
    array(
      pairs.flatMap((pair) => pair[name]),
      [2 * pairs.length],
    );
  const results = await program.run({
    policy: column("policy"),
    reference: column("reference"),
    lengths: column("lengths"),
    ...Object.fromEntries(
      contextOf(objective, pairs).map(([name, value]) => [
        stepInput(name),
        typeof value === "number" ? array([value], []) : array(value, [value.length]),
      ]),
    ),
  });
  const flat = numbers(results.gradient!);
  return {
    losses: numbers(results.losses!),
    gradient: pairs.map((_, i) => [flat[2 * i]!, flat[2 * i + 1]!]),
    metrics: Object.fromEntries(Object.keys(metrics).map((name) => [name, numbers(results[name]!)])),
  };
}

/** What the objective knows of the pairs as one optimizer step. */
function contextOf({ context }: Objective, pairs: readonly Pair[]) {
  if (!context) return [];
  const flat = (name: keyof Pair) => pairs.flatMap((pair) => pair[name]);
  const step = { policy: flat("policy"), reference: flat("reference"), lengths: flat("lengths") };
  const counts = pairs.map(() => 2);
  return Object.entries(context.compute({ ...step, counts, columns: {} }, context.initialState ?? []).values);
}
