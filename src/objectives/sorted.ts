/** Matching two lists in sorted order, which is the optimal transport between them on a line. */

/** For each of `values` the one of `others` that has the same place when both are sorted. Equal values keep their order. */
export function matched(values: readonly number[], others: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((i, j) => values[i]! - values[j]!);
  const sorted = others.toSorted((a, b) => a - b);
  const result = new Array<number>(values.length);
  order.forEach((i, place) => {
    result[i] = sorted[place]!;
  });
  return result;
}
