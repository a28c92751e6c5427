/** Optimizers against torch.optim (tests/reference/training_optimizers.py), clipping included. */

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { clippingScale, globalNorm } from "../../src/training/policy/flat.ts";
import { type Optimizer, optimizers } from "../../src/training/step/optimizers.ts";

interface Case {
  readonly name: string;
  readonly optimizer: keyof typeof optimizers;
  readonly weightDecay: number;
  readonly start: readonly number[];
  readonly maxNorm: number;
  readonly steps: readonly {
    readonly gradients: readonly number[];
    readonly learningRate: number;
    readonly norm: number;
    readonly clipped: readonly number[];
    readonly parameters: readonly number[];
  }[];
  readonly moments: Readonly<Record<string, readonly number[]>>;
}

const { cases } = JSON.parse(readFileSync(new URL("../golden/training/optimizers.json", import.meta.url), "utf8")) as {
  cases: readonly Case[];
};

/** Both round to float32 once a step or more often, each in its own order. */
function expectSame(found: ArrayLike<number>, expected: readonly number[], where: string): void {
  Array.from(found).forEach((x, i) => {
    const tolerance = 1e-6 * Math.max(1, Math.abs(expected[i]!));
    expect(Math.abs(x - expected[i]!), `${where}, element ${i}: ${x} and ${expected[i]}`).toBeLessThan(tolerance);
  });
}

describe.each(cases)("$name", ({ optimizer, weightDecay, start, maxNorm, steps, moments }) => {
  it("takes PyTorch's steps on clipped gradients", () => {
    const parameters = Float32Array.from(start);
    const subject: Optimizer = optimizers[optimizer]({ size: start.length, weightDecay });
    steps.forEach(({ learningRate, norm, clipped, parameters: expected, ...step }, index) => {
      const gradients = Float32Array.from(step.gradients);
      const found = globalNorm(gradients);
      expect(found).toBeCloseTo(norm, 5);
      const gradientScale = clippingScale(found, maxNorm);
      const scaled = gradients.map((x) => x * gradientScale);
      expectSame(scaled, clipped, `step ${index + 1}, clipped gradient`);
      subject.update({ parameters, gradients, learningRate, step: index + 1, gradientScale });
      expectSame(parameters, expected, `step ${index + 1}`);
    });
    expect(Object.keys(subject.moments)).toEqual(Object.keys(moments));
    for (const [name, values] of Object.entries(subject.moments)) expectSame(values, moments[name]!, name);
  });
});

describe("an optimizer's memory", () => {
  it("is all that it needs to go on from elsewhere", () => {
    for (const make of Object.values(optimizers)) {
      const run = (subject: Optimizer, parameters: Float32Array, from: number, to: number) => {
        for (let step = from; step <= to; step++) {
          const gradients = parameters.map((x, i) => Math.sin(step + i) + x);
          subject.update({ parameters, gradients, learningRate: 0.01, step, gradientScale: 1 });
        }
      };
      const options = { size: 3, weightDecay: 0.1 };
      const whole = Float32Array.of(1, -2, 3);
      run(make(options), whole, 1, 6);

      const parameters = Float32Array.of(1, -2, 3);
      const [first, second] = [make(options), make(options)];
      run(first, parameters, 1, 2);
      for (const [name, values] of Object.entries(first.moments)) second.moments[name]!.set(values);
      run(second, parameters, 3, 6);
      expect(parameters).toEqual(whole);
    }
  });
});
