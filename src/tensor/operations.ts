/**
 * The primitive operations: a small closed set from which every model, objective and gradient is made. Each function
 * checks shapes and makes a node. What an operation computes is stated by `src/runtime/interpreter.ts`, its gradient by
 * `gradients.ts`, its ONNX form by `onnx/emit.ts`.
 */

import { broadcast, type Dim, formatShape, product, type Shape, sameShape, sum } from "./shape.ts";
import { constant, type DType, makeNode, shapeError, type Tensor } from "./tensor.ts";

/** Where a tensor is expected a number is a scalar constant. */
export type Operand = Tensor | number;

function asTensor(x: Operand): Tensor {
  return typeof x === "number" ? constant(x) : x;
}

function requireFloats(op: string, inputs: readonly Tensor[]): void {
  const wrong = inputs.find((x) => x.dtype !== "float32");
  if (wrong) throw shapeError(op, inputs, `works on float32, not on ${wrong.dtype}`);
}

// ---- elementwise ----------------------------------------------------------------------------------------------------

function unary(op: string) {
  return (x: Tensor): Tensor => {
    requireFloats(op, [x]);
    return makeNode(op, [x], x.shape);
  };
}

export const neg = unary("neg");
export const exp = unary("exp");
/** The natural logarithm. */
export const log = unary("log");
export const sqrt = unary("sqrt");
export const tanh = unary("tanh");
export const erf = unary("erf");
export const abs = unary("abs");
/** 1 / (1 + e^-x) */
export const sigmoid = unary("sigmoid");
/** log(1 + e^x), without overflow. */
export const softplus = unary("softplus");

function binary(op: string, dtype: DType = "float32") {
  return (a: Operand, b: Operand): Tensor => {
    const inputs = [asTensor(a), asTensor(b)] as const;
    requireFloats(op, inputs);
    const shape = broadcast(inputs[0].shape, inputs[1].shape);
    if (!shape) throw shapeError(op, inputs, "the shapes do not broadcast");
    return makeNode(op, inputs, shape, { dtype });
  };
}

export const add = binary("add");
export const sub = binary("sub");
export const mul = binary("mul");
export const div = binary("div");
/** The larger of two values; where they are equal the gradient goes to the first. */
export const maximum = binary("maximum");
/** 1 where a >= b. */
export const greaterOrEqual = binary("greaterOrEqual", "bool");

/** Whole numbers as float32, exact up to 2^24. It has no gradient rule: nothing of int64 is differentiated. */
export function toFloat(x: Tensor): Tensor {
  if (x.dtype !== "int64") throw shapeError("toFloat", [x], `works on int64, not on ${x.dtype}`);
  return makeNode("toFloat", [x], x.shape);
}

/** `a` where the condition holds, else `b`. */
export function where(condition: Tensor, a: Operand, b: Operand): Tensor {
  const inputs = [condition, asTensor(a), asTensor(b)] as const;
  requireFloats("where", inputs.slice(1));
  const values = broadcast(inputs[1].shape, inputs[2].shape);
  const shape = values && broadcast(condition.shape, values);
  if (condition.dtype !== "bool" || !shape) throw shapeError("where", inputs, "needs a bool and values that broadcast");
  return makeNode("where", inputs, shape);
}

// ---- reductions -----------------------------------------------------------------------------------------------------

function normalizeAxis(op: string, x: Tensor, axis: number): number {
  const positive = axis < 0 ? axis + x.shape.length : axis;
  if (positive < 0 || positive >= x.shape.length) throw shapeError(op, [x], `there is no axis ${axis}`);
  return positive;
}

export interface ReduceOptions {
  /** Keep the reduced axes with size 1. */
  keepDims?: boolean;
}

