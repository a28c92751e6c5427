/**
 * Reverse-mode differentiation over one table of rules. A rule gets an operation's output y and the gradient dy of a
 * scalar with respect to y, and returns the gradient with respect to each input (undefined where there is none).
 */

import {
  GELU_CUBE,
  geluTanh,
  geluTanhTerm,
  inverseDeviation,
  normalDistribution,
  rope,
  shiftedExponentials,
  sumInBlocks,
} from "./fused.ts";
import {
  add,
  broadcastTo,
  div,
  exp,
  gather,
  greaterOrEqual,
  log,
  type MatmulOptions,
  matmul,
  mul,
  neg,
  pad,
  reduceSum,
  reshape,
  scatterAdd,
  sigmoid,
  slice,
  softmax,
  sub,
  transpose,
  where,
} from "./operations.ts";
import { topologicalOrder } from "./program.ts";
import { product, type Shape, sameShape } from "./shape.ts";
import { constant, type Node, scope, shapeError, Tensor } from "./tensor.ts";

type Rule = (y: Tensor, dy: Tensor, inputs: readonly Tensor[]) => readonly (Tensor | undefined)[];

/** Sums a gradient over the axes along which its value was broadcast. */
function sumTo(dy: Tensor, shape: Shape): Tensor {
  if (sameShape(dy.shape, shape)) return dy;
  const added = dy.shape.length - shape.length;
  const axes = dy.shape.map((_, i) => i).filter((i) => i < added || (shape[i - added] === 1 && dy.shape[i] !== 1));
  return reshape(reduceSum(dy, axes, { keepDims: true }), shape);
}

/** The rule of an elementwise operation: dx = dy * slope, where the slope is told by the output y or by x, whichever is cheaper. */
const scaled =
  (slope: (y: Tensor, x: Tensor) => Tensor): Rule =>
  (y, dy, [x]) => [mul(dy, slope(y, x!))];

/** With t = tanh(u): (1 + t) / 2 + x / 2 (1 - t^2) du/dx, and du/dx = sqrt(2 / pi) (1 + 3 * 0.044715 x^2). */
function geluTanhSlope(x: Tensor): Tensor {
  const t = geluTanhTerm(x);
  const inner = mul(Math.sqrt(2 / Math.PI), add(1, mul(3 * GELU_CUBE, mul(x, x))));
  return mul(0.5, add(add(1, t), mul(mul(x, sub(1, mul(t, t))), inner)));
}

