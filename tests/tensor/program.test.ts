import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Random } from "../../src/random.ts";
import { evaluateNode } from "../../src/runtime/interpreter.ts";
import type { Node, Program, Tensor } from "../../src/tensor/index.ts";
import * as t from "../../src/tensor/index.ts";
import { arrayOf, countOf, evaluate, expectClose, numbers, operationCounts } from "../support/programs.ts";

const ROWS = 3;
const x = t.input("x", ["T", 4]);
const y = t.input("y", ["T", 4]);
const weights = t.input("weights", [4, 4]);
const random = new Random(7);
const randomArray = (...dims: number[]) =>
  arrayOf(
    dims,
    Array.from({ length: countOf(dims) }, () => 2 * random.next() - 1),
  );
const inputs = {
  x: randomArray(ROWS, 4),
  y: randomArray(ROWS, 4),
  weights: randomArray(4, 4),
};

/** One more value of shape [T, 4], or of one that broadcasts to it, from two that exist. */
const steps: readonly ((a: Tensor, b: Tensor) => Tensor)[] = [
  (a, b) => t.add(a, b),
  (a, b) => t.mul(a, b),
  (a, b) => t.sub(b, a),
  (a) => t.tanh(a),
  (a) => t.silu(a),
  (a) => t.sigmoid(t.neg(a)),
  (a) => t.constant(0.5 * a.shape.length),
  () => t.constant([1, 2, 3, 4], [4]),
  (a) => t.mul(t.constant([1, -1, 0.5, 0.25], [4]), t.sub(a, t.constant(2))),
  (a) => (a.shape.length === 2 ? t.softmax(a) : t.add(a, t.constant([1, 2, 3, 4], [4]))),
  (a) => (a.shape.length === 2 ? t.matmul(a, weights, { alpha: 0.25 }) : t.abs(a)),
  (a) => (a.shape.length === 2 ? t.rmsNorm(a, t.constant([1, 2, 1, 2], [4]), 1e-3) : t.neg(a)),
  (a) => (a.shape.length === 2 ? t.pad(t.slice(a, 1, 1, 3), 1, 1, 1) : t.tanh(a)),
  (a, b) => (a.shape.length === 2 ? t.attend(t.matmul(a, x, { transB: true }), y) : t.maximum(a, b)),
];

const programs: fc.Arbitrary<Program> = fc
  .array(fc.tuple(fc.nat(steps.length - 1), fc.nat(), fc.nat()), { minLength: 1, maxLength: 25 })
  .map((choices) => {
    const pool: Tensor[] = [x, y];
    for (const [step, a, b] of choices) pool.push(steps[step]!(pool[a % pool.length]!, pool[b % pool.length]!));
    const [first, second] = pool.slice(-2);
    return { outputs: { first: first!, second: second! } };
  });

/** Evaluates a program as it stands, node by node, without rebuilding its graph. */
function evaluatePlainly(program: Program): Record<string, number[]> {
  const values = new Map<Node, Tensor[]>();
  const ofNode = (node: Node): Tensor[] => {
    if (node.op === "input") {
      const given = inputs[node.attributes.name as keyof typeof inputs];
      return [t.constant(numbers(given), given.dims)];
    }
    if (node.op === "constant") return [new t.Tensor(node)];
    const moved = { ...node, inputs: node.inputs.map((input) => values.get(input.node)![input.index]!) };
    const decompose = t.decompositions[node.op];
    if (decompose) return decompose(asConcrete(moved)).map(ofTensor);
    const shape = concrete(node.outputs[0]!.shape);
    return [t.constant(evaluateNode(asConcrete(moved)), shape)];
  };
  const ofTensor = (tensor: Tensor): Tensor => {
    for (const node of t.topologicalOrder([tensor], values)) values.set(node, ofNode(node));
    return values.get(tensor.node)![tensor.index]!;
  };
  return Object.fromEntries(
    Object.entries(program.outputs).map(([name, tensor]) => [name, Array.from(ofTensor(tensor).node.literal!)]),
  );
}

const concrete = (shape: readonly t.Dim[]): number[] => shape.map((dim) => t.evaluateDim(dim, new Map([["T", ROWS]])));

const asConcrete = (node: Node): Node => ({
  ...node,
  outputs: node.outputs.map(({ shape, dtype }) => ({ shape: concrete(shape), dtype })),
});

const folding = { fused: t.onnxFused, fold: evaluateNode };

