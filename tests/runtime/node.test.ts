import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { nodeRuntime } from "../../src/runtime/node.ts";
import type { Value } from "../../src/runtime/runtime.ts";
import * as t from "../../src/tensor/index.ts";
import { describeEngines, interpreterEngine, nodeEngine, webEngine, webGpuPrograms } from "../support/engines.ts";
import { arrayOf, evaluate, numbers } from "../support/programs.ts";

const x = t.input("x", ["T", 2]);
const doubled = { outputs: { y: t.mul(x, 2) } };

const engines = [nodeEngine, webEngine(), webGpuPrograms, interpreterEngine];

describeEngines(engines, "what $name reads and writes", (runtime) => {
  it("is an array where it lies: a view into a larger one, as it is when the program runs", async () => {
    await using program = await runtime.compile(doubled);
    const buffer = Float32Array.from([9, 9, 1, 2, 3, 4, 9]);
    const view: Value = { dims: [2, 2], data: buffer.subarray(2, 6) };
    expect(numbers((await program.run({ x: view })).y!)).toEqual([2, 4, 6, 8]);
    buffer[3] = 50;
    expect(numbers((await program.run({ x: view })).y!)).toEqual([2, 100, 6, 8]);
  });

  it("may be an array of the caller's, again and again, and a view too", async () => {
    await using program = await runtime.compile(doubled);
    const buffer = new Float32Array(6).fill(-1);
    const y: Value = { dims: [2, 2], data: buffer.subarray(1, 5) };
    const first = await program.run({ x: arrayOf([2, 2], [1, 2, 3, 4]) }, { y });
    expect(first.y).toBe(y);
    expect([...buffer]).toEqual([-1, 2, 4, 6, 8, -1]);
    await program.run({ x: arrayOf([2, 2], [5, 6, 7, 8]) }, { y });
    expect([...buffer]).toEqual([-1, 10, 12, 14, 16, -1]);
  });

  it("is new for an output without an array: what an earlier run returned stays", async () => {
    await using program = await runtime.compile(doubled);
    const first = await program.run({ x: arrayOf([1, 2], [1, 2]) });
    await program.run({ x: arrayOf([1, 2], [3, 4]) });
    expect(numbers(first.y!)).toEqual([2, 4]);
  });

  it("may be an input, a constant, or one value under two names", async () => {
    const sum = t.add(x, 1);
    const outputs = { same: x, constant: t.constant([1, 2], [2]), one: sum, two: sum };
    const results = await evaluate(outputs, { x: arrayOf([1, 2], [1, 2]) }, runtime);
    expect(results).toEqual({ same: [1, 2], constant: [1, 2], one: [2, 3], two: [2, 3] });
  });

  it("may be more than the program needs: what other programs read is left alone", async () => {
    await using program = await runtime.compile(doubled);
    expect(program.inputNames).toEqual(["x"]);
    const results = await program.run({ x: arrayOf([1, 2], [1, 2]), weight: arrayOf([1], [1]) });
    expect(Object.keys(results)).toEqual(["y"]);
  });
});

