/**
 * The specification of every operation in plain code, float64, without an engine. It checks every gradient rule far
 * below float32's noise, checks the engine operation by operation, folds constants, and runs objectives where no engine
 * is loaded (a web page).
 */

import { ShapeError } from "../errors.ts";
import { evaluateDim, type Node, optimize, type Program, programInputs, topologicalOrder } from "../tensor/index.ts";
import { bindInputs, checkTargets } from "./arguments.ts";
import type { Executable, Runtime, Value } from "./runtime.ts";

/** A dense row-major array. Integers and booleans are doubles here too. */
interface Dense {
  readonly dims: readonly number[];
  readonly data: Float64Array;
}

type Kernel = (node: Node, inputs: readonly Dense[], dims: readonly number[]) => Float64Array;

const count = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);

/** Distance in memory between neighbours along each axis. */
function stridesOf(dims: readonly number[]): number[] {
  const strides = new Array<number>(dims.length).fill(1);
  for (let i = dims.length - 2; i >= 0; i--) strides[i] = strides[i + 1]! * dims[i + 1]!;
  return strides;
}

/** Strides that read `from` as if it had been broadcast to `to`: 0 along repeated axes. */
function broadcastStrides(from: readonly number[], to: readonly number[]): number[] {
  const strides = stridesOf(from);
  return to.map((_, i) => {
    const at = i - (to.length - from.length);
    return at < 0 || from[at] === 1 ? 0 : strides[at]!;
  });
}

/** Calls `visit(i, position)` for every element i of an array of the given dims; position follows the given strides. */
function walk(dims: readonly number[], strides: readonly number[], visit: (i: number, position: number) => void): void {
  const index = new Array<number>(dims.length).fill(0);
  const total = count(dims);
  let position = 0;
  for (let i = 0; i < total; i++) {
    visit(i, position);
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      position += strides[axis]!;
      if (++index[axis]! < dims[axis]!) break;
      position -= strides[axis]! * dims[axis]!;
      index[axis] = 0;
    }
  }
}

/** The elements of x in the order of an array with `dims` that reads x by `strides`. */
function readStrided(x: Dense, dims: readonly number[], strides: readonly number[], offset = 0): Float64Array {
  const out = new Float64Array(count(dims));
  walk(dims, strides, (i, position) => {
    out[i] = x.data[offset + position]!;
  });
  return out;
}

const spread = (x: Dense, dims: readonly number[]) => readStrided(x, dims, broadcastStrides(x.dims, dims));

const unary =
  (f: (x: number) => number): Kernel =>
  (_, [x]) =>
    x!.data.map(f);

const binary =
  (f: (a: number, b: number) => number): Kernel =>
  (_, [a, b], dims) => {
    const right = spread(b!, dims);
    return spread(a!, dims).map((x, i) => f(x, right[i]!));
  };

/** The error function to double precision: its Taylor series near 0, a continued fraction of erfc elsewhere. */
function erf(x: number): number {
  const magnitude = Math.abs(x);
  if (magnitude > 6) return Math.sign(x);
  const square = x * x;
  if (magnitude < 2.5) {
    let term = x;
    let total = x;
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(total); n++) {
      term *= -square / n;
      total += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * total;
  }
  let fraction = magnitude;
  for (let n = 60; n >= 1; n--) fraction = magnitude + n / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-square) / Math.sqrt(Math.PI) / fraction);
}

/** Applies a function to each row along the last axis. */
const byRow =
  (width: (n: number) => number, f: (row: Float64Array, out: Float64Array) => void): Kernel =>
  (_, [x]) => {
    const n = x!.dims.at(-1)!;
    const rows = count(x!.dims.slice(0, -1));
    const out = new Float64Array(rows * width(n));
    for (let r = 0; r < rows; r++) {
      f(x!.data.subarray(r * n, (r + 1) * n), out.subarray(r * width(n), (r + 1) * width(n)));
    }
    return out;
  };

