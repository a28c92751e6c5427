/** How long things are, in tokens: percentiles, and counts in bins of one width for a histogram. */

import { quantile } from "../diagnostics/pairs.ts";

export interface LengthDistribution {
  readonly of: string;
  readonly count: number;
  readonly mean: number;
  /** Tokens, by percent: `"50"` is the median, `"100"` the longest. */
  readonly percentiles: Readonly<Record<string, number>>;
  readonly histogram: readonly Bin[];
}

/** Lengths of at least `from` tokens and less than `to`; the last bin has no end where a few are far longer than the rest. */
export interface Bin {
  readonly from: number;
  readonly to: number | undefined;
  readonly count: number;
}

const PERCENTS = [0, 5, 25, 50, 75, 90, 95, 99, 100] as const;
const BINS = 16;

export function lengthDistribution(of: string, lengths: readonly number[]): LengthDistribution {
  const sorted = lengths.toSorted((a, b) => a - b);
  return {
    of,
    count: sorted.length,
    mean: sorted.reduce((a, b) => a + b, 0) / Math.max(1, sorted.length),
    percentiles: Object.fromEntries(
      sorted.length === 0 ? [] : PERCENTS.map((percent) => [percent, Math.round(quantile(sorted, percent / 100))]),
    ),
    histogram: histogram(sorted),
  };
}

function histogram(sorted: readonly number[]): Bin[] {
  if (sorted.length === 0) return [];
  const end = quantile(sorted, 0.99) + 1;
  const width = niceWidth(end / BINS);
  const count = Math.ceil(end / width);
  const counts = new Array<number>(count).fill(0);
  for (const length of sorted) counts[Math.min(count - 1, Math.floor(length / width))]! += 1;
  const isOpen = sorted.at(-1)! >= count * width;
  return counts.map((n, i) => ({
    from: i * width,
    to: isOpen && i === count - 1 ? undefined : (i + 1) * width,
    count: n,
  }));
}

/** The next width of 1, 2 or 5 times a power of ten. */
function niceWidth(width: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, width)));
  return power * ([1, 2, 5].find((factor) => factor * power >= width) ?? 10);
}
