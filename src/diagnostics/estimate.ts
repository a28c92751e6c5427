/** A mean with its standard error. */

export interface Estimate {
  readonly mean: number;
  /** Sample deviation over the square root of the number of values; 0 for a single value, which says nothing of it. */
  readonly standardError: number;
}

/** The mean of one or more values. */
export function estimate(values: readonly number[]): Estimate {
  const count = values.length;
  const mean = sum(values) / count;
  if (count < 2) return { mean, standardError: 0 };
  const variance = sum(values.map((value) => (value - mean) ** 2)) / (count - 1);
  return { mean, standardError: Math.sqrt(variance / count) };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
