/** What the tests of objectives over examples of any number of completions share: losses, metrics and gradients on given ones. */

import {
  columnInput,
  completionInputs,
  type Objective,
  type StepScores,
  stepInput,
} from "../../src/objectives/index.ts";
import { interpreter } from "../../src/runtime/interpreter.ts";
import type { Runtime, Value } from "../../src/runtime/runtime.ts";
import { gradients, reduceSum } from "../../src/tensor/index.ts";
import { numbers } from "../support/programs.ts";

/** Examples in order: log-probabilities of all their completions, how many each has, and the objective's columns, flat. */
interface Completions {
  readonly policy: readonly number[];
  readonly reference: readonly number[];
  readonly counts: readonly number[];
  readonly columns?: Readonly<Record<string, readonly number[]>>;
  /** What is known of the whole step. */
  readonly step?: Readonly<Record<string, number>>;
}

export interface Outcome {
  readonly losses: number[];
  readonly metrics: Record<string, number[]>;
  /** Of the sum of the losses, with respect to the policy's log-probabilities. */
  readonly gradient: number[];
}

export async function evaluateCompletions(
  objective: Objective,
  { policy, reference, counts, columns = {}, step = {} }: Completions,
  runtime: Runtime = interpreter,
): Promise<Outcome> {
  const tensors = completionInputs(objective);
  const { losses, metrics } = objective.build(tensors);
  const [gradient] = gradients(reduceSum(losses), [tensors.policy]);
  await using program = await runtime.compile({ outputs: { losses, gradient: gradient!, ...metrics } });
  const array = (values: readonly number[], dims: readonly number[] = [values.length]): Value => {
    return { dims, data: runtime === interpreter ? Float64Array.from(values) : Float32Array.from(values) };
  };
  const owner = counts.flatMap((count, example) => new Array<number>(count).fill(example));
  const owners = counts.flatMap((_, example) => owner.map((one) => (one === example ? 1 : 0)));
  const results = await program.run({
    policy: array(policy),
    reference: array(reference),
    lengths: array(policy.map(() => 1)),
    owners: array(owners, [counts.length, policy.length]),
    ...Object.fromEntries(Object.entries(columns).map(([name, values]) => [columnInput(name), array(values)])),
    ...Object.fromEntries(Object.entries(step).map(([name, value]) => [stepInput(name), array([value], [])])),
  });
  return {
    losses: numbers(results.losses!),
    gradient: numbers(results.gradient!),
    metrics: Object.fromEntries(Object.keys(metrics).map((name) => [name, numbers(results[name]!)])),
  };
}

/** What a step's context says of scores, in a run that has come to `state`. */
export function contextValues(
  { context }: Objective,
  { policy, reference }: Pick<StepScores, "policy" | "reference">,
  state: readonly number[] = context!.initialState ?? [],
) {
  const counts = policy.map(() => 1);
  const tokens = { policy: [], reference: [] };
  return context!.compute({ policy, reference, tokens, lengths: counts, counts, columns: {} }, state);
}
