import { describe, expect, it } from "vitest";
import { interpreter } from "../../src/runtime/interpreter.ts";
import * as t from "../../src/tensor/index.ts";

const x = t.input("x", ["T", 3]);
const w = t.input("w", [4, 3]);
const gain = t.input("gain", [3]);
const hidden = t.rmsNorm(x, gain, 1e-5);
const output = t.reduceSum(t.mul(t.silu(t.matmul(hidden, w, { transB: true })), 2));

const values = {
  x: { dims: [2, 3], data: Float32Array.from({ length: 6 }, (_, i) => Math.sin(3 * i)) },
  w: { dims: [4, 3], data: Float32Array.from({ length: 12 }, (_, i) => Math.cos(2 * i)) },
  gain: { dims: [3], data: Float32Array.of(1, 0.5, 2) },
};

async function evaluate(slopes: readonly t.Tensor[]): Promise<number[][]> {
  const outputs = Object.fromEntries(slopes.map((slope, i) => [`slope${i}`, slope]));
  await using program = await interpreter.compile({ outputs: { output, ...outputs } });
  const results = await program.run(values);
  return slopes.map((_, i) => Array.from(results[`slope${i}`]!.data as Float64Array));
}

/** How many nodes of an operation the forward pass and the gradient have together. */
function count(op: string, slopes: readonly t.Tensor[]): number {
  const outputs = Object.fromEntries([output, ...slopes].map((tensor, i) => [String(i), tensor]));
  const optimized = t.optimize({ outputs }, { fused: new Set(["rmsNorm", "silu"]) });
  return t.topologicalOrder(Object.values(optimized.outputs)).filter((node) => node.op === op).length;
}

describe("recomputation in the backward pass", () => {
  const kept = t.gradients(output, [x, w, gain]);
  const recomputed = t.gradients(output, [x, w, gain], { recompute: ({ op }) => op === "rmsNorm" || op === "silu" });

  it("changes no gradient", async () => {
    expect(await evaluate(recomputed)).toEqual(await evaluate(kept));
  });

  it("computes the named operations a second time, and nothing else", () => {
    expect([count("rmsNorm", kept), count("rmsNorm", recomputed)]).toEqual([1, 2]);
    expect(count("matmul", recomputed)).toBe(count("matmul", kept));
  });

  it("lowers what is recomputed apart from the forward pass", () => {
    const outputs = { output, slope: recomputed[1]! };
    const lowered = t.optimize({ outputs }, { fused: new Set() });
    const roots = t.topologicalOrder(Object.values(lowered.outputs)).filter((node) => node.op === "sqrt");
    expect(roots.length).toBe(2);
  });
});
