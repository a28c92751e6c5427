/** The names that were probably meant. */

/** The nearest of `known` by edit distance, where it is near enough to be a slip. */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  return nearestFew(name, known, 1)[0];
}

/** How far a candidate is from what was written. */
type Distance = (name: string, candidate: string) => number;

/** The nearest `count` of `known`, the nearest first, without those that are too far to be slips. */
export function nearestFew(
  name: string,
  known: Iterable<string>,
  count: number,
  distance: Distance = editDistance,
): string[] {
  return [...new Set(known)]
    .map((candidate) => ({ candidate, far: distance(name, candidate) }))
    .filter(({ candidate, far }) => far <= Math.max(2, 0.4 * Math.max(name.length, candidate.length)))
    .sort((a, b) => a.far - b.far)
    .slice(0, count)
    .map(({ candidate }) => candidate);
}

/** Insertions, deletions and substitutions from one text to the other (Levenshtein 1966). */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}
