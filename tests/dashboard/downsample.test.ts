/** Many values in few points: what must hold for whatever was logged. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { downsample } from "../../src/dashboard/downsample.ts";

const value = fc.oneof({ weight: 9, arbitrary: fc.double() }, { weight: 1, arbitrary: fc.constant(Number.NaN) });

/** A log: where its lines are on an axis, which never decreases, and the values there, some of them not finite. */
const log = fc.array(fc.tuple(fc.nat(3), value), { minLength: 1, maxLength: 300 }).map((lines) => {
  let place = 0;
  const axis = lines.map(([gap]) => (place += gap));
  return { axis: Float64Array.from(axis), values: Float64Array.from(lines, ([, y]) => y) };
});
const points = fc.integer({ min: 1, max: 50 });

const finiteOf = (values: Float64Array) => [...values].filter(Number.isFinite);

describe("a metric in few points", () => {
  it("has no more points than asked, at places that increase", () => {
    fc.assert(
      fc.property(log, points, ({ axis, values }, most) => {
        const { x, mean, min, max } = downsample(axis, values, { points: most });
        expect(x.length).toBeLessThanOrEqual(most);
        expect([mean.length, min.length, max.length]).toEqual([x.length, x.length, x.length]);
        expect(x.every((place, i) => i === 0 || place > x[i - 1]!)).toBe(true);
      }),
    );
  });

  it("keeps the least and the greatest of all values, and counts every finite one", () => {
    fc.assert(
      fc.property(log, points, ({ axis, values }, most) => {
        const { min, max, count } = downsample(axis, values, { points: most });
        const finite = finiteOf(values);
        expect(count).toBe(finite.length);
        if (count === 0) return;
        expect(Math.min(...min)).toBe(Math.min(...finite));
        expect(Math.max(...max)).toBe(Math.max(...finite));
      }),
    );
  });

  it("has every value between the bounds of the point that it went into, and every mean between them too", () => {
    fc.assert(
      fc.property(log, points, ({ axis, values }, most) => {
        const { x, mean, min, max } = downsample(axis, values, { points: most });
        mean.forEach((m, i) => {
          expect(m).toBeGreaterThanOrEqual(min[i]!);
          expect(m).toBeLessThanOrEqual(max[i]!);
        });
        values.forEach((y, row) => {
          if (!Number.isFinite(y)) return;
          const point = x.findIndex((place) => place >= axis[row]!);
          expect(y).toBeGreaterThanOrEqual(min[point]!);
          expect(y).toBeLessThanOrEqual(max[point]!);
        });
      }),
    );
  });

  it("is the values themselves where they are few and each has its own place", () => {
    const values = Float64Array.from([3, 1, 2]);
    const drawn = downsample(Float64Array.from([1, 2, 5]), values, { points: 3 });
    expect(drawn).toEqual({ x: [1, 2, 5], mean: [3, 1, 2], min: [3, 1, 2], max: [3, 1, 2], count: 3, bucket: 1 });
  });

  it("leaves its points where they are as the run grows, so that a live chart does not flicker", () => {
    fc.assert(
      fc.property(log, points, ({ axis, values }, most) => {
        const half = Math.ceil(values.length / 2);
        const before = downsample(axis, values, { end: half, points: most });
        const after = downsample(axis, values, { points: most });
        if (after.bucket !== before.bucket) return;
        // The last of them may still have been growing.
        const settled = Math.max(0, before.x.length - 1);
        expect(after.x.slice(0, settled)).toEqual(before.x.slice(0, settled));
        expect(after.mean.slice(0, settled)).toEqual(before.mean.slice(0, settled));
      }),
    );
  });

  it("of a part of the rows says nothing of the others", () => {
    const axis = Float64Array.from({ length: 100 }, (_, i) => i);
    const { x, min, max, count } = downsample(axis, axis, { start: 30, end: 60, points: 7 });
    expect([count, Math.min(...min), Math.max(...max), x.at(-1)]).toEqual([30, 30, 59, 59]);
  });
});
