import fc from "fast-check";
import { expect, it } from "vitest";
import { Random } from "../../src/random.ts";
import { interpreter } from "../../src/runtime/interpreter.ts";
import type { Tensor } from "../../src/tensor/index.ts";
import * as t from "../../src/tensor/index.ts";
import { describeEngines, interpreterEngine, nodeEngine, webEngine, webGpuPrograms } from "../support/engines.ts";
import { caseTensors, drawCase, operationCases, outputsOf } from "../support/operation-cases.ts";
import { arrayOf, evaluate, expectClose, numbers } from "../support/programs.ts";

/** Rounding of a few float32 operations on values of ordinary size. */
const FLOAT32 = 2e-6;

const engines = [nodeEngine, webEngine(), webGpuPrograms];

describeEngines(engines, "$name computes what the interpreter does, one program for many sizes:", (runtime) => {
  for (const [op, cases] of Object.entries(operationCases)) {
    it.each(cases)(`${op} $title`, async (test) => {
      const outputs = outputsOf(op, test);
      await using fast = await runtime.compile({ outputs });
      await using exact = await interpreter.compile({ outputs });
      for (const seed of [1, 2, 3, 4]) {
        const { values } = drawCase(test, seed);
        const given = Object.fromEntries(fast.inputNames.map((name) => [name, values[name]!]));
        const [actual, expected] = [await fast.run(given), await exact.run(given)];
        for (const name of Object.keys(outputs)) {
          expect(actual[name]!.dims).toEqual(expected[name]!.dims);
          expectClose(numbers(actual[name]!), numbers(expected[name]!), FLOAT32, { what: name });
        }
      }
    });
  }
});

describeEngines(engines, "a fused operation equals its decomposition on $name:", (runtime) => {
  const fused = Object.keys(t.decompositions).flatMap((op) => operationCases[op]!.map((test) => ({ op, test })));

  it.each(fused)("$op $test.title", async ({ test }) => {
    const inputs = caseTensors(test);
    const whole = test.build(inputs);
    const outputs = whole.node.outputs.map((_, i) => new t.Tensor(whole.node, i));
    const parts = t.decompositions[whole.node.op]!(whole.node);
    expect(parts.map(({ shape }) => shape)).toEqual(outputs.map(({ shape }) => shape));
    await fc.assert(
      fc.asyncProperty(fc.nat(), async (seed) => {
        const { values } = drawCase(test, seed);
        const programs = {
          ...Object.fromEntries(outputs.map((y, i) => [`whole ${i}`, y])),
          ...Object.fromEntries(parts.map((y, i) => [`parts ${i}`, y])),
        };
        const results = await evaluate(programs, values, runtime);
        for (const i of outputs.keys()) expectClose(results[`whole ${i}`]!, results[`parts ${i}`]!, FLOAT32);
      }),
      { numRuns: 3 },
    );
  });
});

const x = t.input("x", ["T", "S"]);
const gradientOfSum = (y: Tensor): Tensor => t.gradients(t.reduceSum(y), [x])[0]!;

