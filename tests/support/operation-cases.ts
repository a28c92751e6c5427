/**
 * Every operation with every variant of its attributes, as small programs over random values: the gradient rules are
 * checked on them, and the engine against the interpreter.
 */

import { Random } from "../../src/random.ts";
import type { Value } from "../../src/runtime/runtime.ts";
import type { Dim, Tensor } from "../../src/tensor/index.ts";
import * as t from "../../src/tensor/index.ts";
import { arrayOf, countOf } from "./programs.ts";

/** An input of a case: its shape, letters being sizes drawn at random, and where its values lie. */
interface CaseInput {
  readonly shape: readonly Dim[];
  /** "spread": in -2 to 2, never 0 and never equal to a value of another input. "positive": 0.5 to 2. Or row ids below a number. */
  readonly values: "spread" | "positive" | { readonly below: number };
  /** It has no gradient: it is compared, read for its shape alone, or a table of the model. */
  readonly fixed?: true;
}

type Inputs = Readonly<Record<string, Tensor>>;

export interface OperationCase {
  readonly title: string;
  readonly inputs: Readonly<Record<string, CaseInput>>;
  readonly build: (inputs: Inputs) => Tensor;
}

const spread = (...shape: Dim[]): CaseInput => ({ shape, values: "spread" });
const positive = (...shape: Dim[]): CaseInput => ({ shape, values: "positive" });
const ids = (length: Dim, below: number): CaseInput => ({ shape: [length], values: { below }, fixed: true });
const fixed = (given: CaseInput): CaseInput => ({ ...given, fixed: true });

const unary = (f: (x: Tensor) => Tensor, x = spread("B", "N")): OperationCase[] => [
  { title: "elementwise", inputs: { x }, build: ({ x }) => f(x!) },
];

const binary = (f: (a: Tensor, b: Tensor) => Tensor, kind = spread): OperationCase[] =>
  [
    { title: "of equal shapes", a: kind("B", "N"), b: kind("B", "N") },
    { title: "with a scalar on the left", a: kind(), b: kind("B", "N") },
    { title: "with a scalar on the right", a: kind("B", "N"), b: kind() },
    { title: "with a row on the right", a: kind("B", "N"), b: kind("N") },
    { title: "with a column on the left", a: kind("B", 1), b: kind("B", "N") },
    { title: "where both repeat", a: kind("B", 1, "N"), b: kind("M", 1) },
  ].map(({ title, a, b }) => ({ title, inputs: { a, b }, build: ({ a, b }: Inputs) => f(a!, b!) }));

function matmulCases(): OperationCase[] {
  const cases: OperationCase[] = [];
  for (const batch of [[], ["B"], ["B", "C"]]) {
    for (const shared of batch.length === 0 ? [false] : [false, true]) {
      for (const [transA, transB] of [
        [false, false],
        [true, false],
        [false, true],
        [true, true],
      ] as const) {
        const sides = `${transA ? "A^T" : "A"} ${transB ? "B^T" : "B"}`;
        const alpha = transA === transB ? 1 : 0.75;
        cases.push({
          title: `${alpha} ${sides}, batch [${batch}]${shared ? ", one B for all" : ""}`,
          inputs: {
            a: spread(...batch, ...(transA ? ["K", "M"] : ["M", "K"])),
            b: spread(...(shared ? [] : batch), ...(transB ? ["N", "K"] : ["K", "N"])),
          },
          build: ({ a, b }) => t.matmul(a!, b!, { transA, transB, alpha }),
        });
      }
    }
  }
  return cases;
}

const reductions: OperationCase[] = [[0], [1], [2], [-1], [0, 2], [1, 2], [2, 0], undefined].flatMap((axes) =>
  [false, true].map((keepDims) => ({
    title: `over ${axes ? `axes ${axes}` : "all axes"}${keepDims ? ", kept" : ""}`,
    inputs: { x: spread("B", "M", "N") },
    build: ({ x }) => t.reduceSum(x!, axes, { keepDims }),
  })),
);

const along = (size: number, axis: number): Dim[] => (["B", "N"] as Dim[]).toSpliced(axis, 0, size);

