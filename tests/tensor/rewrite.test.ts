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
