/** Values of pairs: what belongs to the chosen completions beside what belongs to the rejected. */

import { maximum, neg, type Operand, quotient, reshape, slice, type Tensor } from "../tensor/index.ts";

/** A column of values of the chosen completions and one of the rejected, each [E]. */
export interface Pair {
  readonly chosen: Tensor;
  readonly rejected: Tensor;
}

/** Values of C = 2 E completions, chosen first in each pair, as [E, 2]. */
export function inPairs(values: Tensor): Tensor {
  return reshape(values, [quotient(values.shape[0]!, 2), 2]);
}

/** Splits values of C = 2 E completions, chosen first in each pair. */
export function splitPairs(values: Tensor): Pair {
  const pairs = inPairs(values);
  const examples = pairs.shape[0]!;
  return {
    chosen: reshape(slice(pairs, 1, 0, 1), [examples]),
    rejected: reshape(slice(pairs, 1, 1, 2), [examples]),
  };
}

/** The smaller of two values; where they are equal the gradient goes to the first. */
export function minimum(a: Tensor, b: Operand): Tensor {
  return neg(maximum(neg(a), typeof b === "number" ? -b : neg(b)));
}
