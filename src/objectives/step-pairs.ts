/**
 * The pairs of a whole optimizer step as numbers, for what an objective must know of all of them before the gradient of any.
 */

import { desensitizedStep } from "./length-desensitized.ts";
import type { StepScores } from "./objective.ts";
import type { PairSettings } from "./pairwise.ts";

/** Values of every pair of a step, as numbers. */
interface NumberPairs {
  readonly chosen: readonly number[];
  readonly rejected: readonly number[];
}

/** The log-probabilities of a step that the losses of its pairs are made of; reference-free: 0 for the reference. */
export function stepPairs(
  step: StepScores,
  { referenceFree: free, ldAlpha: alpha }: PairSettings,
): { policy: NumberPairs; reference: NumberPairs } {
  const { policy, reference } = desensitizedStep(step, alpha);
  const split = (logps: readonly number[]): NumberPairs => ({
    chosen: logps.filter((_, i) => i % 2 === 0),
    rejected: logps.filter((_, i) => i % 2 === 1),
  });
  return { policy: split(policy), reference: split(free ? policy.map(() => 0) : reference) };
}

/** Values of pairs in the order of completions. */
export function interleave({ chosen, rejected }: NumberPairs): number[] {
  return chosen.flatMap((value, i) => [value, rejected[i]!]);
}

/** The differences of two lists, element by element. */
export function differences(a: readonly number[], b: readonly number[]): number[] {
  return a.map((value, i) => value - b[i]!);
}

/**
 * For each of `values` the one of `others` that has the same place when both are sorted: the optimal transport between two
 * sets of numbers. Equal values keep their order.
 */
export function matched(values: readonly number[], others: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((i, j) => values[i]! - values[j]!);
  const sorted = others.toSorted((a, b) => a - b);
  const result = new Array<number>(values.length);
  order.forEach((i, place) => {
    result[i] = sorted[place]!;
  });
  return result;
}