export const gradientRules: Readonly<Record<string, Rule>> = {
  // Elementwise.
  neg: (_, dy) => [neg(dy)],
  exp: scaled((y) => y),
  log: (_, dy, [x]) => [div(dy, x!)],
  sqrt: (y, dy) => [div(dy, mul(2, y))],
  tanh: scaled((y) => sub(1, mul(y, y))),
  erf: scaled((_, x) => mul(2 / Math.sqrt(Math.PI), exp(neg(mul(x, x))))),
  abs: (_, dy, [x]) => [where(greaterOrEqual(x!, 0), dy, neg(dy))],
  sigmoid: scaled((y) => mul(y, sub(1, y))),
  softplus: scaled((_, x) => sigmoid(x)),
  /**
   * With s = gate sigmoid(gate): ds/dgate = s + sigmoid(gate) (1 - s). The rule computes s anew from the gate, which is
   * kept anyway: holding the forward pass's s until here would cost more than the product.
   */
  swiglu: (_, dy, [gate, up]) => {
    const gateSigmoid = sigmoid(gate!);
    const s = mul(gate!, gateSigmoid);
    return [mul(mul(dy, up!), add(s, mul(gateSigmoid, sub(1, s)))), mul(dy, s)];
  },
  silu: scaled((y, x) => add(y, mul(sigmoid(x), sub(1, y)))),
  /** Phi(x) + x phi(x), phi being the density of the standard normal. */
  gelu: scaled((_, x) => {
    const density = mul(1 / Math.sqrt(2 * Math.PI), exp(mul(-0.5, mul(x, x))));
    return add(normalDistribution(x), mul(x, density));
  }),
  geluTanh: scaled((_, x) => geluTanhSlope(x)),
  geglu: (_, dy, [gate, up]) => [mul(mul(dy, up!), geluTanhSlope(gate!)), mul(dy, geluTanh(gate!))],
  add: (_, dy, [a, b]) => [sumTo(dy, a!.shape), sumTo(dy, b!.shape)],
  sub: (_, dy, [a, b]) => [sumTo(dy, a!.shape), neg(sumTo(dy, b!.shape))],
  mul: (_, dy, [a, b]) => [sumTo(mul(dy, b!), a!.shape), sumTo(mul(dy, a!), b!.shape)],
  div: (y, dy, [a, b]) => {
    const da = div(dy, b!);
    return [sumTo(da, a!.shape), neg(sumTo(mul(da, y), b!.shape))];
  },
  maximum: (_, dy, [a, b]) => {
    const first = greaterOrEqual(a!, b!);
    return [sumTo(where(first, dy, 0), a!.shape), sumTo(where(first, 0, dy), b!.shape)];
  },
  where: (_, dy, [condition, a, b]) => [
    undefined,
    sumTo(where(condition!, dy, 0), a!.shape),
    sumTo(where(condition!, 0, dy), b!.shape),
  ],

  // Reductions.
  reduceSum: (y, dy, [x]) => {
    const axes = y.node.attributes.axes as readonly number[];
    const kept = x!.shape.map((dim, i) => (axes.includes(i) ? 1 : dim));
    return [broadcastTo(reshape(dy, kept), x!)];
  },
  /** softmax(x), written so that its exponentials are the forward pass's own. */
  logSumExp: (_, dy, [x]) => {
    const { exponentials, sum } = shiftedExponentials(x!);
    return [mul(exponentials, div(dy, sum))];
  },
  /** 2 (p^2 / sum(p^2) - p) with p = softmax(x). */
  logCollision: (_, dy, [x]) => {
    const { exponentials, sum } = shiftedExponentials(x!);
    const squares = mul(exponentials, exponentials);
    const slope = sub(mul(squares, div(1, sumInBlocks(squares))), mul(exponentials, div(1, sum)));
    return [mul(slope, mul(2, dy))];
  },
  /** With p = softmax(x) and q = softmax(y): p (log(p / q) - KL) for x, and q - p for y. */
  klDivergence: (y, dy, [a, b]) => {
    const [p, q] = [shiftedExponentials(a!), shiftedExponentials(b!)];
    const logRatio = add(sub(p.shifted, q.shifted), log(div(q.sum, p.sum)));
    return [
      mul(mul(p.exponentials, div(dy, p.sum)), sub(logRatio, y)),
      sub(mul(q.exponentials, div(dy, q.sum)), mul(p.exponentials, div(dy, p.sum))),
    ];
  },
  softmax: (y, dy) => [mul(y, sub(dy, reduceSum(mul(dy, y), [-1], { keepDims: true })))],

  // Products.
  matmul: (y, dy, [a, b]) => {
    const { transA, transB, alpha } = y.node.attributes as Required<MatmulOptions>;
    return [matmulLeft(a!, b!, dy, { transA, transB, alpha }), matmulRight(a!, b!, dy, { transA, transB, alpha })];
  },
  /** O = softmax(S) V. The row sums of dP * P equal those of dO * O (Dao et al. 2022), which are far fewer. */
  attend: (y, dy, [scores, values]) => {
    const weights = softmax(scores!);
    const dWeights = matmul(dy, values!, { transB: true });
    const rowSums = reduceSum(mul(dy, y), [-1], { keepDims: true });
    return [
      mul(weights, sub(dWeights, rowSums)),
      matmulRight(weights, values!, dy, { transA: false, transB: false, alpha: 1 }),
    ];
  },

  // Rows by index.
  gather: (_, dy, [table, ids]) => [scatterAdd(table!, ids!, dy), undefined],
  scatterAdd: (_, dy, [, ids]) => [undefined, undefined, gather(dy, ids!)],

  // Layout.
  reshape: (_, dy, [x]) => [reshape(dy, x!.shape)],
  transpose: (y, dy) => {
    const permutation = y.node.attributes.permutation as readonly number[];
    return [
      transpose(
        dy,
        permutation.map((_, i) => permutation.indexOf(i)),
      ),
    ];
  },
  slice: (y, dy, [x]) => {
    const { axis, start, end } = y.node.attributes as { axis: number; start: number; end: number };
    return [pad(dy, axis, start, (x!.shape[axis] as number) - end)];
  },
  pad: (y, dy, [x]) => {
    const { axis, before } = y.node.attributes as { axis: number; before: number };
    const size = x!.shape[axis];
    if (typeof size !== "number") throw shapeError("gradient of pad", [x!], "the padded axis must have a known size");
    return [slice(dy, axis, before, before + size)];
  },
  concat: (y, dy, parts) => {
    const axis = y.node.attributes.axis as number;
    let start = 0;
    return parts.map((part) => {
      const size = part.shape[axis];
      if (typeof size !== "number") throw shapeError("gradient of concat", parts, `axis ${axis} must have known sizes`);
      start += size;
      return slice(dy, axis, start - size, start);
    });
  },
  broadcastTo: (_, dy, [x]) => [sumTo(dy, x!.shape), undefined],

  stopGradient: () => [undefined],

  // Normalization and positions.
  /** With r = 1 / rms(x) and g = dy * w: dx = r (g - x r^2 mean(g x)), and g x r = dy y needs no product of its own. */
  rmsNorm: (y, dy, [x, weight]) => {
    const r = inverseDeviation(y);
    const size = x!.shape.at(-1) as number;
    const mean = div(reduceSum(mul(dy, y), [-1], { keepDims: true }), size);
    const dx = mul(r, sub(mul(dy, weight!), mul(x!, mul(r, mean))));
    return [dx, sumTo(mul(dy, mul(x!, r)), weight!.shape)];
  },
  /** A rotation's transpose is the rotation by the negated angle. */
  rope: (y, dy, [, positions, cos, sin]) => {
    const { heads, inverse } = y.node.attributes as { heads: number; inverse: boolean };
    return [
      rope(dy, positions!, { cos: cos!, sin: sin! }, { heads, inverse: !inverse }),
      undefined,
      undefined,
      undefined,
    ];
  },
};

