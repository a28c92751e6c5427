/**
 * Fused operations: single nodes that a runtime may have as one kernel. Each has a decomposition into primitives, which
 * is its meaning, and its own gradient rule in `gradients.ts` where a better one than the decomposition's is known.
 */

import {
  add,
  concat,
  div,
  erf,
  exp,
  gather,
  log,
  matmul,
  mul,
  reduceMax,
  reduceSum,
  reshape,
  sigmoid,
  slice,
  softmax,
  sqrt,
  sub,
  tanh,
} from "./operations.ts";
import { sameShape } from "./shape.ts";
import { makeNode, type Node, shapeError, Tensor } from "./tensor.ts";

/** x * sigmoid(x), also called swish. */
export function silu(x: Tensor): Tensor {
  return makeNode("silu", [x], x.shape);
}

/** silu(gate) * up, the activation of gated feed-forward layers (Shazeer 2020). */
export function swiglu(gate: Tensor, up: Tensor): Tensor {
  if (!sameShape(gate.shape, up.shape)) throw shapeError("swiglu", [gate, up], "both must have one shape");
  return makeNode("swiglu", [gate, up], gate.shape);
}

/** x Phi(x), Phi being the distribution function of the standard normal (Hendrycks and Gimpel 2016). */
export function gelu(x: Tensor): Tensor {
  return makeNode("gelu", [x], x.shape);
}

/** The tanh approximation of gelu: x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))). Its names elsewhere: gelu_new, gelu_pytorch_tanh. */
export function geluTanh(x: Tensor): Tensor {
  return makeNode("geluTanh", [x], x.shape);
}

/** geluTanh(gate) * up (Shazeer 2020). */
export function geglu(gate: Tensor, up: Tensor): Tensor {
  if (!sameShape(gate.shape, up.shape)) throw shapeError("geglu", [gate, up], "both must have one shape");
  return makeNode("geglu", [gate, up], gate.shape);
}

/** Phi(x), the probability that a standard normal variable is at most x. */
export function normalDistribution(x: Tensor): Tensor {
  return mul(0.5, add(1, erf(mul(x, Math.SQRT1_2))));
}

/** tanh(sqrt(2 / pi) (x + 0.044715 x^3)), the part of geluTanh that its gradient needs too. */
export function geluTanhTerm(x: Tensor): Tensor {
  return tanh(mul(mul(Math.sqrt(2 / Math.PI), x), add(1, mul(GELU_CUBE, mul(x, x)))));
}

/** The factor of x^3 in it. */
export const GELU_CUBE = 0.044715;

/** log(sum(exp(x))) over the last axis, which is kept with size 1. */
export function logSumExp(x: Tensor): Tensor {
  return makeNode("logSumExp", [x], reduceMax(x).shape);
}

/**
 * log(sum(p^2)) of p = softmax(x) over the last axis, which is kept with size 1: the log-probability that two draws from p
 * are equal, in nats. It is minus the Renyi entropy of order 2, also called collision entropy.
 */
export function logCollision(x: Tensor): Tensor {
  return makeNode("logCollision", [x], reduceMax(x).shape);
}

/**
 * KL(softmax(x) || softmax(y)) = sum(p log(p / q)) over the last axis, which is kept with size 1, in nats: at least 0 to
 * rounding, and exactly 0 where x and y are equal.
 */
export function klDivergence(x: Tensor, y: Tensor): Tensor {
  if (!sameShape(x.shape, y.shape)) throw shapeError("klDivergence", [x, y], "both must have one shape");
  return makeNode("klDivergence", [x, y], reduceMax(x).shape);
}

/**
 * x as a number to the gradient, which does not go through it. It is made of nothing: at run time it is x itself.
 */
export function stopGradient(x: Tensor): Tensor {
  return makeNode("stopGradient", [x], x.shape, { dtype: x.dtype });
}

/** x * weight / sqrt(mean(x^2) + epsilon), the mean over the last axis: x [..., n], weight [n]. (Zhang and Sennrich 2019.) */
export function rmsNorm(x: Tensor, weight: Tensor, epsilon: number): Tensor {
  const size = x.shape.at(-1)!;
  if (weight.shape.length !== 1 || weight.shape[0] !== size || typeof size !== "number") {
    throw shapeError(
      "rmsNorm",
      [x, weight],
      "the weight must be a vector over the last axis, whose size must be known",
    );
  }
  const inverse = { shape: x.shape.with(-1, 1), dtype: "float32" } as const;
  return makeNode("rmsNorm", [x, weight], x.shape, { attributes: { epsilon }, byProducts: [inverse] });
}

/** The by-product 1 / sqrt(mean(x^2) + epsilon) [..., 1] of an rmsNorm. It has no gradient of its own. */
export function inverseDeviation(normalized: Tensor): Tensor {
  return new Tensor(normalized.node, 1);
}

/**
 * Rotary position embedding (Su et al. 2021) with the two halves of a head apart, as Hugging Face has it.
 * x [T, heads * D], positions [T], cos and sin [P, D / 2] by position; `inverse` rotates back.
 */