const maximum = (row: Float64Array): number => row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);

const matmul: Kernel = (node, [a, b], dims) => {
  const { transA, transB, alpha } = node.attributes as { transA: boolean; transB: boolean; alpha: number };
  const [rows, columns] = [dims.at(-2)!, dims.at(-1)!];
  const inner = a!.dims.at(transA ? -2 : -1)!;
  const [rowStep, innerStepA] = transA ? [1, rows] : [inner, 1];
  const [innerStepB, columnStep] = transB ? [1, inner] : [columns, 1];
  const batches = count(dims.slice(0, -2));
  const batchStepB = b!.dims.length > 2 ? inner * columns : 0;
  const out = new Float64Array(count(dims));
  for (let batch = 0; batch < batches; batch++) {
    const startA = batch * rows * inner;
    const startB = batch * batchStepB;
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) {
        let total = 0;
        for (let k = 0; k < inner; k++) {
          total += a!.data[startA + i * rowStep + k * innerStepA]! * b!.data[startB + k * innerStepB + j * columnStep]!;
        }
        out[(batch * rows + i) * columns + j] = alpha * total;
      }
    }
  }
  return out;
};

function checkRow(id: number, rows: number): void {
  if (id < 0 || id >= rows) throw new ShapeError(`there is no row ${id} in a table of ${rows} rows`);
}

const kernels: Readonly<Record<string, Kernel>> = {
  neg: unary((x) => -x),
  exp: unary(Math.exp),
  log: unary(Math.log),
  sqrt: unary(Math.sqrt),
  tanh: unary(Math.tanh),
  erf: unary(erf),
  abs: unary(Math.abs),
  sigmoid: unary((x) => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)))),
  softplus: unary((x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))),
  add: binary((a, b) => a + b),
  sub: binary((a, b) => a - b),
  mul: binary((a, b) => a * b),
  div: binary((a, b) => a / b),
  maximum: binary(Math.max),
  greaterOrEqual: binary((a, b) => (a >= b ? 1 : 0)),
  where: (_, [condition, a, b], dims) => {
    const [yes, no] = [spread(a!, dims), spread(b!, dims)];
    return spread(condition!, dims).map((c, i) => (c !== 0 ? yes[i]! : no[i]!));
  },

  reduceSum: (node, [x], dims) => {
    const axes = node.attributes.axes as readonly number[];
    const kept = x!.dims.map((dim, i) => (axes.includes(i) ? 1 : dim));
    const out = new Float64Array(count(dims));
    const targets = broadcastStrides(kept, x!.dims);
    walk(x!.dims, targets, (i, position) => {
      out[position]! += x!.data[i]!;
    });
    return out;
  },
  reduceMax: byRow(
    () => 1,
    (row, out) => {
      out[0] = maximum(row);
    },
  ),
  softmax: byRow(
    (n) => n,
    (row, out) => {
      const largest = maximum(row);
      const total = row.reduce((sum, x) => sum + Math.exp(x - largest), 0);
      row.forEach((x, i) => {
        out[i] = Math.exp(x - largest) / total;
      });
    },
  ),

  matmul,

  gather: (_, [table, ids], dims) => {
    const width = count(table!.dims.slice(1));
    const out = new Float64Array(count(dims));
    ids!.data.forEach((id, i) => {
      checkRow(id, table!.dims[0]!);
      out.set(table!.data.subarray(id * width, (id + 1) * width), i * width);
    });
    return out;
  },
  scatterAdd: (_, [, ids, values], dims) => {
    const width = count(dims.slice(1));
    const out = new Float64Array(count(dims));
    ids!.data.forEach((id, i) => {
      checkRow(id, dims[0]!);
      for (let k = 0; k < width; k++) out[id * width + k]! += values!.data[i * width + k]!;
    });
    return out;
  },

  toFloat: (_, [x]) => x!.data,
  rowIndices: (_, [x, after]) => Float64Array.from({ length: x!.dims[0]! }, (_, i) => i + (after?.dims[0] ?? 0)),

  reshape: (_, [x]) => x!.data,
  transpose: (node, [x], dims) => {
    const permutation = node.attributes.permutation as readonly number[];
    const strides = stridesOf(x!.dims);
    return readStrided(
      x!,
      dims,
      permutation.map((axis) => strides[axis]!),
    );
  },
  slice: (node, [x], dims) => {
    const { axis, start } = node.attributes as { axis: number; start: number };
    const strides = stridesOf(x!.dims);
    return readStrided(x!, dims, strides, start * strides[axis]!);
  },
  pad: (node, [x], dims) => {
    const { axis, before } = node.attributes as { axis: number; before: number };
    const out = new Float64Array(count(dims));
    const strides = stridesOf(dims);
    walk(x!.dims, strides, (i, position) => {
      out[before * strides[axis]! + position] = x!.data[i]!;
    });
    return out;
  },
  concat: (node, parts, dims) => {
    const axis = node.attributes.axis as number;
    const out = new Float64Array(count(dims));
    const strides = stridesOf(dims);
    let start = 0;
    for (const part of parts) {
      walk(part.dims, strides, (i, position) => {
        out[start * strides[axis]! + position] = part.data[i]!;
      });
      start += part.dims[axis]!;
    }
    return out;
  },
  broadcastTo: (_, [x], dims) => spread(x!, dims),
};