export const operationCases: Readonly<Record<string, readonly OperationCase[]>> = {
  neg: unary(t.neg),
  exp: unary(t.exp),
  log: unary(t.log, positive("B", "N")),
  sqrt: unary(t.sqrt, positive("B", "N")),
  tanh: unary(t.tanh),
  erf: unary(t.erf),
  abs: unary(t.abs),
  sigmoid: unary(t.sigmoid),
  softplus: unary(t.softplus),
  silu: unary(t.silu),
  swiglu: [
    {
      title: "elementwise",
      inputs: { gate: spread("B", "N"), up: spread("B", "N") },
      build: ({ gate, up }) => t.swiglu(gate!, up!),
    },
  ],
  gelu: unary(t.gelu),
  geluTanh: unary(t.geluTanh),
  geglu: [
    {
      title: "elementwise",
      inputs: { gate: spread("B", "N"), up: spread("B", "N") },
      build: ({ gate, up }) => t.geglu(gate!, up!),
    },
  ],
  add: binary(t.add),
  sub: binary(t.sub),
  mul: binary(t.mul),
  div: binary(t.div, positive),
  maximum: binary(t.maximum),
  greaterOrEqual: binary((a, b) => t.where(t.greaterOrEqual(a, b), 1, 0)),
  toFloat: [{ title: "of ids", inputs: { ids: ids("N", 9) }, build: ({ ids }) => t.toFloat(ids!) }],
  rowIndices: [
    { title: "of a matrix", inputs: { x: spread("B", "N") }, build: ({ x }) => t.toFloat(t.rowIndices(x!)) },
    {
      title: "counted on",
      inputs: { x: spread("B", "N"), y: spread("N") },
      build: ({ x, y }) => t.toFloat(t.rowIndices(x!, y!)),
    },
  ],
  where: [
    { title: "of equal shapes", c: spread("B", "N"), a: spread("B", "N"), b: spread("B", "N") },
    { title: "with a row and a scalar", c: spread("B", "N"), a: spread("N"), b: spread() },
    { title: "with a condition that repeats", c: spread("N"), a: spread("B", 1), b: spread("B", "N") },
  ].map(({ title, c, a, b }) => ({
    title,
    inputs: { c: fixed(c), a, b },
    build: ({ c, a, b }) => t.where(t.greaterOrEqual(c!, 0), a!, b!),
  })),

  reduceSum: reductions,
  reduceMax: [{ title: "over the last axis", inputs: { x: spread("B", "M", "N") }, build: ({ x }) => t.reduceMax(x!) }],
  logCollision: [
    { title: "over the last axis", inputs: { x: spread("B", "M", "N") }, build: ({ x }) => t.logCollision(x!) },
  ],
  klDivergence: [
    {
      title: "over the last axis",
      inputs: { x: spread("B", "M", "N"), y: spread("B", "M", "N") },
      build: ({ x, y }) => t.klDivergence(x!, y!),
    },
  ],
  stopGradient: [
    // Its gradient is not its slope: a test of its own says what it is.
    { title: "forward", inputs: { x: fixed(spread("B", "N")) }, build: ({ x }) => t.stopGradient(x!) },
  ],
  logSumExp: [{ title: "over the last axis", inputs: { x: spread("B", "M", "N") }, build: ({ x }) => t.logSumExp(x!) }],
  softmax: [{ title: "over the last axis", inputs: { x: spread("B", "M", "N") }, build: ({ x }) => t.softmax(x!) }],

  matmul: matmulCases(),
  attend: [
    { title: "of one head", scores: spread("Q", "S"), values: spread("S", "D") },
    { title: "of many heads", scores: spread("H", "Q", "S"), values: spread("H", "S", "D") },
    { title: "of many heads over the same values", scores: spread("H", "Q", "S"), values: spread("S", "D") },
  ].map(({ title, scores, values }) => ({
    title,
    inputs: { scores, values },
    build: ({ scores, values }) => t.attend(scores!, values!),
  })),

  gather: [
    { title: "of rows", table: spread(4, "D") },
    { title: "of numbers", table: spread(4) },
    { title: "of matrices", table: spread(4, "D", 2) },
  ].map(({ title, table }) => ({
    title,
    inputs: { table, ids: ids("N", 4) },
    build: ({ table, ids }) => t.gather(table!, ids!),
  })),
  scatterAdd: [
    { title: "of rows", like: spread(3, "D"), values: spread("N", "D") },
    { title: "of numbers", like: spread(3), values: spread("N") },
  ].map(({ title, like, values }) => ({
    title,
    inputs: { like: fixed(like), ids: ids("N", 3), values },
    build: ({ like, ids, values }) => t.scatterAdd(like!, ids!, values!),
  })),

  reshape: [
    { title: "to fewer axes", shape: [t.product(["B", "M"]), "N"] },
    { title: "to other axes", shape: ["N", "M", "B"] },
    { title: "to one axis", shape: [t.product(["B", "M", "N"])] },
  ].map(({ title, shape }) => ({
    title,
    inputs: { x: spread("B", "M", "N") },
    // The letters of a case may stand for numbers: the wanted shape is then known only from x.
    build: ({ x }) => {
      const sizes: Record<string, Dim> = { B: x!.shape[0]!, M: x!.shape[1]!, N: x!.shape[2]! };
      return t.reshape(
        x!,
        shape.map((dim) => t.product(t.termsOf(dim)[0]!.names.map((name) => sizes[name]!))),
      );
    },
  })),
  transpose: [
    [1, 0, 2],
    [0, 2, 1],
    [2, 0, 1],
    [1, 2, 0],
  ].map((permutation) => ({
    title: `by ${permutation}`,
    inputs: { x: spread("B", "M", "N") },
    build: ({ x }) => t.transpose(x!, permutation),
  })),
  slice: [0, 1, 2].flatMap((axis) =>
    [
      [0, 2],
      [1, 4],
      [3, 5],
    ].map(([start, end]) => ({
      title: `${start} to ${end} of axis ${axis}`,
      inputs: { x: spread(...along(5, axis)) },
      build: ({ x }: Inputs) => t.slice(x!, axis, start!, end!),
    })),
  ),
  pad: [0, 1, 2].flatMap((axis) =>
    [
      [2, 0],
      [0, 1],
      [1, 3],
    ].map(([before, after]) => ({
      title: `${before} before and ${after} after on axis ${axis}`,
      inputs: { x: spread(...along(2, axis)) },
      build: ({ x }: Inputs) => t.pad(x!, axis, before!, after!),
    })),
  ),
  concat: [0, 1, 2].map((axis) => ({
    title: `along axis ${axis}`,
    inputs: { a: spread(...along(2, axis)), b: spread(...along(1, axis)), c: spread(...along(3, axis)) },
    build: ({ a, b, c }) => t.concat([a!, b!, c!], axis),
  })),
  broadcastTo: [
    { title: "of a column", x: spread("B", 1) },
    { title: "of a row", x: spread("N") },
    { title: "of a scalar", x: spread() },
  ].map(({ title, x }) => ({
    title,
    inputs: { x, like: fixed(spread("B", "N")) },
    build: ({ x, like }) => t.broadcastTo(x!, like!),
  })),

  rmsNorm: [
    { title: "of vectors", x: spread(4) },
    { title: "of rows", x: spread("B", 6) },
    { title: "of rows in batches", x: spread("B", "M", 3) },
  ].map(({ title, x }) => ({
    title,
    inputs: { x, weight: spread(x.shape.at(-1)!) },
    build: ({ x, weight }) => t.rmsNorm(x!, weight!, 1e-3),
  })),
  rope: [false, true].flatMap((inverse) =>
    [1, 3].map((heads) => ({
      title: `of ${heads} heads${inverse ? ", back" : ""}`,
      inputs: { x: spread("B", heads * 4), positions: ids("B", 5), cos: fixed(spread(5, 2)), sin: fixed(spread(5, 2)) },
      build: ({ x, positions, cos, sin }: Inputs) =>
        t.rope(x!, positions!, { cos: cos!, sin: sin! }, { heads, inverse }),
    })),
  ),
};

