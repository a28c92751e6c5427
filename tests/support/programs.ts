/** What the tests of tensor programs share: values from a seed, running a program once, comparing numbers. */

import { expect } from "vitest";
import { interpreter } from "../../src/runtime/interpreter.ts";
import type { Runtime, Value } from "../../src/runtime/runtime.ts";
import { type DType, type Tensor, topologicalOrder } from "../../src/tensor/index.ts";

export const countOf = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);

/** A value of float32, or of int64 where `dtype` says so. */
export function arrayOf(dims: readonly number[], data: ArrayLike<number>, dtype: DType = "float32"): Value {
  return { dims, data: dtype === "int64" ? BigInt64Array.from(Array.from(data, BigInt)) : Float32Array.from(data) };
}

export const numbers = (value: Value): number[] => Array.from(value.data, Number);

/** Compiles, runs once and disposes: each output's values, row-major. */
export async function evaluate(
  outputs: Readonly<Record<string, Tensor>>,
  inputs: Readonly<Record<string, Value>> = {},
  runtime: Runtime = interpreter,
): Promise<Record<string, number[]>> {
  await using executable = await runtime.compile({ outputs });
  const results = await executable.run(inputs);
  return Object.fromEntries(Object.entries(results).map(([name, value]) => [name, numbers(value)]));
}

/** How many nodes of each operation the tensors need. */
export function operationCounts(tensors: Iterable<Tensor>): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { op } of topologicalOrder(tensors)) counts[op] = (counts[op] ?? 0) + 1;
  return counts;
}

/** Fails unless all numbers agree within `relative` of the larger of `floor` and the greatest magnitude expected. */
export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  relative: number,
  { floor = 1, what = "values" } = {},
): void {
  expect(actual.length, `number of ${what}`).toBe(expected.length);
  const finite = Array.from(expected).filter(Number.isFinite);
  const scale = finite.reduce((a, b) => Math.max(a, Math.abs(b)), floor);
  for (let i = 0; i < expected.length; i++) {
    const [x, y] = [actual[i]!, expected[i]!];
    if (Object.is(x, y) || Math.abs(x - y) <= relative * scale) continue;
    expect.fail(`${what}[${i}] is ${x}, expected ${y}: ${Math.abs(x - y) / scale} of the scale ${scale}`);
  }
}
