/** Every intermediate value of an objective and of its gradient, by the interpreter: what a worked example shows. */

import { completionInputs, type Objective } from "../../../src/objectives/index.ts";
import { interpreter } from "../../../src/runtime/interpreter.ts";
import { gradients, reduceSum, Tensor, topologicalOrder } from "../../../src/tensor/index.ts";
import { type Pairs, pairInputs } from "./objective.ts";

export interface TracedStep {
  /** The operation, as src/tensor/operations.ts calls it. */
  readonly operation: string;
  /** Whether it belongs to the gradient by the policy's log-probabilities. */
  readonly backward: boolean;
  readonly values: readonly number[];
}

/** Evaluates the objective on the pairs, and returns what every operation gave, in the order of evaluation. */
export async function trace(objective: Objective, pairs: Pairs): Promise<TracedStep[]> {
  const inputs = completionInputs(objective);
  const { losses } = objective.build(inputs);
  const [gradient] = gradients(reduceSum(losses), [inputs.policy]);
  const forward = new Set(topologicalOrder([losses]));
  const nodes = topologicalOrder([losses, gradient!]).filter(({ op }) => op !== "input" && op !== "constant");
  const outputs = Object.fromEntries(nodes.map((node, i) => [String(i), new Tensor(node)]));
  await using executable = await interpreter.compile({ outputs });
  const values = await executable.run(pairInputs(pairs, executable.inputNames));
  return nodes.map((node, i) => ({
    operation: node.op,
    backward: !forward.has(node),
    values: Array.from(values[String(i)]!.data, Number),
  }));
}
