/** Sums of what belongs together: of a completion's tokens, of an example's completions. */

import { matmul, reshape, type Tensor } from "../tensor/index.ts";

/** The sum of values [M] over those of each owner [N], where `ownership` [N, M] is 1 for an owner's own and 0 for others'. */
export function sumBy(ownership: Tensor, values: Tensor): Tensor {
  const [owners, count] = ownership.shape;
  return reshape(matmul(ownership, reshape(values, [count!, 1])), [owners!]);
}
