/** Contour lines by marching squares: where they run, how they are joined, and the colours between them. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { contours, type Point } from "../../web/src/shared/contours.ts";
import { ramp } from "../../web/src/shared/ramp.ts";

const gridOf = (columns: number, rows: number, height: (x: number, y: number) => number) => ({
  columns,
  rows,
  values: Float64Array.from({ length: columns * rows }, (_, i) => height(i % columns, Math.floor(i / columns))),
});

describe("a contour line", () => {
  it("of a plane is straight, and where the plane has the level", () => {
    const [line, ...others] = contours(
      gridOf(8, 5, (x, y) => 2 * x + y),
      7,
    );
    expect(others).toEqual([]);
    for (const [x, y] of line!) expect(2 * x + y).toBeCloseTo(7, 12);
    const heights = line!.map(([, y]) => y);
    expect([Math.min(...heights), Math.max(...heights)]).toEqual([0, 4]);
    const rising = heights.toSorted((a, b) => a - b);
    expect([rising, rising.toReversed()]).toContainEqual(heights);
  });

  it("round a hill is closed", () => {
    const [line, ...others] = contours(
      gridOf(21, 21, (x, y) => -Math.hypot(x - 10, y - 10)),
      -6.5,
    );
    expect(others).toEqual([]);
    expect(line!.at(-1)).toEqual(line![0]);
    for (const [x, y] of line!) expect(Math.hypot(x - 10, y - 10)).toBeCloseTo(6.5, 1);
  });

  it("is there for each of two hills, and for none where the level is not reached", () => {
    const hills = gridOf(30, 12, (x, y) => Math.max(-Math.hypot(x - 7, y - 6), -Math.hypot(x - 22, y - 6)));
    expect(contours(hills, -3)).toHaveLength(2);
    expect(contours(hills, 1)).toEqual([]);
  });

  it.each([
    [
      0.4,
      [
        [1, 0],
        [0, 1],
      ],
    ],
    [
      0.6,
      [
        [0, 0],
        [1, 1],
      ],
    ],
  ] as const)("at %s separates the corners of a saddle that its middle is not with", (level, apart) => {
    const saddle = { columns: 2, rows: 2, values: [1, 0, 0, 1] };
    const lines = contours(saddle, level);
    expect(lines).toHaveLength(2);
    for (const [x, y] of apart) {
      const near = lines.filter((line) => line.every(([px, py]) => Math.abs(px - x) + Math.abs(py - y) < 1));
      expect(near).toHaveLength(1);
    }
  });

  it("leaves cells out that have a corner without a value", () => {
    const grid = gridOf(5, 5, (x, y) => (x === 2 && y === 2 ? Number.NaN : x));
    expect(
      contours(grid, 1.5)
        .flat()
        .every(([, y]) => y <= 1 || y >= 3),
    ).toBe(true);
  });

  it("crosses every edge whose ends are on different sides once, at its height between them", () => {
    const size = 6;
    const values = fc.array(fc.double({ min: -1, max: 1, noNaN: true }), {
      minLength: size * size,
      maxLength: size * size,
    });
    fc.assert(
      fc.property(values, (heights) => {
        const at = (x: number, y: number) => heights[y * size + x]!;
        const lines = contours({ columns: size, rows: size, values: heights }, 0.1);
        const closed = (line: readonly Point[]) => line.length > 2 && line[0] === line.at(-1);
        const met = lines.flatMap((line) => (closed(line) ? line.slice(1) : line));
        let edges = 0;
        for (let y = 0; y < size; y++) {
          for (let x = 0; x < size; x++) {
            if (x + 1 < size && at(x, y) >= 0.1 !== at(x + 1, y) >= 0.1) edges++;
            if (y + 1 < size && at(x, y) >= 0.1 !== at(x, y + 1) >= 0.1) edges++;
          }
        }
        expect(met).toHaveLength(edges);
        for (const [x, y] of met) {
          const [left, top, right, bottom] = [Math.floor(x), Math.floor(y), Math.ceil(x), Math.ceil(y)];
          const [from, to, part] = [at(left, top), at(right, bottom), x - left + (y - top)];
          expect(Math.abs(from + part * (to - from) - 0.1)).toBeLessThan(1e-9);
        }
      }),
    );
  });
});

/** Relative luminance of a colour (WCAG 2.2). */
function luminance(rgb: ArrayLike<number>): number {
  const [r, g, b] = Array.from(rgb, (value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
}

describe.each([
  ["light", [0x1c, 0x1b, 0x19], -1],
  ["dark", [0xe9, 0xe7, 0xe2], 1],
] as const)("the colours of heights in the %s theme", (theme, ink, direction) => {
  const colours = ramp(theme, 64);
  const shades = Array.from({ length: 64 }, (_, i) => luminance(colours.subarray(3 * i, 3 * i + 3)));

  it("keep their order in grey: one is lighter than the next all the way", () => {
    for (let i = 1; i < shades.length; i++) expect(direction * (shades[i]! - shades[i - 1]!)).toBeGreaterThan(0);
  });

  it("leave lines of the page's ink a contrast of 3 or more", () => {
    const line = luminance(ink);
    for (const shade of shades) {
      const [lighter, darker] = [Math.max(line, shade), Math.min(line, shade)];
      expect((lighter + 0.05) / (darker + 0.05)).toBeGreaterThanOrEqual(3);
    }
  });
});
