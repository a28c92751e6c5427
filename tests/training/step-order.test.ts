/** Which examples each step takes. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { StepOrder } from "../../src/training/step/step-order.ts";

const settings = { batchSize: 4, epochs: 1, maxSteps: undefined, shuffle: true, seed: 0 };
const all = (order: StepOrder) => Array.from({ length: order.steps }, (_, step) => order.indices(step));
const ascending = (values: readonly number[]) => values.toSorted((a, b) => a - b);
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i);

describe("an epoch", () => {
  it("takes every example once, in full batches but for the last", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 1, max: 9 }),
        fc.boolean(),
        fc.nat(),
        (examples, batchSize, shuffle, seed) => {
          const steps = all(new StepOrder(examples, { ...settings, batchSize, shuffle, seed }));
          expect(ascending(steps.flat())).toEqual(upTo(examples));
          expect(steps.slice(0, -1).every((step) => step.length === batchSize)).toBe(true);
        },
      ),
    );
  });

  it("has an order of its own, by the seed", () => {
    const epochs = (seed: number) =>
      all(new StepOrder(12, { ...settings, epochs: 3, seed }))
        .flat()
        .join();
    const [first, second, third] = [0, 12, 24].map((at) =>
      all(new StepOrder(12, { ...settings, epochs: 3 }))
        .flat()
        .slice(at, at + 12)
        .join(),
    );
    expect(new Set([first, second, third]).size).toBe(3);
    expect(epochs(1)).toBe(epochs(1));
    expect(epochs(1)).not.toBe(epochs(2));
  });

  it("is in the file's order without shuffling, every time", () => {
    const order = new StepOrder(6, { ...settings, epochs: 2, shuffle: false });
    expect(all(order)).toEqual([
      [0, 1, 2, 3],
      [4, 5],
      [0, 1, 2, 3],
      [4, 5],
    ]);
  });
});

describe("the number of steps", () => {
  it("tells how many examples they have taken", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 3 }),
        (examples, batchSize, epochs) => {
          const order = new StepOrder(examples, { ...settings, batchSize, epochs });
          let taken = 0;
          all(order).forEach((indices, step) => {
            expect(order.seen(step)).toBe(taken);
            taken += indices.length;
          });
          expect(order.seen(order.steps)).toBe(examples * epochs);
        },
      ),
    );
  });

  it("is that of the epochs", () => {
    expect(new StepOrder(9, { ...settings, epochs: 3 })).toMatchObject({ steps: 9, epochs: 3 });
  });

  it("is what is asked for, within an epoch and beyond the epochs", () => {
    expect(new StepOrder(9, { ...settings, epochs: 3, maxSteps: 2 })).toMatchObject({ steps: 2, epochs: 1 });
    const beyond = new StepOrder(9, { ...settings, maxSteps: 7 });
    expect(beyond).toMatchObject({ steps: 7, epochs: 3 });
    expect(all(beyond).map((step) => step.length)).toEqual([4, 4, 1, 4, 4, 1, 4]);
  });
});

describe("a step's examples", () => {
  it("depend on nothing that was taken before, so that a resumed run goes on with the same", () => {
    const whole = all(new StepOrder(11, { ...settings, epochs: 4 }));
    const alone = whole.map((_, step) => new StepOrder(11, { ...settings, epochs: 4 }).indices(step));
    expect(alone).toEqual(whole);
  });
});
