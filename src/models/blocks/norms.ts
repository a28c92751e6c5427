/** Normalizations made of the one that has a kernel, the root mean square's. */

import { add, div, reduceSum, reshape, rmsNorm, sub, type Tensor } from "../../tensor/index.ts";

/**
 * (x - mean(x)) weight / sqrt(variance(x) + epsilon) + bias over the last axis (Ba et al. 2016): centred values have their
 * variance as mean square.
 */
export function layerNorm(x: Tensor, weight: Tensor, bias: Tensor, epsilon: number): Tensor {
  const mean = div(reduceSum(x, [-1], { keepDims: true }), x.shape.at(-1) as number);
  return add(rmsNorm(sub(x, mean), weight, epsilon), bias);
}

/** The root-mean-square norm of each head apart: x [T, heads * headDim], weight [headDim]. */
export function normHeads(x: Tensor, weight: Tensor, epsilon: number): Tensor {
  const headDim = weight.shape[0] as number;
  const heads = (x.shape[1] as number) / headDim;
  return reshape(rmsNorm(reshape(x, [x.shape[0]!, heads, headDim]), weight, epsilon), x.shape);
}
