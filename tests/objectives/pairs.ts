/** What the tests of objectives share: an objective's losses, metrics and gradients on given pairs. */

import {
  columnInput,
  completionInputs,
  type Objective,
  type StepValues,
  stepInput,
} from "../../src/objectives/index.ts";
import { interpreter } from "../../src/runtime/interpreter.ts";
import type { Runtime, Value } from "../../src/runtime/runtime.ts";
import { gradients, matmul, reduceSum, reshape } from "../../src/tensor/index.ts";
import { numbers } from "../support/programs.ts";

/** A pair's values of the chosen and of the rejected completion. */
export type Two = readonly [chosen: number, rejected: number];

/** The values of each token of a completion. */
export type TwoLists = readonly [chosen: readonly number[], rejected: readonly number[]];

export interface Pair {
  readonly policy: Two;
  readonly reference: Two;
  readonly lengths: Two;
  /** What its row carries. */
  readonly values?: Readonly<Record<string, number>>;
  /** The log-probabilities of each token, where an objective sees them; else completions are taken to be of one token. */
  readonly tokens?: { readonly policy: TwoLists; readonly reference: TwoLists };
}

/** A pair by the log-probabilities of its tokens. */
export function pairOfTokens(policy: TwoLists, reference: TwoLists): Pair {
  const sums = ([chosen, rejected]: TwoLists): Two => [sum(chosen), sum(rejected)];
  const lengths: Two = [policy[0].length, policy[1].length];
  return { policy: sums(policy), reference: sums(reference), lengths, tokens: { policy, reference } };
}

export const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

interface Outcome {
  readonly losses: number[];
  readonly metrics: Record<string, number[]>;
  /** Of the sum of the losses, with respect to each pair's policy log-probabilities (those of the first tokens). */
  readonly gradient: Two[];
  /** The same with respect to those of each token of each completion. */
  readonly tokenGradient: number[][];
  /** What the objective remembers for the next step. */
  readonly state: readonly number[];
}

/** The optimizer step that the pairs are of. */
interface Step {
  /** All its pairs, where others are evaluated than these, and the place of the first of these. */
  readonly step?: readonly Pair[];
  readonly start?: number;
  /** What the objective remembers of the steps before. */
  readonly state?: readonly number[];
}

export async function evaluatePairs(
  objective: Objective,
  pairs: readonly Pair[],
  runtime: Runtime = interpreter,
  { step = pairs, start = 0, state }: Step = {},
): Promise<Outcome> {
  const given = completionInputs(objective);
  const { membership, policy } = given.tokens;
  const summed = reshape(matmul(membership, reshape(policy, ["R", 1])), given.policy.shape);
  const { losses, metrics } = objective.build({ ...given, policy: summed });
  const [gradient] = gradients(reduceSum(losses), [policy]);
  await using program = await runtime.compile({ outputs: { losses, gradient: gradient!, ...metrics } });
  const array = (values: readonly number[], dims: readonly number[] = [values.length]): Value => {
    return { dims, data: runtime === interpreter ? Float64Array.from(values) : Float32Array.from(values) };
  };
  const column = (name: "reference" | "lengths") => array(pairs.flatMap((pair) => pair[name]));
  const tokens = { policy: tokensOf(pairs, "policy"), reference: tokensOf(pairs, "reference") };
  const counts = tokens.policy.map((list) => list.length);
  const owner = counts.flatMap((count, i) => new Array<number>(count).fill(i));
  const known = contextOf(objective, step, state);
  const results = await program.run({
    reference: column("reference"),
    lengths: column("lengths"),
    policyTokens: array(tokens.policy.flat()),
    referenceTokens: array(tokens.reference.flat()),
    membership: array(
      counts.flatMap((_, i) => owner.map((o) => (o === i ? 1 : 0))),
      [counts.length, owner.length],
    ),
    tokenIndex: array(counts.flatMap((count) => Array.from({ length: count }, (_, i) => i))),
    ...Object.fromEntries(
      Object.keys(objective.columns ?? {}).map((name) => [
        columnInput(name),
        array(pairs.map(({ values }) => values![name]!)),
      ]),
    ),
    ...Object.fromEntries(
      Object.entries(known.values).map(([name, value]) => [
        stepInput(name),
        typeof value === "number" ? array([value], []) : array(value.slice(2 * start, 2 * (start + pairs.length))),
      ]),
    ),
  });
  const flat = numbers(results.gradient!);
  const tokenGradient = counts.map((_, i) => flat.filter((_, token) => owner[token] === i));
  return {
    losses: numbers(results.losses!),
    gradient: pairs.map((_, i) => [tokenGradient[2 * i]![0]!, tokenGradient[2 * i + 1]![0]!]),
    tokenGradient,
    metrics: Object.fromEntries(Object.keys(metrics).map((name) => [name, numbers(results[name]!)])),
    state: known.state ?? [],
  };
}

/** Of each completion the log-probabilities of its tokens. */
function tokensOf(pairs: readonly Pair[], who: "policy" | "reference"): (readonly number[])[] {
  return pairs.flatMap((pair) => pair.tokens?.[who] ?? pair[who].map((logp) => [logp]));
}

/** What the objective knows of the pairs as one optimizer step. */
function contextOf({ context }: Objective, pairs: readonly Pair[], state = context?.initialState ?? []): StepValues {
  if (!context) return { values: {} };
  const tokens = (who: "policy" | "reference") => tokensOf(pairs, who).map((list) => Float32Array.from(list));
  return context.compute(
    {
      policy: pairs.flatMap(({ policy }) => policy),
      reference: pairs.flatMap(({ reference }) => reference),
      tokens: { policy: tokens("policy"), reference: tokens("reference") },
      lengths: pairs.flatMap(({ lengths }) => lengths),
      counts: pairs.map(() => 2),
      columns: {},
    },
    state,
  );
}