describe("optimize", () => {
  it("changes no result of a random program, with and without fused operations and folding", async () => {
    await fc.assert(
      fc.asyncProperty(programs, async (program) => {
        const expected = evaluatePlainly(program);
        for (const options of [{ fused: new Set<string>() }, folding]) {
          const results = await evaluate(t.optimize(program, options).outputs, inputs);
          for (const name of ["first", "second"]) expectClose(results[name]!, expected[name]!, 1e-12, { what: name });
        }
      }),
      { numRuns: 60 },
    );
  });

  it("leaves nothing to do a second time, and never adds a node", () => {
    fc.assert(
      fc.property(programs, (program) => {
        const size = (p: Program) => t.topologicalOrder(Object.values(p.outputs)).length;
        const once = t.optimize(program, folding);
        expect(size(once)).toBe(size(t.optimize(once, folding)));
        expect(size(t.optimize(program, { fused: new Set(Object.keys(t.decompositions)) }))).toBeLessThanOrEqual(
          size(program),
        );
      }),
    );
  });

  const counts = (outputs: Record<string, Tensor>, options: t.OptimizeOptions = folding) =>
    operationCounts(Object.values(t.optimize({ outputs }, options).outputs));

  it("computes a subexpression that was written twice once", () => {
    const twice = () => t.tanh(t.mul(x, 3));
    expect(counts({ a: t.add(twice(), twice()), b: t.neg(twice()) })).toEqual({
      input: 1,
      constant: 1,
      mul: 1,
      tanh: 1,
      add: 1,
      neg: 1,
    });
  });

  it("tells operations with other attributes, inputs or constants apart", () => {
    expect(
      counts({ a: t.transpose(weights, [1, 0]), b: t.reduceSum(weights, [0]), c: t.reduceSum(weights, [1]) }),
    ).toEqual({ input: 1, transpose: 1, reduceSum: 2 });
    expect(counts({ a: t.sub(x, y), b: t.sub(y, x) })).toEqual({ input: 2, sub: 2 });
    const literals = [Infinity, -Infinity, NaN, 0, -0, 1];
    const kept = counts(Object.fromEntries(literals.map((value, i) => [`o${i}`, t.mul(x, value)])));
    expect(kept).toEqual({ input: 1, constant: literals.length, mul: literals.length });
  });

  it("drops what no output needs", () => {
    const [slopeX, slopeWeights] = t.gradients(t.reduceSum(t.tanh(t.matmul(x, weights))), [x, weights]);
    expect(counts({ slopeX: slopeX!, slopeWeights: slopeWeights! }).matmul).toBe(3);
    expect(counts({ slopeX: slopeX! }).matmul).toBe(2);
  });

  it("folds what is made of constants alone", () => {
    const table = t.constant([1, 2, 3, 4], [2, 2]);
    const folded = t.optimize({ outputs: { a: t.mul(x, t.reduceSum(t.exp(t.sub(table, 2)))) } }, folding);
    expect(operationCounts(Object.values(folded.outputs))).toEqual({ input: 1, constant: 1, mul: 1 });
    const constant = t.topologicalOrder([folded.outputs.a!]).find((node) => node.op === "constant")!;
    expectClose(constant.literal!, [Math.exp(-1) + 1 + Math.exp(1) + Math.exp(2)], 1e-15);
  });

  it("does not fold what would make the program's file grow", () => {
    const large = t.broadcastTo(t.constant(1), t.constant(new Float32Array(5000), [5000]));
    expect(counts({ a: large })).toEqual({ constant: 2, broadcastTo: 1 });
    const small = t.reduceSum(large);
    expect(counts({ a: small })).toEqual({ constant: 2, broadcastTo: 1, reduceSum: 1 });
  });

  it("turns fused operations that the runtime lacks into primitives", () => {
    const all = t.silu(t.rmsNorm(x, t.input("gain", [4]), 1e-5));
    expect(counts({ all })).toEqual({ input: 2, rmsNorm: 1, silu: 1 });
    const lowered = counts({ all }, { fused: new Set() });
    expect(lowered.rmsNorm ?? lowered.silu).toBeUndefined();
    expect(lowered).toMatchObject({ sqrt: 1, sigmoid: 1 });
  });

  it("computes a lowered operation's by-product once for the forward pass and the gradient", () => {
    const normalized = t.rmsNorm(x, t.input("gain", [4]), 1e-5);
    const [slope] = t.gradients(t.reduceSum(t.mul(normalized, normalized)), [x]);
    expect(counts({ normalized, slope: slope! }, { fused: new Set() }).sqrt).toBe(1);
    expect(counts({ normalized, slope: slope! }).rmsNorm).toBe(1);
  });
});

describe("a program's inputs", () => {
  it("may be made twice, and are one input then", () => {
    const outputs = { sum: t.add(t.input("a", ["T"]), t.input("a", ["T"])) };
    expect([...t.programInputs({ outputs }).keys()]).toEqual(["a"]);
  });

  it("may not differ under one name", () => {
    const outputs = { sum: t.add(t.input("a", ["T"]), t.reduceSum(t.input("a", ["S", 2]))) };
    expect(() => t.programInputs({ outputs })).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: two inputs are named "a": float32 [T] and float32 [S, 2]]`,
    );
  });
});
