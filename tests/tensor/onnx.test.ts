import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as ort from "onnxruntime-node";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Program, Tensor } from "../../src/tensor/index.ts";
import * as t from "../../src/tensor/index.ts";
import { operationCases } from "../support/operation-cases.ts";
import { expectClose } from "../support/programs.ts";

const CHECKED = new URL("../golden/tensor/onnx-checker.json", import.meta.url);

/** The first and the last case of every operation as one program. */
function everyOperation(): Program {
  const outputs: Record<string, Tensor> = {};
  for (const [op, cases] of Object.entries(operationCases)) {
    for (const test of new Set([cases[0]!, cases.at(-1)!])) {
      const name = `${op} ${test.title}`;
      const inputs = Object.fromEntries(
        Object.entries(test.inputs).map(([key, { shape, values }]) => [
          key,
          t.input(`${name}/${key}`, shape, typeof values === "string" ? "float32" : "int64"),
        ]),
      );
      outputs[`${name}/result`] = t.scope(op, () => test.build(inputs));
    }
  }
  return t.optimize({ outputs }, { fused: t.onnxFused });
}

describe("an emitted program", () => {
  it("passed the official ONNX checker with every operation in it", () => {
    const { model } = t.emitOnnx(everyOperation());
    // For tests/reference/tensor_onnx_checker.py, which is to be run again when the emitter's output has changed.
    if (process.env.EMIT_ONNX) writeFileSync(process.env.EMIT_ONNX, model);
    const checked = JSON.parse(readFileSync(CHECKED, "utf8")) as { sha256: string };
    expect(createHash("sha256").update(model).digest("hex")).toBe(checked.sha256);
  });

  it("loads in the engine with every operation in it", async () => {
    const session = await ort.InferenceSession.create(t.emitOnnx(everyOperation()).model);
    onTestFinished(() => session.release());
    expect(session.outputNames).toContain("rope of 1 heads/result");
  });

  it("has values of its own for inputs that are bound, in the model or outside, float16 ones widened", async () => {
    const [x, w, h] = [t.input("x", [2]), t.input("w", [2]), t.input("h", [2])];
    const values = new Uint8Array(Float32Array.of(10, 20).buffer);
    const halves = new Uint8Array(Uint16Array.of(0x3c00, 0xc000).buffer); // 1 and -2
    const bound = new Map([
      ["w", { type: "float32", values }],
      ["h", { type: "float16", values: halves }],
    ] as const);
    const model = t.emitOnnx({ outputs: { y: t.add(t.mul(x, w), t.mul(h, h)) } }, { bound }).model;
    const session = await ort.InferenceSession.create(model);
    onTestFinished(() => session.release());
    expect(session.inputNames).toEqual(["x"]);
    const { y } = await session.run({ x: new ort.Tensor("float32", Float32Array.of(1, 2), [2]) });
    expect([...(y!.data as Float32Array)]).toEqual([11, 44]);
  });

  it("is the same bytes every time", () => {
    expect(t.emitOnnx(everyOperation()).model).toEqual(t.emitOnnx(everyOperation()).model);
  });

  it("keeps its inputs' and outputs' names, also those that the emitter would have taken for values in between", async () => {
    const [a, b] = [t.input("v0", ["T"]), t.input("c1", ["T"])];
    const outputs = { v2: t.mul(t.add(a, b), 2), v3: t.neg(a), c0: a, "a name: with/signs": t.constant(7) };
    const session = await ort.InferenceSession.create(t.emitOnnx({ outputs }).model);
    onTestFinished(() => session.release());
    expect(session.inputNames).toEqual(["v0", "c1"]);
    const vector = (data: number[]) => new ort.Tensor("float32", Float32Array.from(data), [data.length]);
    const results = await session.run({ v0: vector([1, 2]), c1: vector([10, 20]) });
    expect(
      Object.fromEntries(Object.entries(results).map(([name, value]) => [name, [...(value.data as Float32Array)]])),
    ).toEqual({
      v2: [22, 44],
      v3: [-1, -2],
      c0: [1, 2],
      "a name: with/signs": [7],
    });
  });

  it("can't give one name to an input and an output", () => {
    const x = t.input("x", ["T"]);
    expect(() => t.emitOnnx({ outputs: { x: t.neg(x) } })).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: "x" names an input and an output of the program: ONNX has one name a value, rename one]`,
    );
  });

  it("computes sizes that reshape needs from those of its inputs", async () => {
    const past = t.input("past", ["P", 2, 4]);
    const own = t.input("own", ["T", 2, 4]);
    const joined = t.concat([past, own], 0); // [P + T, 2, 4]
    const total = joined.shape[0]!;
    const grid = t.reshape(t.matmul(joined, t.input("w", [4, "K"])), [2, total, "K"]);
    const flat = t.reshape(grid, [t.product([2, total]), "K"]);
    const session = await ort.InferenceSession.create(t.emitOnnx({ outputs: { grid, flat } }).model);
    onTestFinished(() => session.release());
    for (const [P, T, K] of [
      [3, 2, 5],
      [1, 4, 1],
      [0, 1, 2],
    ] as const) {
      const zeros = (...dims: number[]) =>
        new ort.Tensor("float32", new Float32Array(dims.reduce((a, b) => a * b)), dims);
      const results = await session.run({ past: zeros(P, 2, 4), own: zeros(T, 2, 4), w: zeros(4, K) });
      expect(results.grid!.dims).toEqual([2, P + T, K]);
      expect(results.flat!.dims).toEqual([2 * (P + T), K]);
    }
  });

  it("computes a size from an input that has a multiple of it", async () => {
    const pairs = t.input("pairs", [t.product([2, "E"]), 4, "K"]);
    const stacked = t.reshape(pairs, [t.product([8, "E"]), "K"]);
    const session = await ort.InferenceSession.create(t.emitOnnx({ outputs: { stacked } }).model);
    onTestFinished(() => session.release());
    for (const [E, K] of [
      [3, 5],
      [1, 2],
    ] as const) {
      const zeros = new ort.Tensor("float32", new Float32Array(8 * E * K), [2 * E, 4, K]);
      expect((await session.run({ pairs: zeros })).stacked!.dims).toEqual([8 * E, K]);
    }
  });

  it("refuses a program that needs a size which no input has", () => {
    const x = t.input("x", [t.product(["T", "P"]), 2]);
    expect(() => t.emitOnnx({ outputs: { y: t.reshape(x, ["T", "P", 2]) } })).toThrow(
      "no input of the program has the dimension T",
    );
  });
});

describe("external data", () => {
  const table = Float32Array.from({ length: 600 }, (_, i) => i / 7);
  const second = Float32Array.from({ length: 300 }, (_, i) => -i);
  const x = t.input("x", [300]);
  const program = {
    outputs: {
      y: t.add(t.mul(t.reduceSum(t.constant(table, [2, 300]), [0]), x), t.add(t.constant(second, [300]), 0.5)),
    },
  };

  it("lies beside the model and is read from there", async () => {
    const folder = mkdtempSync(join(tmpdir(), "preftune-onnx-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const { model, externalData } = t.emitOnnx(program, { externalDataName: "weights.bin" });
    expect(model.byteLength).toBeLessThan(1000);
    expect(externalData.map((part) => part.byteLength)).toEqual([2400, 1200]);
    writeFileSync(join(folder, "model.onnx"), model);
    writeFileSync(join(folder, "weights.bin"), Buffer.concat(externalData));

    const session = await ort.InferenceSession.create(join(folder, "model.onnx"));
    onTestFinished(() => session.release());
    const { y } = await session.run({ x: new ort.Tensor("float32", new Float32Array(300).fill(2), [300]) });
    const expected = Array.from({ length: 300 }, (_, i) => 2 * (table[i]! + table[300 + i]!) - i + 0.5);
    expectClose(y!.data as Float32Array, expected, 1e-6);
  });

  it("is not used unless asked for", () => {
    const { model, externalData } = t.emitOnnx(program);
    expect(externalData).toEqual([]);
    expect(model.byteLength).toBeGreaterThan(3600);
  });
});
