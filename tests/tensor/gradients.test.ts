import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Random } from "../../src/random.ts";
import { interpreter } from "../../src/runtime/interpreter.ts";
import type { Value } from "../../src/runtime/runtime.ts";
import type { Tensor } from "../../src/tensor/index.ts";
import * as t from "../../src/tensor/index.ts";
import {
  caseTensors,
  drawCase,
  type OperationCase,
  operationCases,
  withoutGradient,
} from "../support/operation-cases.ts";
import { arrayOf, evaluate, expectClose, numbers, operationCounts } from "../support/programs.ts";

/** Half the width of a central difference: its error is about STEP^2 of the third derivative. */
const STEP = 1e-5;

/** A scalar to differentiate: the case's result, each element times its own random factor. */
function scalarOf(test: OperationCase, inputs: Readonly<Record<string, Tensor>>): Tensor {
  const y = test.build(inputs);
  return t.reduceSum(t.mul(y, t.input("factors", y.shape)));
}

/** The slope of `loss` along every element of one input, by central differences in float64. */
async function centralDifferences(
  loss: (values: Readonly<Record<string, Value>>) => Promise<number>,
  values: Readonly<Record<string, Value>>,
  name: string,
): Promise<number[]> {
  const { dims, data } = values[name]!;
  const center = Float64Array.from(data as Float32Array);
  const slopes: number[] = [];
  for (let i = 0; i < center.length; i++) {
    const at = (x: number) => loss({ ...values, [name]: { dims, data: center.with(i, x) } });
    slopes.push(((await at(center[i]! + STEP)) - (await at(center[i]! - STEP))) / (2 * STEP));
  }
  return slopes;
}

interface Variation {
  /** Draws sizes and values. */
  readonly seed: number;
  /** Builds the program before the sizes are known. */
  readonly symbolic: boolean;
  /** Computes the forward pass again for the backward pass. */
  readonly recomputed: boolean;
}

async function checkGradients(test: OperationCase, { seed, symbolic, recomputed }: Variation): Promise<void> {
  const { sizes, values } = drawCase(test, seed);
  const inputs = caseTensors(test, symbolic ? undefined : sizes);
  const scalar = scalarOf(test, inputs);
  const differentiable = Object.keys(inputs).filter((name) => !test.inputs[name]!.fixed);
  const slopes = t.gradients(
    scalar,
    differentiable.map((name) => inputs[name]!),
    { recompute: () => recomputed },
  );
  slopes.forEach((slope, i) => {
    expect(slope.shape).toEqual(inputs[differentiable[i]!]!.shape);
  });

  await using program = await interpreter.compile({
    outputs: { loss: scalar, ...Object.fromEntries(slopes.map((slope, i) => [`d/${differentiable[i]}`, slope])) },
  });
  await using forward = await interpreter.compile({ outputs: { loss: scalar } });
  const random = new Random(seed + 1);
  const dims = test.build(inputs).shape.map((dim) => t.evaluateDim(dim, sizes));
  const factors = Float64Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => 2 * random.next() - 1);
  const given = { ...values, factors: { dims, data: factors } };

  const results = await program.run(given);
  const loss = async (changed: Readonly<Record<string, Value>>) =>
    (await forward.run({ ...changed, factors: given.factors })).loss!.data[0] as number;
  for (const name of differentiable) {
    const what = `the gradient of ${name}`;
    expectClose(numbers(results[`d/${name}`]!), await centralDifferences(loss, values, name), 1e-7, { what });
  }
}

const variations: fc.Arbitrary<Variation> = fc.record({
  seed: fc.nat(),
  symbolic: fc.boolean(),
  recomputed: fc.boolean(),
});

describe("the table of gradient rules", () => {
  it("is complete, and has a test for every entry", () => {
    const tested = Object.keys(operationCases).filter((op) => !withoutGradient.includes(op));
    expect(tested.toSorted()).toEqual(Object.keys(t.gradientRules).toSorted());
  });

  for (const op of Object.keys(t.gradientRules)) {
    describe(op, () => {
      it.each(operationCases[op] ?? [])("$title agrees with central differences", async (test) => {
        await fc.assert(
          fc.asyncProperty(variations, (variation) => checkGradients(test, variation)),
          { numRuns: 8 },
        );
      });
    });
  }
});