/** The left factor's gradient; only a right side can serve every batch, so dA^T with a shared one is turned around. */
function matmulLeft(a: Tensor, b: Tensor, dy: Tensor, options: Required<MatmulOptions>): Tensor {
  const { transA, transB, alpha } = options;
  if (!transA) return matmul(dy, b, { transB: !transB, alpha });
  if (a.shape.length === b.shape.length) return matmul(b, dy, { transA: transB, transB: true, alpha });
  const axes = a.shape.map((_, i) => i);
  return transpose(matmul(dy, b, { transB: !transB, alpha }), [...axes.slice(0, -2), axes.at(-1)!, axes.at(-2)!]);
}

/** The right factor's gradient; where one right side served every batch, the batches are summed. */
function matmulRight(a: Tensor, b: Tensor, dy: Tensor, options: Required<MatmulOptions>): Tensor {
  const { transA, transB, alpha } = options;
  if (b.shape.length === 2 && a.shape.length > 2) {
    if (!transA) return matmulRight(flattenRows(a), b, flattenRows(dy), options);
    const each = transB ? matmul(dy, a, { transA: true, transB: true, alpha }) : matmul(a, dy, { alpha });
    return sumTo(each, b.shape);
  }
  return transB ? matmul(dy, a, { transA: true, transB: transA, alpha }) : matmul(a, dy, { transA: !transA, alpha });
}

const flattenRows = (x: Tensor): Tensor => reshape(x, [product(x.shape.slice(0, -1)), x.shape.at(-1)!]);

function applyRule(node: Node, { y, dy }: { y: Tensor; dy: Tensor }, recall: Recall): readonly (Tensor | undefined)[] {
  const rule = gradientRules[node.op];
  if (!rule) throw shapeError(`gradient of ${node.op}`, node.inputs, "this operation has no gradient rule");
  return rule(recall(y), dy, node.inputs.map(recall));
}

/** What a gradient rule gets for a value of the forward pass: the value itself, or a copy of how it is computed. */
type Recall = (t: Tensor) => Tensor;

interface GradientOptions {
  /**
   * Nodes whose values the backward pass computes again instead of keeping them from the forward pass (Chen et al. 2016):
   * memory for time.
   */
  readonly recompute?: (node: Node) => boolean;
}

function recaller(recompute: (node: Node) => boolean): Recall {
  const copies = new Map<Node, Node>();
  const copyOf = (node: Node): Node => {
    if (node.inputs.length === 0 || !recompute(node)) return node;
    let copy = copies.get(node);
    if (!copy) {
      copy = { ...node, inputs: node.inputs.map(recall), recomputed: true };
      copies.set(node, copy);
    }
    return copy;
  };
  const recall = (t: Tensor): Tensor => new Tensor(copyOf(t.node), t.index);
  return recall;
}

/**
 * The gradients of a scalar with respect to each of `wrt`, in their order. Nothing is made for what none of them
 * influences. A tensor without influence on the scalar is an error: it is never what the caller wanted.
 */
export function gradients(scalar: Tensor, wrt: readonly Tensor[], options: GradientOptions = {}): Tensor[] {
  const recall = recaller(options.recompute ?? (() => false));
  if (scalar.shape.length !== 0) throw shapeError("gradients", [scalar], "the differentiated value must be a scalar");
  const order = topologicalOrder([scalar]);
  const influenced = new Set(wrt.map((t) => t.node));
  for (const node of order) if (node.inputs.some((t) => influenced.has(t.node))) influenced.add(node);

  const gradientOf = new Map<Node, { y: Tensor; dy: Tensor }>([[scalar.node, { y: scalar, dy: constant(1) }]]);
  for (const node of order.toReversed()) {
    const found = gradientOf.get(node);
    if (!found || node.inputs.length === 0) continue;
    const contributions = scope([node.scope, "gradient"].filter(Boolean).join("/"), () =>
      applyRule(node, found, recall),
    );
    node.inputs.forEach((y, i) => {
      const dy = contributions[i];
      if (!dy || !influenced.has(y.node)) return;
      if (y.index !== 0) throw shapeError(`gradient of ${y.node.op}`, [y], "a by-product has no gradient");
      const sofar = gradientOf.get(y.node);
      gradientOf.set(y.node, { y, dy: sofar ? add(sofar.dy, dy) : dy });
    });
  }
  return wrt.map((t) => {
    const found = gradientOf.get(t.node);
    if (!found)
      throw shapeError("gradients", [t], `the value does not depend on ${t.node.attributes.name ?? t.node.op}`);
    return found.dy;
  });
}