function evaluate(node: Node, inputs: readonly Dense[], dims: readonly number[]): Float64Array {
  const kernel = kernels[node.op];
  if (!kernel) throw new Error(`the interpreter has no kernel for the operation "${node.op}"`);
  return kernel(node, inputs, dims);
}

/** Evaluates a primitive operation on constants: its values, row-major. */
export function evaluateNode(node: Node): Float64Array {
  const inputs = node.inputs.map((t) => ({ dims: t.shape as number[], data: Float64Array.from(t.node.literal!) }));
  return evaluate(node, inputs, node.outputs[0]!.shape as number[]);
}

const FLOATS = [Float32Array, Float64Array];

function fill(target: Value, { data }: Dense): Value {
  if (target.data instanceof BigInt64Array) target.data.set(Array.from(data, BigInt));
  else target.data.set(data);
  return target;
}

/** Runs programs in float64. Outputs are Float64Array. */
export const interpreter: Runtime = {
  async compile(program: Program): Promise<Executable> {
    const { outputs } = optimize(program, { fused: new Set() });
    const order = topologicalOrder(Object.values(outputs));
    const inputs = programInputs({ outputs });

    const run = (
      given: Readonly<Record<string, Value>>,
      into: Readonly<Record<string, Value>> = {},
    ): Record<string, Value> => {
      const sizes = bindInputs(inputs, given, FLOATS);
      checkTargets(new Map(Object.entries(outputs)), into, sizes, FLOATS);
      const values = new Map<Node, Dense>();
      for (const node of order) {
        const dims = node.outputs[0]!.shape.map((dim) => evaluateDim(dim, sizes));
        const data =
          node.op === "input"
            ? Float64Array.from(given[node.attributes.name as string]!.data as Float64Array, Number)
            : node.op === "constant"
              ? Float64Array.from(node.literal!)
              : evaluate(
                  node,
                  node.inputs.map((t) => values.get(t.node)!),
                  dims,
                );
        values.set(node, { dims, data });
      }
      return Object.fromEntries(
        Object.entries(outputs).map(([name, t]) => {
          const value = values.get(t.node)!;
          return [name, into[name] ? fill(into[name], value) : value];
        }),
      );
    };

    return {
      inputNames: [...inputs.keys()],
      run: async (given, into) => run(given, into),
      async [Symbol.asyncDispose]() {},
    };
  },
};