describeEngines(engines, "$name refuses", (runtime) => {
  const table = t.input("table", [3, 2]);
  const rows = t.gather(table, t.input("ids", ["N"], "int64"));
  const program = { outputs: { y: t.mul(rows, t.input("scale", ["N", 1])) } };
  const good = {
    table: arrayOf([3, 2], [1, 2, 3, 4, 5, 6]),
    ids: arrayOf([2], [2, 0], "int64"),
    scale: arrayOf([2, 1], [1, 10]),
  };

  /** The message for inputs that differ from good ones, or for arrays that are to receive the outputs. */
  async function refusal(changed: Record<string, Value | undefined>, into?: Record<string, Value>): Promise<string> {
    await using executable = await runtime.compile(program);
    const inputs = Object.fromEntries(
      Object.entries({ ...good, ...changed }).filter((entry): entry is [string, Value] => entry[1] !== undefined),
    );
    const outcome = await executable.run(inputs, into).then(
      () => "nothing",
      (error: Error) => `${error.name}: ${error.message}`,
    );
    expect(numbers((await executable.run(good)).y!)).toEqual([5, 6, 10, 20]);
    return outcome;
  }

  it("an input that is missing", async () => {
    expect(await refusal({ ids: undefined })).toMatchInlineSnapshot(
      `"ShapeError: the program needs the input "ids", which was not given"`,
    );
  });

  it("an input of another shape than declared", async () => {
    expect(await refusal({ table: arrayOf([2, 3], [1, 2, 3, 4, 5, 6]) })).toMatchInlineSnapshot(
      `"ShapeError: input "table" must have the shape [3, 2], not [2, 3]"`,
    );
    expect(await refusal({ table: arrayOf([6], [1, 2, 3, 4, 5, 6]) })).toMatchInlineSnapshot(
      `"ShapeError: input "table" must have the shape [3, 2], not [6]"`,
    );
    expect(await refusal({ table: { dims: [3, 2], data: new Float32Array(5) } })).toMatchInlineSnapshot(
      `"ShapeError: input "table" has 5 values, which are not the shape [3, 2]"`,
    );
  });

  it("inputs that disagree on the size of a named dimension", async () => {
    expect(await refusal({ scale: arrayOf([3, 1], [1, 2, 3]) })).toMatchInlineSnapshot(
      `"ShapeError: input "scale" must have the shape [N, 1] with N = 2, not [3, 1]"`,
    );
  });

  it("an input of another type than declared", async () => {
    expect(await refusal({ ids: arrayOf([2], [2, 0]) })).toMatchInlineSnapshot(
      `"ShapeError: input "ids" is int64: its values must be a BigInt64Array, not a Float32Array"`,
    );
    expect(await refusal({ table: arrayOf([3, 2], [1, 2, 3, 4, 5, 6], "int64") })).toContain(
      'input "table" is float32',
    );
  });

  it("an array for an output that it does not have, or that does not fit", async () => {
    expect(await refusal({}, { z: arrayOf([1], [0]) })).toMatchInlineSnapshot(
      `"ShapeError: the program has no output "z": it has y"`,
    );
    expect(await refusal({}, { y: arrayOf([2], [0, 0]) })).toMatchInlineSnapshot(
      `"ShapeError: output "y" must have the shape [N, 2] with N = 2, not [2]"`,
    );
    expect(await refusal({}, { y: arrayOf([3, 2], [0, 0, 0, 0, 0, 0]) })).toMatchInlineSnapshot(
      `"ShapeError: output "y" must have the shape [N, 2] with N = 2, not [3, 2]"`,
    );
  });
});

describe("the interpreter", () => {
  it("takes doubles, which onnxruntime does not", async () => {
    const doubles: Value = { dims: [1, 2], data: Float64Array.of(0.1, 0.2) };
    expect((await evaluate(doubled.outputs, { x: doubles })).y).toEqual([0.2, 0.4]);
    await expect(evaluate(doubled.outputs, { x: doubles }, nodeRuntime)).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: input "x" is float32: its values must be a Float32Array, not a Float64Array]`,
    );
  });

  it("takes two unknown sizes in one dimension as soon as one of them is known", async () => {
    const outputs = { y: t.add(t.reduceSum(t.input("flat", ["S*T"])), t.reduceSum(t.input("row", ["S"]))) };
    const flat = arrayOf([6], [1, 1, 1, 1, 1, 1]);
    expect((await evaluate(outputs, { flat, row: arrayOf([3], [1, 1, 1]) })).y).toEqual([9]);
    await expect(
      evaluate(outputs, { flat, row: arrayOf([4], [1, 1, 1, 1]) }),
    ).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: input "flat" must have the shape [S*T] with S = 4, not [6]]`,
    );
  });
});

