/** Learning-rate schedules against transformers' get_scheduler (tests/reference/training_schedules.py), and warm-up. */

import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { learningRateFactor, type ScheduleName, schedules } from "../../src/training/step/schedules.ts";

const { cases } = JSON.parse(readFileSync(new URL("../golden/training/schedules.json", import.meta.url), "utf8")) as {
  cases: readonly { readonly schedule: ScheduleName; readonly factors: readonly number[] }[];
};
const names = Object.keys(schedules) as ScheduleName[];
const factors = (name: ScheduleName, warmup: number, total: number) =>
  Array.from({ length: total }, (_, step) => learningRateFactor(name, step, { warmup, total }));

/** A schedule, its warm-up, and at least twenty steps more. */
const runs = fc.record({
  name: fc.constantFrom(...names),
  warmup: fc.integer({ min: 0, max: 60 }),
  rest: fc.integer({ min: 20, max: 200 }),
});

describe("without warm-up", () => {
  it.each(cases)("$schedule is transformers', $factors.length steps", ({ schedule, factors: expected }) => {
    factors(schedule, 0, expected.length).forEach((factor, step) => {
      expect(factor).toBeCloseTo(expected[step]!, 14);
    });
  });
});

describe("warm-up", () => {
  it("is the official DPO code's: (t + 1) / (w + 1) until step w, whatever comes after", () => {
    for (const name of names) {
      expect(factors(name, 4, 20).slice(0, 5)).toEqual([0.2, 0.4, 0.6, 0.8, 1]);
      expect(factors(name, 150, 1000)[149]).toBe(150 / 151);
    }
  });

  it("may be longer than the run", () => {
    for (const name of names) expect(factors(name, 9, 3)).toEqual([0.1, 0.2, 0.3]);
    for (const name of names) expect(factors(name, 3, 3)).toEqual([0.25, 0.5, 0.75]);
  });

  it("delays the schedule, which then runs over the steps that are left", () => {
    for (const name of names) expect(factors(name, 5, 25).slice(5)).toEqual(factors(name, 0, 20));
  });
});

describe("every schedule", () => {
  it("is above 0 and at most 1 at every step", () => {
    fc.assert(
      fc.property(runs, ({ name, warmup, rest }) => {
        const values = factors(name, warmup, warmup + rest);
        expect(Math.min(...values)).toBeGreaterThan(0);
        expect(Math.max(...values)).toBeLessThanOrEqual(1);
      }),
    );
  });

  it("never jumps: by a warm-up step at most on its way up, by a slope of the curve on its way down", () => {
    fc.assert(
      fc.property(runs, ({ name, warmup, rest }) => {
        const values = factors(name, warmup, warmup + rest);
        const changes = values.slice(1).map((factor, i) => factor - values[i]!);
        expect(Math.max(...changes)).toBeLessThanOrEqual(1 / (warmup + 1) + 1e-12);
        expect(Math.min(...changes)).toBeGreaterThanOrEqual(-Math.PI / 2 / rest - 1e-12);
      }),
    );
  });

  it("is near 0 at its last step, but for constant, and 0 beyond it", () => {
    fc.assert(
      fc.property(runs, ({ name, warmup, rest }) => {
        const last = factors(name, warmup, warmup + rest).at(-1)!;
        const beyond = learningRateFactor(name, warmup + rest + 3, { warmup, total: warmup + rest });
        expect(last).toBeLessThanOrEqual(name === "constant" ? 1 : 1 / rest + 1e-12);
        expect(beyond).toBe(name === "constant" ? 1 : 0);
      }),
    );
  });
});