describeEngines([...engines, interpreterEngine], "at the edges of its range $name", (runtime) => {
  it("has finite values and slopes of -log sigmoid and its kin at +-10,000", async () => {
    const outputs = {
      softplus: t.softplus(x),
      slope: gradientOfSum(t.softplus(x)),
      sigmoid: t.sigmoid(x),
      curve: gradientOfSum(t.sigmoid(x)),
      tanh: t.tanh(x),
      silu: t.silu(x),
      siluSlope: gradientOfSum(t.silu(x)),
    };
    const results = await evaluate(outputs, { x: arrayOf([1, 3], [1e4, -1e4, 0]) }, runtime);
    expectClose(results.softplus!, [1e4, 0, Math.LN2], 1e-9);
    expect(results.slope).toEqual([1, 0, 0.5]);
    expect(results.sigmoid).toEqual([1, 0, 0.5]);
    expect(results.curve).toEqual([0, 0, 0.25]);
    expect(results.tanh).toEqual([1, -1, 0]);
    expect(results.silu!.map(Math.abs)).toEqual([1e4, 0, 0]);
    expect(results.siluSlope!.map(Math.abs)).toEqual([1, 0, 0.5]);
  });

  it("does not lose a small loss of a large margin", async () => {
    const { y } = await evaluate({ y: t.softplus(x) }, { x: arrayOf([1, 2], [-20, -60]) }, runtime);
    expect(y![0]! / 2.061153620314381e-9).toBeCloseTo(1, 5);
    expect(y![1]! / 8.75651076269652e-27).toBeCloseTo(1, 5);
  });

  it("takes the logarithm of a sum of exponentials without overflow or underflow", async () => {
    const outputs = { y: t.logSumExp(x), slope: gradientOfSum(t.logSumExp(x)) };
    const rows = [1e4, -1e4, 0, -1e4, -1e4, -1e4, -Infinity, 2, -Infinity];
    const results = await evaluate(outputs, { x: arrayOf([3, 3], rows) }, runtime);
    expectClose(results.y!, [1e4, -1e4 + Math.log(3), 2], 1e-7);
    expectClose(results.slope!, [1, 0, 0, 1 / 3, 1 / 3, 1 / 3, 0, 1, 0], 1e-3);
    expect([1, 2, 6, 8].map((i) => results.slope![i])).toEqual([0, 0, 0, 0]);
  });

  it("loses nothing of a sum over a whole vocabulary", async () => {
    const width = 49_152;
    const random = new Random(3);
    const logits = Float32Array.from({ length: width }, () => 8 * random.next() - 4);
    const exact = Math.log(logits.reduce((total, x) => total + Math.exp(x), 0));
    const { y } = await evaluate(
      { y: t.logSumExp(t.input("logits", [1, width])) },
      { logits: arrayOf([1, width], logits) },
      runtime,
    );
    expect(y![0]! - exact).toBeLessThan(2e-6);
    expect(y![0]! - exact).toBeGreaterThan(-2e-6);
  });

  it("has a divergence of 0 between equal rows, and none below 0 over a whole vocabulary", async () => {
    const width = 49_152;
    const random = new Random(4);
    const logits = Float32Array.from({ length: width }, () => 20 * random.next() - 10);
    // Shifted by a constant it is the same distribution; the other is close, but another.
    const shifted = logits.map((z) => z + 7);
    const close = logits.map((z) => z + 0.01 * random.next());
    const [a, b] = [t.input("a", [3, width]), t.input("b", [3, width])];
    const rows = (...each: Float32Array[]) =>
      arrayOf(
        [3, width],
        each.flatMap((row) => [...row]),
      );
    const { y } = await evaluate(
      { y: t.klDivergence(a, b) },
      { a: rows(logits, logits, logits), b: rows(logits, shifted, close) },
      runtime,
    );
    const normalizer = (row: Float32Array) => Math.log(row.reduce((total, z) => total + Math.exp(z), 0));
    const [logP, logQ] = [normalizer(logits), normalizer(close)];
    const exact = logits.reduce((total, z, i) => total + Math.exp(z - logP) * (z - logP - close[i]! + logQ), 0);
    expect(y![0]).toBe(0);
    expect(Math.abs(y![1]!)).toBeLessThan(1e-6);
    expect(exact).toBeGreaterThan(1e-6);
    expect(Math.abs(y![2]! - exact)).toBeLessThan(1e-6);
  });

  it("keeps collisions and divergences of extreme rows finite", async () => {
    const [a, b] = [t.input("a", [3, 3]), t.input("b", [3, 3])];
    const divergence = t.klDivergence(a, b);
    const collision = t.logCollision(a);
    const [slopeA, slopeB] = t.gradients(t.reduceSum(t.add(divergence, collision)), [a, b]);
    const given = {
      a: arrayOf([3, 3], [1e4, -1e4, 0, -1e4, -1e4, -1e4, 0, 0, -1e4]),
      b: arrayOf([3, 3], [-1e4, 1e4, 0, 1e4, -1e4, 0, 0, 0, 0]),
    };
    const results = await evaluate({ divergence, collision, slopeA: slopeA!, slopeB: slopeB! }, given, runtime);
    expectClose(results.divergence!, [2e4, (2e4 + 1e4) / 3 - Math.log(3), Math.log(1.5)], 1e-6);
    expectClose(results.collision!, [0, -Math.log(3), -Math.LN2], 1e-6);
    expectClose(results.slopeB!, [-1, 1, 0, 2 / 3, -1 / 3, -1 / 3, -1 / 6, -1 / 6, 1 / 3], 1e-6);
    expect(results.slopeA!.every(Number.isFinite)).toBe(true);
  });

  it("sums nothing to 0", async () => {
    const outputs = { all: t.reduceSum(x), rows: t.reduceSum(x, [1]), columns: t.reduceSum(x, [0]) };
    expect(await evaluate(outputs, { x: arrayOf([2, 0], []) }, runtime)).toEqual({
      all: [0],
      rows: [0, 0],
      columns: [],
    });
    expect(await evaluate(outputs, { x: arrayOf([0, 2], []) }, runtime)).toEqual({
      all: [0],
      rows: [],
      columns: [0, 0],
    });
  });

  it("multiplies matrices that have no rows", async () => {
    const gram = { gram: t.matmul(x, x, { transA: true }), outer: t.matmul(x, x, { transB: true }) };
    expect(await evaluate(gram, { x: arrayOf([0, 2], []) }, runtime)).toEqual({ gram: [0, 0, 0, 0], outer: [] });
  });

  it("refuses a row that a table does not have", async () => {
    const rows = t.gather(x, t.input("ids", ["N"], "int64"));
    const run = (id: number) =>
      evaluate({ rows }, { x: arrayOf([2, 1], [5, 6]), ids: arrayOf([1], [id], "int64") }, runtime);
    await expect(run(2)).rejects.toThrow();
    await expect(run(1)).resolves.toEqual({ rows: [6] });
  });

  it("gives what a mask of -Infinity hides a weight and a slope of exactly 0, at any width", async () => {
    const masked = t.add(x, t.input("mask", ["T", "S"]));
    const values = t.input("values", ["S", 3]);
    const attended = t.attend(masked, values);
    const loss = t.reduceSum(t.mul(attended, attended));
    const [scoreSlope, valueSlope] = t.gradients(loss, [x, values]);
    const outputs = { weights: t.softmax(masked), attended, scoreSlope: scoreSlope!, valueSlope: valueSlope! };
    await using program = await runtime.compile({ outputs });
    const random = new Random(5);
    for (const width of [1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100]) {
      // Each row sees the columns up to its own; the last columns are seen by none.
      const [rows, hidden] = [width, 3];
      const dims = [rows, width + hidden];
      const draw = (count: number, scale: number) =>
        Array.from({ length: count }, () => scale * (2 * random.next() - 1));
      const isHidden = Array.from(
        { length: rows * (width + hidden) },
        (_, i) => i % (width + hidden) > i / (width + hidden),
      );
      const results = await program.run({
        x: arrayOf(dims, draw(isHidden.length, 30)),
        mask: arrayOf(
          dims,
          isHidden.map((yes) => (yes ? -Infinity : 0)),
        ),
        values: arrayOf([width + hidden, 3], draw((width + hidden) * 3, 1)),
      });
      for (const name of ["weights", "scoreSlope"]) {
        const found = numbers(results[name]!);
        expect(found.every(Number.isFinite)).toBe(true);
        expect(found.filter((value, i) => isHidden[i] && value !== 0)).toEqual([]);
      }
      expect(numbers(results.attended!).every(Number.isFinite)).toBe(true);
      const unseen = numbers(results.valueSlope!).slice(-3 * hidden);
      expect(unseen.map(Math.abs)).toEqual(unseen.map(() => 0));
    }
  });
});
