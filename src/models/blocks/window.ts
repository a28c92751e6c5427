/**
 * Sliding windows (Beltagy et al. 2020): a token sees itself and the `window` - 1 tokens before it. Distance is counted in
 * positions, not in rows of the micro-batch: a completion's positions go on from its prompt's wherever the two stand.
 */

import { greaterOrEqual, reshape, sub, type Tensor, toFloat, where } from "../../tensor/index.ts";

/** The mask [..., T, S] with -infinity too where the key lies `window` positions or more before the query: positions [T] and [S]. */
export function windowMask(mask: Tensor, queries: Tensor, keys: Tensor, window: number): Tensor {
  const rows = reshape(toFloat(queries), [queries.shape[0]!, 1]);
  const columns = reshape(toFloat(keys), [1, keys.shape[0]!]);
  return where(greaterOrEqual(sub(rows, columns), window), Number.NEGATIVE_INFINITY, mask);
}
