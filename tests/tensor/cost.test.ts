/** What a program costs, by hand. */

import { describe, expect, it } from "vitest";
import { add, gradients, input, matmul, programCost, reduceSum, reshape, silu } from "../../src/tensor/index.ts";

const fused = { fused: new Set<string>() };
const sizes = new Map([["T", 10]]);

describe("operations", () => {
  it("of a product are two for each number that is multiplied", () => {
    const y = matmul(input("a", ["T", 3]), input("b", [3, 5]));
    expect(programCost({ outputs: { y } }, fused).flops(sizes)).toBe(2 * 10 * 3 * 5);
  });

  it("of a product are the same for operands with exchanged dimensions, and as many for each of a batch", () => {
    const y = matmul(input("a", [4, 3, "T"]), input("b", [4, 5, 3]), { transA: true, transB: true });
    expect(programCost({ outputs: { y } }, fused).flops(sizes)).toBe(4 * 2 * 10 * 3 * 5);
  });

  it("of a step are three times the forward pass's where both operands are trained", () => {
    const [x, w] = [input("x", ["T", 3]), input("w", [3, 5])];
    const loss = reduceSum(silu(matmul(x, w)));
    const [gx, gw] = gradients(loss, [x, w]);
    expect(programCost({ outputs: { loss, gx: gx!, gw: gw! } }, fused).flops(sizes)).toBe(3 * 2 * 10 * 3 * 5);
  });

  it("are counted by the sizes of their operands", () => {
    const w = input("w", [3, 3]);
    const first = matmul(input("x", ["T", 3]), w);
    const y = matmul(matmul(first, w), w, { transB: true });
    const products = programCost({ outputs: { y } }, fused).products(sizes);
    expect(products.map(({ a, b, transB, count }) => [a, b, transB, count])).toEqual([
      [[10, 3], [3, 3], false, 2],
      [[10, 3], [3, 3], true, 1],
    ]);
    expect(products.every(({ flops }) => flops === 180)).toBe(true);
  });
});

describe("memory", () => {
  const x = input("x", ["T", 4]);
  const peak = (y: Parameters<typeof reshape>[0]) => programCost({ outputs: { y } }, fused).peakBytes(sizes);

  it("of a chain is two of its values at a time, inputs not counted", () => {
    const link = (t: typeof x) => matmul(t, input("w", [4, 4]));
    expect(peak(link(x))).toBe(160);
    expect(peak(link(link(x)))).toBe(320);
    expect(peak(link(link(link(link(x)))))).toBe(320);
  });

  it("keeps what is still needed", () => {
    const first = matmul(x, input("w", [4, 4]));
    const later = matmul(matmul(matmul(first, input("a", [4, 4])), input("b", [4, 4])), input("c", [4, 4]));
    expect(peak(add(first, later))).toBe(3 * 160);
  });

  it("of another view of a value is none", () => {
    const value = matmul(x, input("w", [4, 4]));
    expect(peak(reshape(value, [4, "T"]))).toBe(160);
    expect(peak(matmul(input("v", [4, 4]), reshape(value, [4, "T"])))).toBe(320);
  });

  it("grows with the sizes that are left open", () => {
    const cost = programCost({ outputs: { y: matmul(x, x, { transB: true }) } }, fused);
    expect(cost.peakBytes(new Map([["T", 100]]))).toBe(100 * cost.peakBytes(sizes));
  });
});
