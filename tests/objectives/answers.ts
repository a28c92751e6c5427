/** What the tests of reward under a KL penalty share: a problem of a handful of answers, solved by the library. */

import {
  impliedReward,
  optimalPolicy,
  policyDivergence,
  regularizedReward,
} from "../../src/objectives/regularized-reward.ts";
import { interpreter } from "../../src/runtime/interpreter.ts";
import { add, exp, input, mul, reshape } from "../../src/tensor/index.ts";
import { evaluate } from "../support/programs.ts";

export interface Problem {
  /** Probabilities of the answers. */
  readonly reference: readonly number[];
  readonly rewards: readonly number[];
  readonly beta: number;
}

/** Everything there is to know of a problem and of policies, probabilities of its answers. */
export async function solve(
  { reference, rewards, beta }: Problem,
  policies: readonly (readonly number[])[],
  runtime = interpreter,
) {
  const answers = { reference: input("reference", ["A"]), rewards: input("rewards", ["A"]), beta: input("beta", []) };
  const given = input("policies", ["N", "A"]);
  const { policy, logPartition } = optimalPolicy(answers);
  const best = regularizedReward(reshape(policy, [1, "A"]), answers);
  const implied = impliedReward(policy, answers);
  const outputs = {
    ...regularizedReward(given, answers),
    fromOptimum: policyDivergence(given, policy),
    optimum: exp(policy),
    logPartition,
    bestReward: best.expectedReward,
    bestDivergence: best.divergence,
    bestObjective: best.objective,
    implied,
    recovered: add(implied, mul(answers.beta, logPartition)),
  };
  const array = (dims: readonly number[], values: readonly number[]) => {
    return { dims, data: runtime === interpreter ? Float64Array.from(values) : Float32Array.from(values) };
  };
  const count = reference.length;
  const inputs = {
    reference: array([count], reference.map(Math.log)),
    rewards: array([count], rewards),
    beta: array([], [beta]),
    policies: array([policies.length, count], policies.flat().map(Math.log)),
  };
  return (await evaluate(outputs, inputs, runtime)) as { [name in keyof typeof outputs]: number[] };
}
