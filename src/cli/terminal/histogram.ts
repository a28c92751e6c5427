/** Counts as a row of bars in the terminal. */

import type { Bin } from "../../inspection/lengths.ts";

const EIGHTHS = " ▁▂▃▄▅▆▇█";

/** Bars of `height` lines, each bin two cells wide, and a line that says where the first bin begins and the last ends. */
export function histogramLines(bins: readonly Bin[], height = 3): string[] {
  const most = Math.max(1, ...bins.map(({ count }) => count));
  // A bin that is not empty is seen, however small it is beside the largest.
  const eighths = bins.map(({ count }) => (count === 0 ? 0 : Math.max(1, Math.round((8 * height * count) / most))));
  const bars = Array.from({ length: height }, (_, i) => {
    const base = 8 * (height - 1 - i);
    return eighths.map((n) => EIGHTHS[Math.min(8, Math.max(0, n - base))]!.repeat(2)).join("");
  });
  const last = bins.at(-1);
  const start = String(bins[0]?.from ?? 0);
  const end = last === undefined ? "" : last.to === undefined ? `${last.from}+` : String(last.to);
  return [
    ...bars.map((bar) => bar.trimEnd()),
    start + end.padStart(Math.max(end.length + 1, 2 * bins.length - start.length)),
  ];
}
