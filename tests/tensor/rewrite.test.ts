import { describe, expect, it } from "vitest";
import { interpreter } from "../../src/runtime/interpreter.ts";
import * as t from "../../src/tensor/index.ts";

const wide = t.input("wide", ["R", 6]);
const scale = t.input("scale", ["R", 1]);
const table = t.input("table", [6, 2]);
const rows = t.input("rows", ["R", 2]);
const values = {
  wide: { dims: [3, 6], data: Float32Array.from({ length: 18 }, (_, i) => Math.sin(i)) },
  scale: { dims: [3, 1], data: Float32Array.of(0.5, -2, 3) },
  table: { dims: [6, 2], data: Float32Array.from({ length: 12 }, (_, i) => Math.cos(i)) },
  rows: { dims: [3, 2], data: Float32Array.of(1, 2, 3, 4, 5, 6) },
};

/** The operations that scale something as wide as the vocabulary. */
function wideScales(output: t.Tensor): number {
  const { outputs } = t.optimize({ outputs: { output } }, { fused: new Set() });
  return t.topologicalOrder(Object.values(outputs)).filter((n) => n.op === "mul" && n.outputs[0]!.shape[1] === 6)
    .length;
}

async function evaluate(output: t.Tensor): Promise<number[]> {
  await using program = await interpreter.compile({ outputs: { output } });
  return Array.from((await program.run(values)).output!.data as Float64Array);
}

describe("a scale of a product's rows", () => {
  it("moves behind the product when the result is narrower", async () => {
    const output = t.matmul(t.mul(wide, scale), table, { alpha: 2 });
    expect(wideScales(output)).toBe(0);
    const expected = await evaluate(t.matmul(t.add(t.mul(wide, scale), 0), table, { alpha: 2 }));
    (await evaluate(output)).forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i]!, 12);
    });
  });

  it("moves to the other side of a product over the rows when that is narrower", async () => {
    const output = t.matmul(t.mul(wide, scale), rows, { transA: true });
    expect(wideScales(output)).toBe(0);
    const expected = await evaluate(t.matmul(t.add(t.mul(wide, scale), 0), rows, { transA: true }));
    (await evaluate(output)).forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i]!, 12);
    });
  });

  it("stays where it is when moving it would save nothing, or when it scales columns", () => {
    const narrow = t.matmul(t.mul(rows, scale), table, { transB: true });
    expect(t.optimize({ outputs: { narrow } }, { fused: new Set() }).outputs.narrow!.node.op).toBe("matmul");
    expect(wideScales(t.matmul(t.mul(wide, t.input("columns", [6])), table))).toBe(1);
  });
});

describe("the gradient of a tensor that is used in slices", () => {
  const x = t.input("x", ["R", 6]);
  const weights = t.input("weights", ["R", 6]);
  const given = { x: values.wide, weights: { dims: [3, 6], data: Float32Array.from({ length: 18 }, (_, i) => i) } };
  /** The gradient of the products of x's slices with those of the weights, every second one negative. */
  const gradientOf = (bounds: readonly (readonly [number, number])[]) => {
    const terms = bounds.map(([start, end], i) => {
      const part = t.mul(t.slice(x, 1, start, end), t.slice(weights, 1, start, end));
      return t.reduceSum(i % 2 === 0 ? part : t.neg(part));
    });
    return t.gradients(
      terms.reduce((a, b) => t.add(a, b)),
      [x],
    )[0]!;
  };
  const operations = (output: t.Tensor) => {
    const { outputs } = t.optimize({ outputs: { output } }, { fused: new Set() });
    return t.topologicalOrder(Object.values(outputs)).map(({ op }) => op);
  };
  const expected = (bounds: readonly (readonly [number, number])[]) =>
    Array.from(given.weights.data, (weight, at) =>
      bounds
        .map(([start, end], i) => (at % 6 < start || at % 6 >= end ? 0 : i % 2 === 0 ? weight : -weight))
        .reduce((a, b) => a + b),
    );

  it.each([
    { slices: "0-2 2-3 3-6", says: "tile it: their gradients are joined", pads: 0, adds: 0 },
    { slices: "3-6 0-2 2-3", says: "tile it in another order: joined too", pads: 0, adds: 0 },
    { slices: "1-2 2-4", says: "leave a rest: joined, with zeros there", pads: 1, adds: 0 },
    { slices: "0-2 3-6", says: "have a gap: added", pads: 2, adds: 1 },
    { slices: "0-4 3-6", says: "overlap: added", pads: 2, adds: 1 },
  ])("$slices $says", async ({ slices, pads, adds }) => {
    const bounds = slices.split(" ").map((slice) => slice.split("-").map(Number) as [number, number]);
    const output = gradientOf(bounds);
    const made = operations(output);
    expect(made.filter((op) => op === "pad")).toHaveLength(pads);
    expect(made.filter((op) => op === "add")).toHaveLength(adds);
    await using program = await interpreter.compile({ outputs: { output } });
    const { data } = (await program.run(given)).output!;
    Array.from(data as Float64Array).forEach((value, i) => {
      expect(value).toBeCloseTo(expected(bounds)[i]!, 12);
    });
  });
});