describe("a compiled program's life", () => {
  it("ends with `await using`", async () => {
    let program: Awaited<ReturnType<typeof nodeRuntime.compile>>;
    {
      await using scoped = await nodeRuntime.compile(doubled);
      program = scoped;
    }
    await expect(program.run({ x: arrayOf([1, 2], [1, 2]) })).rejects.toThrow("disposed");
  });

  it("ends with a call, also a second one", async () => {
    const program = await nodeRuntime.compile(doubled);
    await program[Symbol.asyncDispose]();
    await program[Symbol.asyncDispose]();
    await expect(program.run({ x: arrayOf([1, 2], [1, 2]) })).rejects.toThrow("disposed");
  });

  it("does not end with that of another program over the same arrays", async () => {
    const shared = arrayOf([1, 2], [1, 2]);
    const first = await nodeRuntime.compile(doubled);
    await using second = await nodeRuntime.compile(doubled);
    await first.run({ x: shared });
    await first[Symbol.asyncDispose]();
    expect(numbers((await second.run({ x: shared })).y!)).toEqual([2, 4]);
  });
});

describe("onnxruntime's memory", () => {
  /** Bytes that this process has in memory, after a collection where the test run allows one. */
  const resident = () => {
    globalThis.gc?.();
    return process.memoryUsage().rss;
  };

  it("does not grow over 10,000 runs, with new inputs and outputs in each", async () => {
    const weights = t.input("w", [2, 64]);
    await using program = await nodeRuntime.compile({ outputs: { y: t.matmul(x, weights) } });
    const w = arrayOf([2, 64], new Float32Array(128).fill(0.5));
    const run = () => program.run({ x: { dims: [16, 2], data: new Float32Array(32) }, w });
    for (let i = 0; i < 1000; i++) await run();
    const before = resident();
    for (let i = 0; i < 10_000; i++) await run();
    // Inputs and outputs of 10,000 runs are 42 MB: a leak of either would show.
    expect((resident() - before) / 1e6).toBeLessThan(30);
  });

  it("does not hold the programs that were disposed of", async () => {
    const build = async () => {
      await using program = await nodeRuntime.compile(doubled);
      await program.run({ x: arrayOf([1, 2], [1, 2]) });
    };
    for (let i = 0; i < 20; i++) await build();
    const before = resident();
    for (let i = 0; i < 200; i++) await build();
    expect((resident() - before) / 1e6).toBeLessThan(30);
  });

  it("does not take a copy of a large input", async () => {
    const size = 25_000_000;
    await using program = await nodeRuntime.compile({ outputs: { y: t.slice(t.input("large", [size]), 0, 3, 5) } });
    const large = arrayOf([size], new Float32Array(size).fill(1));
    const before = process.memoryUsage().rss;
    const { y } = await program.run({ large });
    expect(numbers(y!)).toEqual([1, 1]);
    expect((process.memoryUsage().rss - before) / 1e6).toBeLessThan(50); // a copy would be 100 MB
  });
});

describe("the caller's choice", () => {
  it.skipIf(process.platform !== "linux")("of a number of threads is how many the engine works with", async () => {
    const started = async (threads: number) => {
      const before = readdirSync("/proc/self/task").length;
      await using program = await nodeRuntime.compile(doubled, { threads });
      const after = readdirSync("/proc/self/task").length;
      expect(numbers((await program.run({ x: arrayOf([1, 2], [1, 2]) })).y!)).toEqual([2, 4]);
      return after - before;
    };
    // The caller's own thread is one of them.
    expect(await started(1)).toBe(0);
    expect(await started(2)).toBe(1);
    expect(await started(5)).toBe(4);
  });

  it("of a profile is a trace of every operation, with its place in the model", async () => {
    const folder = mkdtempSync(join(tmpdir(), "preftune-profile-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const outputs = { y: t.scope("layers.0", () => t.matmul(x, t.input("w", [2, 2]))) };
    const program = await nodeRuntime.compile({ outputs }, { profile: join(folder, "trace") });
    await program.run({ x: arrayOf([1, 2], [1, 2]), w: arrayOf([2, 2], [1, 0, 0, 1]) });
    await program[Symbol.asyncDispose]();
    const [file] = readdirSync(folder);
    expect(readFileSync(join(folder, file!), "utf8")).toContain("layers.0/MatMul");
  });
});
