/**
 * The figure of the tilt as a program: the library's solution of the problem, and its scores of any policies, in double
 * precision by the interpreter.
 */

import {
  impliedReward,
  optimalPolicy,
  policyDivergence,
  type RegularizedReward,
  regularizedReward,
} from "../../../../src/objectives/regularized-reward.ts";
import { interpreter } from "../../../../src/runtime/interpreter.ts";
import type { Value } from "../../../../src/runtime/runtime.ts";
import { add, exp, input, mul, reshape } from "../../../../src/tensor/index.ts";

/** Answers to one prompt: their probabilities in the reference, and their rewards [A]. */
export interface Answers {
  readonly reference: readonly number[];
  readonly rewards: readonly number[];
  readonly beta: number;
}

/** What the i-th answer is called. */
export const letter = (i: number): string => String.fromCharCode(65 + i);

/** Places of the policies that the figure has scored: random ones are the last. */
export const REFERENCE = 0;
export const MINE = 1;
export const RANDOM = 2;

type Scores = Readonly<Record<keyof RegularizedReward, Float64Array>>;

export interface Tilted {
  /** Z and beta log Z. */
  readonly partition: number;
  readonly value: number;
  /** The optimum's probabilities, the reward that they imply, and that reward with beta log Z added [A]. */
  readonly optimum: Float64Array;
  readonly implied: Float64Array;
  readonly recovered: Float64Array;
  readonly best: Scores;
  /** Of the given policies, with KL(policy || optimum) of each [N]. */
  readonly given: Scores & { readonly fromOptimum: Float64Array };
}

/** Solves problems and scores policies, each the probabilities of the answers. */
export async function tilting(): Promise<
  (answers: Answers, policies: readonly (readonly number[])[]) => Promise<Tilted>
> {
  const answers = { reference: input("reference", ["A"]), rewards: input("rewards", ["A"]), beta: input("beta", []) };
  const policies = input("policies", ["N", "A"]);
  const { policy, logPartition } = optimalPolicy(answers);
  const value = mul(answers.beta, logPartition);
  const implied = impliedReward(policy, answers);
  const own = { partition: exp(logPartition), value, optimum: exp(policy), implied, recovered: add(implied, value) };
  const best = regularizedReward(reshape(policy, [1, "A"]), answers);
  const given = { ...regularizedReward(policies, answers), fromOptimum: policyDivergence(policies, policy) };
  const program = await interpreter.compile({
    outputs: { ...own, ...prefixed("best", best), ...prefixed("given", given) },
  });

  return async ({ reference, rewards, beta }, rows) => {
    const outputs = await program.run({
      reference: vector(reference.map(Math.log)),
      rewards: vector(rewards),
      beta: { dims: [], data: Float64Array.of(beta) },
      policies: { dims: [rows.length, reference.length], data: Float64Array.from(rows.flat(), Math.log) },
    });
    const read = (name: string) => outputs[name]!.data as Float64Array;
    const scores = (of: string): Scores => ({
      expectedReward: read(`${of}.expectedReward`),
      divergence: read(`${of}.divergence`),
      objective: read(`${of}.objective`),
    });
    return {
      partition: read("partition")[0]!,
      value: read("value")[0]!,
      optimum: read("optimum"),
      implied: read("implied"),
      recovered: read("recovered"),
      best: scores("best"),
      given: { ...scores("given"), fromOptimum: read("given.fromOptimum") },
    };
  };
}

const vector = (values: readonly number[]): Value => ({ dims: [values.length], data: Float64Array.from(values) });

const prefixed = <T extends object>(prefix: string, values: T) =>
  Object.fromEntries(Object.entries(values).map(([name, tensor]) => [`${prefix}.${name}`, tensor]));
