/**
 * What the margins of pairs say together. The margin m of a pair is the reward of its chosen completion minus that of its
 * rejected one (`rewards/margins`); its gradient weight is
 *
 *   sigma(-m),
 *
 * the probability that the Bradley-Terry model of these rewards gives to the label being the wrong way round, and exactly
 * the factor that weighs a pair's gradient in DPO (Rafailov et al. 2023, section 4): 1/2 at the start, near 0 for a pair
 * that is ranked right by far, near 1 for one that is ranked backwards. It is defined so for every objective over pairs,
 * also for those whose gradient another function of the margin weighs.
 */

export function gradientWeight(margin: number): number {
  return 1 / (1 + Math.exp(margin));
}

/** Margins closer together than this differ by float32 rounding alone. */
const ROUNDING = 1e-3;

/** Collects pairs, and describes them together. */
export class PairStatistics {
  private readonly margins: number[] = [];
  private readonly lengthDifferences: number[] = [];

  /** Adds a pair with its margin and by how many tokens its chosen completion is longer. A margin of NaN is none. */
  add(margin: number, lengthDifference: number): void {
    if (Number.isNaN(margin)) return;
    this.margins.push(margin);
    this.lengthDifferences.push(lengthDifference);
  }

  /** The 10th, 50th and 90th percentile of the gradient weights; nothing without pairs. */
  gradientWeights(): Record<string, number> {
    if (this.margins.length === 0) return {};
    const sorted = this.margins.map(gradientWeight).sort((a, b) => a - b);
    return Object.fromEntries(
      [10, 50, 90].map((percent) => [`gradient_weights/p${percent}`, quantile(sorted, percent / 100)]),
    );
  }

  /** The correlation of the margin with the difference in length; nothing where one of them does not vary. */
  lengthCorrelation(): Record<string, number> {
    const spread = Math.max(...this.margins) - Math.min(...this.margins);
    if (!(spread > ROUNDING)) return {};
    const length_correlation = correlation(this.margins, this.lengthDifferences);
    return Number.isNaN(length_correlation) ? {} : { length_correlation };
  }
}

/** The value below which a share of sorted values lies, interpolated between neighbours. */
export function quantile(sorted: readonly number[], share: number): number {
  const at = share * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(at)]!, sorted[Math.ceil(at)]!];
  return low + (at - Math.floor(at)) * (high - low);
}

/** Pearson's; NaN where one side does not vary. */
export function correlation(x: readonly number[], y: readonly number[]): number {
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  const [meanX, meanY] = [mean(x), mean(y)];
  let [xy, xx, yy] = [0, 0, 0];
  x.forEach((value, i) => {
    const [dx, dy] = [value - meanX, y[i]! - meanY];
    xy += dx * dy;
    xx += dx * dx;
    yy += dy * dy;
  });
  return xy / Math.sqrt(xx * yy);
}