/** The sum over the given axes, all where none are given. */
export function reduceSum(x: Tensor, axes?: readonly number[], options: ReduceOptions = {}): Tensor {
  requireFloats("reduceSum", [x]);
  const reduced = (axes ?? x.shape.map((_, i) => i)).map((axis) => normalizeAxis("reduceSum", x, axis)).sort();
  if (new Set(reduced).size < reduced.length) throw shapeError("reduceSum", [x], `axes ${axes} name one axis twice`);
  const keepDims = options.keepDims ?? false;
  if (reduced.length === 0) return x;
  return makeNode("reduceSum", [x], reduceShape(x.shape, reduced, keepDims), {
    attributes: { axes: reduced, keepDims },
  });
}

function reduceShape(shape: Shape, axes: readonly number[], keepDims: boolean): Shape {
  return keepDims ? shape.map((dim, i) => (axes.includes(i) ? 1 : dim)) : shape.filter((_, i) => !axes.includes(i));
}

/**
 * The largest value over the last axis, which is kept with size 1. It has no gradient rule: it serves to keep exponentials
 * in range, where it cancels.
 */
export function reduceMax(x: Tensor): Tensor {
  requireFloats("reduceMax", [x]);
  const axis = normalizeAxis("reduceMax", x, -1);
  return makeNode("reduceMax", [x], reduceShape(x.shape, [axis], true));
}

/** e^x / sum(e^x) over the last axis. */
export function softmax(x: Tensor): Tensor {
  requireFloats("softmax", [x]);
  normalizeAxis("softmax", x, -1);
  return makeNode("softmax", [x], x.shape);
}

// ---- products -------------------------------------------------------------------------------------------------------

export interface MatmulOptions {
  transA?: boolean;
  transB?: boolean;
  /** A factor on the product. */
  alpha?: number;
}

/**
 * alpha * A B over the last two axes, either transposed first. Leading axes are batches: equal on both sides, or absent
 * on the right, which then serves every batch.
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  const { transA = false, transB = false, alpha = 1 } = options;
  requireFloats("matmul", [a, b]);
  if (a.shape.length < 2 || b.shape.length < 2) throw shapeError("matmul", [a, b], "both sides need two axes or more");
  const [rows, inner] = lastTwo(a.shape, transA);
  const [innerB, columns] = lastTwo(b.shape, transB);
  if (inner !== innerB) throw shapeError("matmul", [a, b], `the inner dimensions ${inner} and ${innerB} differ`);
  const batch = a.shape.slice(0, -2);
  if (b.shape.length > 2 && !sameShape(batch, b.shape.slice(0, -2))) {
    throw shapeError("matmul", [a, b], "the batch dimensions differ");
  }
  return makeNode("matmul", [a, b], [...batch, rows, columns], { attributes: { transA, transB, alpha } });
}

function lastTwo(shape: Shape, transposed: boolean): [Dim, Dim] {
  const [rows, columns] = [shape.at(-2)!, shape.at(-1)!];
  return transposed ? [columns, rows] : [rows, columns];
}

// ---- rows by index --------------------------------------------------------------------------------------------------

/** Rows of a table: table [V, ...], ids [n] of int64, result [n, ...]. */
export function gather(table: Tensor, ids: Tensor): Tensor {
  if (ids.dtype !== "int64" || ids.shape.length !== 1 || table.shape.length === 0) {
    throw shapeError("gather", [table, ids], "ids must be an int64 vector, the table must have rows");
  }
  return makeNode("gather", [table, ids], [...ids.shape, ...table.shape.slice(1)], { dtype: table.dtype });
}

/**
 * The index of each row of x [n, ...] as int64 [n], counted on from the rows of `after` [m, ...] where it is given: m, m + 1 and so on.
 * It has no gradient rule: values do not matter.
 */
export function rowIndices(x: Tensor, after?: Tensor): Tensor {
  const inputs = after ? [x, after] : [x];
  if (inputs.some(({ shape }) => shape.length === 0)) throw shapeError("rowIndices", inputs, "a scalar has no rows");
  return makeNode("rowIndices", inputs, [x.shape[0]!], { dtype: "int64" });
}