export function rope(
  x: Tensor,
  positions: Tensor,
  tables: { cos: Tensor; sin: Tensor },
  options: { heads: number; inverse?: boolean },
): Tensor {
  const { heads, inverse = false } = options;
  const half = tables.cos.shape[1];
  const rows = x.shape.length === 2 && typeof half === "number" && x.shape[1] === heads * half * 2;
  const placed = positions.dtype === "int64" && sameShape(positions.shape, x.shape.slice(0, 1));
  if (!rows || !placed || !sameShape(tables.cos.shape, tables.sin.shape)) {
    const reason = `needs x [T, ${heads} heads * D], positions [T] of int64, and both tables [P, D / 2]`;
    throw shapeError("rope", [x, positions, tables.cos, tables.sin], reason);
  }
  return makeNode("rope", [x, positions, tables.cos, tables.sin], x.shape, { attributes: { heads, inverse } });
}

/** softmax(scores) values: scores [..., Q, S], values [..., S, D], result [..., Q, D]. */
export function attend(scores: Tensor, values: Tensor): Tensor {
  const { shape } = matmul(scores, values);
  return makeNode("attend", [scores, values], shape);
}

/** What the reductions of a softmax and their gradients share, so that it is computed once. */
interface ShiftedExponentials {
  /** x - max(x), and e to that power [..., n]. */
  readonly shifted: Tensor;
  readonly exponentials: Tensor;
  /** The sum of the exponentials, and max(x) [..., 1]. */
  readonly sum: Tensor;
  readonly largest: Tensor;
}

/** The exponentials of x over its last axis, in range whatever x is. */
export function shiftedExponentials(x: Tensor): ShiftedExponentials {
  const largest = reduceMax(x);
  const shifted = sub(x, largest);
  const exponentials = exp(shifted);
  return { shifted, exponentials, sum: sumInBlocks(exponentials), largest };
}

/**
 * The sum over the last axis, taken as sums of sums: float32 additions one by one over a vocabulary of 49,152 lose
 * 1.7e-5 of the total (ONNX Runtime's ReduceSum), which a log-probability of 250 tokens shows as 0.004 nats.
 */
export function sumInBlocks(x: Tensor): Tensor {
  const size = x.shape.at(-1)!;
  const block = typeof size === "number" ? divisorNearRoot(size) : 1;
  if (block === 1) return reduceSum(x, [-1], { keepDims: true });
  const blocks = reshape(x, [...x.shape.slice(0, -1), (size as number) / block, block]);
  return reduceSum(reduceSum(blocks, [-1]), [-1], { keepDims: true });
}

/** The largest divisor of n that is at most its square root. */
function divisorNearRoot(n: number): number {
  let divisor = Math.floor(Math.sqrt(n));
  while (n % divisor !== 0) divisor--;
  return divisor;
}

/** The meaning of each fused operation in primitives: one tensor an output. */
export const decompositions: Readonly<Record<string, (node: Node) => Tensor[]>> = {
  silu: ({ inputs: [x] }) => [mul(x!, sigmoid(x!))],

  swiglu: ({ inputs: [gate, up] }) => [mul(silu(gate!), up!)],

  gelu: ({ inputs: [x] }) => [mul(x!, normalDistribution(x!))],

  geluTanh: ({ inputs: [x] }) => [mul(mul(0.5, x!), add(1, geluTanhTerm(x!)))],

  geglu: ({ inputs: [gate, up] }) => [mul(geluTanh(gate!), up!)],

  logSumExp: ({ inputs: [x] }) => {
    const { sum, largest } = shiftedExponentials(x!);
    return [add(log(sum), largest)];
  },

  logCollision: ({ inputs: [x] }) => {
    const { exponentials, sum } = shiftedExponentials(x!);
    return [log(div(sumInBlocks(mul(exponentials, exponentials)), mul(sum, sum)))];
  },

  // In shifted values neither the expectation nor the logarithm is larger than it must be, so little cancels.
  klDivergence: ({ inputs: [x, y] }) => {
    const [p, q] = [shiftedExponentials(x!), shiftedExponentials(y!)];
    const expected = div(sumInBlocks(mul(p.exponentials, sub(p.shifted, q.shifted))), p.sum);
    return [add(expected, log(div(q.sum, p.sum)))];
  },

  stopGradient: ({ inputs: [x] }) => [x!],

  rmsNorm: ({ inputs: [x, weight], attributes }) => {
    const size = x!.shape.at(-1) as number;
    const meanSquare = div(reduceSum(mul(x!, x!), [-1], { keepDims: true }), size);
    const inverse = div(1, sqrt(add(meanSquare, attributes.epsilon as number)));
    return [mul(mul(x!, inverse), weight!), inverse];
  },

  rope: ({ inputs: [x, positions, cosTable, sinTable], attributes }) => {
    const heads = attributes.heads as number;
    const half = cosTable!.shape[1] as number;
    const tokens = x!.shape[0]!;
    const pairs = reshape(x!, [tokens, heads, 2, half]);
    const [first, second] = [slice(pairs, 2, 0, 1), slice(pairs, 2, 1, 2)];
    const angles = (table: Tensor) => reshape(gather(table, positions!), [tokens, 1, 1, half]);
    const cos = angles(cosTable!);
    const sin = mul(angles(sinTable!), attributes.inverse ? -1 : 1);
    const rotated = concat([sub(mul(first, cos), mul(second, sin)), add(mul(second, cos), mul(first, sin))], 2);
    return [reshape(rotated, x!.shape)];
  },

  attend: ({ inputs: [scores, values] }) => [matmul(softmax(scores!), values!)],
};