/**
 * Operations without a gradient rule: a comparison does not change with its inputs, whole numbers do not change by little,
 * and the largest value of a row serves to keep exponentials in range, where it cancels.
 */
export const withoutGradient = ["greaterOrEqual", "reduceMax", "rowIndices", "toFloat"];

/** A case's result and the gradients of its sum of squares. */
export function outputsOf(op: string, test: OperationCase): Record<string, Tensor> {
  const inputs = caseTensors(test);
  const result = test.build(inputs);
  const trained = Object.keys(inputs).filter((name) => !test.inputs[name]!.fixed && !withoutGradient.includes(op));
  const slopes = t.gradients(
    t.reduceSum(t.mul(result, result)),
    trained.map((name) => inputs[name]!),
  );
  return { result, ...Object.fromEntries(trained.map((name, i) => [`gradient of ${name}`, slopes[i]!])) };
}

/** The inputs of a case as tensors, with names for unknown sizes or with known `sizes`. */
export function caseTensors({ inputs }: OperationCase, sizes?: ReadonlyMap<string, number>): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { shape, values }]) => [
      name,
      t.input(
        name,
        shape.map((dim) => (sizes ? t.evaluateDim(dim, sizes) : dim)),
        typeof values === "string" ? "float32" : "int64",
      ),
    ]),
  );
}

/** Sizes for the letters of a case, each 1 to 4, and values for its inputs; float values are exact in float32. */
export function drawCase({ inputs }: OperationCase, seed: number) {
  const random = new Random(seed);
  const whole = (below: number) => random.below(below);
  const names = Object.values(inputs).flatMap(({ shape }) => shape.flatMap(t.termsOf).flatMap((term) => term.names));
  const sizes = new Map([...new Set(names)].map((name) => [name, 1 + whole(4)]));
  const values = Object.entries(inputs).map(([name, { shape, values: kind }], index): [string, Value] => {
    const dims = shape.map((dim) => t.evaluateDim(dim, sizes));
    const draw = (): number => {
      if (typeof kind !== "string") return whole(kind.below);
      // Multiples of 1/16, shifted by another 1/64 for each input: no two inputs ever meet, and none meets 0.
      const step = (whole(24) + 8 + (index + 1) / 4) / 16;
      return kind === "positive" || random.next() < 0.5 ? step : -step;
    };
    const data = Array.from({ length: countOf(dims) }, draw);
    return [name, arrayOf(dims, data, typeof kind === "string" ? "float32" : "int64")];
  });
  return { sizes, values: Object.fromEntries(values) };
}