/** Adds rows into zeros shaped like `like`: result[ids[i]] += values[i]. The transpose of gather. */
export function scatterAdd(like: Tensor, ids: Tensor, values: Tensor): Tensor {
  requireFloats("scatterAdd", [like, values]);
  const isVector = ids.dtype === "int64" && ids.shape.length === 1;
  if (!isVector || !sameShape(values.shape, [...ids.shape, ...like.shape.slice(1)])) {
    throw shapeError("scatterAdd", [like, ids, values], "ids must be an int64 vector, and values one row an id");
  }
  return makeNode("scatterAdd", [like, ids, values], like.shape);
}

// ---- layout ---------------------------------------------------------------------------------------------------------

/** The same values in another shape. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  if (product(shape) !== product(x.shape)) throw shapeError("reshape", [x], `can't become ${formatShape(shape)}`);
  if (sameShape(x.shape, shape)) return x;
  return makeNode("reshape", [x], shape, { attributes: { shape }, dtype: x.dtype });
}

/** Reorders axes: result axis i is axis permutation[i] of x. */
export function transpose(x: Tensor, permutation: readonly number[]): Tensor {
  if ([...permutation].sort().some((axis, i) => axis !== i) || permutation.length !== x.shape.length) {
    throw shapeError("transpose", [x], `${formatShape(permutation)} is not a permutation of its axes`);
  }
  return makeNode(
    "transpose",
    [x],
    permutation.map((axis) => x.shape[axis]!),
    { attributes: { permutation }, dtype: x.dtype },
  );
}

/** Elements start (included) to end (excluded) along one axis whose size is known. */
export function slice(x: Tensor, axis: number, start: number, end: number): Tensor {
  const at = normalizeAxis("slice", x, axis);
  const size = x.shape[at]!;
  if (typeof size !== "number" || start < 0 || end > size || start >= end) {
    throw shapeError("slice", [x], `no elements ${start} to ${end} on axis ${at}`);
  }
  if (start === 0 && end === size) return x;
  return makeNode("slice", [x], x.shape.with(at, end - start), {
    attributes: { axis: at, start, end },
    dtype: x.dtype,
  });
}

/** Zeros before and after along one axis. The transpose of slice. */
export function pad(x: Tensor, axis: number, before: number, after: number): Tensor {
  requireFloats("pad", [x]);
  const at = normalizeAxis("pad", x, axis);
  if (before < 0 || after < 0) throw shapeError("pad", [x], `can't add ${before} and ${after} elements`);
  if (before === 0 && after === 0) return x;
  const shape = x.shape.with(at, sum([x.shape[at]!, before + after]));
  return makeNode("pad", [x], shape, { attributes: { axis: at, before, after } });
}

/** Tensors one after another along an axis. */
export function concat(parts: readonly Tensor[], axis: number): Tensor {
  const first = parts[0];
  if (!first) throw shapeError("concat", [], "there is nothing to join");
  if (parts.length === 1) return first;
  const at = normalizeAxis("concat", first, axis);
  if (parts.some((p) => p.dtype !== first.dtype || !sameShape(p.shape.with(at, 1), first.shape.with(at, 1)))) {
    throw shapeError("concat", parts, `only axis ${at} may differ`);
  }
  const size = sum(parts.map((p) => p.shape[at]!));
  return makeNode("concat", parts, first.shape.with(at, size), { attributes: { axis: at }, dtype: first.dtype });
}

/** Repeats along axes of size 1 (or missing in front) until the shape is that of `like`. */
export function broadcastTo(x: Tensor, like: Tensor): Tensor {
  if (sameShape(x.shape, like.shape)) return x;
  const shape = broadcast(x.shape, like.shape);
  if (!shape || !sameShape(shape, like.shape))
    throw shapeError("broadcastTo", [x, like], "the shape does not broadcast");
  return makeNode("broadcastTo", [x, like], like.shape);
}