describe("gradients", () => {
  const x = t.input("x", [3]);

  it("adds up the ways in which a value is used", async () => {
    const [slope] = t.gradients(t.reduceSum(t.add(t.mul(x, x), t.mul(5, x))), [x]); // 2 x + 5
    expect((await evaluate({ slope: slope! }, { x: arrayOf([3], [1, -2, 0.5]) })).slope).toEqual([7, 1, 6]);
  });

  it("can be differentiated again", async () => {
    const [first] = t.gradients(t.reduceSum(t.mul(x, t.mul(x, x))), [x]); // 3 x^2
    const [second] = t.gradients(t.reduceSum(first!), [x]); // 6 x
    expect((await evaluate({ second: second! }, { x: arrayOf([3], [1, -2, 0.5]) })).second).toEqual([6, -12, 3]);
  });

  it("gives the gradient of a tie in maximum to its first value", async () => {
    const y = t.input("y", [3]);
    const [dx, dy] = t.gradients(t.reduceSum(t.maximum(x, y)), [x, y]);
    const results = await evaluate({ dx: dx!, dy: dy! }, { x: arrayOf([3], [1, 2, 3]), y: arrayOf([3], [2, 2, 2]) });
    expect(results).toEqual({ dx: [0, 1, 1], dy: [1, 0, 0] });
  });

  it("takes what stopGradient gives for a number", async () => {
    // x stop(x^2): the slope is x^2, not 3 x^2.
    const [slope] = t.gradients(t.reduceSum(t.mul(x, t.stopGradient(t.mul(x, x)))), [x]);
    expect((await evaluate({ slope: slope! }, { x: arrayOf([3], [1, -2, 0.5]) })).slope).toEqual([1, 4, 0.25]);
  });

  it("follows a graph that is deeper than the call stack", async () => {
    let y = x;
    for (let i = 0; i < 12_000; i++) y = t.add(y, x);
    const [slope] = t.gradients(t.reduceSum(y), [x]);
    expect((await evaluate({ slope: slope! }, { x: arrayOf([3], [1, 2, 3]) })).slope).toEqual([12_001, 12_001, 12_001]);
  });

  describe("of a model with frozen weights", () => {
    // Three linear layers, x W1 W2 W3, of which only some are trained.
    const rows = t.input("rows", ["T", 4]);
    const weights = [1, 2, 3].map((i) => t.input(`w${i}`, [4, 4]));
    const output = weights.reduce((h, w) => t.matmul(h, w), rows);
    const loss = t.reduceSum(t.mul(output, output));
    const products = (trained: number[]) =>
      operationCounts(
        t.gradients(
          loss,
          trained.map((i) => weights[i - 1]!),
        ),
      ).matmul;

    it("goes back no further than the first trained layer", () => {
      // The products of the forward pass, those of the way back to the layer, and the weight's own gradient.
      expect(products([3])).toBe(3 + 0 + 1);
      expect(products([2])).toBe(3 + 1 + 1);
      expect(products([1])).toBe(3 + 2 + 1);
    });

    it("computes no gradient of a frozen weight on the way", () => {
      expect(products([1, 3])).toBe(3 + 2 + 2);
      expect(products([1, 2, 3])).toBe(3 + 2 + 3);
    });
  });

  it("refuses what is not a scalar", () => {
    expect(() => t.gradients(x, [x])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: gradients([3]): the differentiated value must be a scalar]`,
    );
  });

  it("refuses a variable that the value does not depend on", () => {
    const y = t.input("y", [3]);
    expect(() => t.gradients(t.reduceSum(x), [x, y])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: gradients([3]): the value does not depend on y]`,
    );
    const compared = t.where(t.greaterOrEqual(y, 0), x, 0);
    expect(() => t.gradients(t.reduceSum(compared), [y])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: gradients([3]): the value does not depend on y]`,
    );
  });

  it("refuses to go through a by-product, which only gradient rules may read", () => {
    const normalized = t.rmsNorm(t.input("h", ["T", 4]), t.input("w", [4]), 1e-5);
    const deviation = t.reduceSum(t.inverseDeviation(normalized));
    expect(() => t.gradients(deviation, [t.input("w", [4])])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: gradients([4]): the value does not depend on w]`,
    );
    expect(() => t.gradients(deviation, [normalized.node.inputs[1]!])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: gradient of rmsNorm([T, 1]): a by-product has no gradient]`,
    );
  });

  it("says where in the model a rule could not be applied", () => {
    const h = t.input("h", ["T", 4]);
    const loss = t.scope("layers.3", () => t.scope("self_attn", () => t.reduceSum(t.concat([h, h], 0))));
    expect(() => t.gradients(loss, [h])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: gradient of concat([T, 4] and [T, 4]) in layers.3/self_attn/gradient: axis 0 must have known sizes]`,
    );
    const padded = t.scope("layers.3", () => t.reduceSum(t.pad(h, 0, 1, 1)));
    expect(() => t.gradients(padded, [h])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: gradient of pad([T, 4]) in layers.3/gradient: the padded axis must have a known size]`,
    );
  });
});
