/**
 * How much of the preference the length alone predicts. A rule sees nothing but the two lengths a (chosen) and b (rejected), in
 * tokens, and takes the one nearer to a target L: the shorter for small L, the longer for large L. It is right where
 *
 *   a < b and L < (a + b) / 2,   or   a > b and L > (a + b) / 2,
 *
 * half right where a = b. The best L is found exactly, from one sort of the pairs' midpoints. The AUC is the probability that a
 * chosen completion, whatever its prompt, is longer than a rejected one (Mann and Whitney 1947; ties count half).
 */

import { type Check, type Finding, Tally } from "../check.ts";
import { pairOf } from "../row.ts";

interface LengthRule {
  /** The share of pairs that the best rule gets right: 0.5 to 1. */
  readonly accuracy: number;
  /** Its target, in tokens: 0 takes the shorter always, infinity the longer. */
  readonly target: number;
  /** 0.5 where length says nothing. */
  readonly auc: number;
  /** The share of pairs whose chosen completion is longer. */
  readonly longer: number;
}

/** Above this and above chance by three standard errors, length is worth a finding; and from this on a warning. */
const NOTABLE = 0.55;
const STRONG = 0.65;

export function lengthPreference(named: number): Check {
  const chosen: number[] = [];
  const rejected: number[] = [];
  const longer = new Tally(named);
  return {
    see(row) {
      const pair = pairOf(row);
      if (pair === undefined) return;
      const [a, b] = [pair[0].tokens, pair[1].tokens];
      chosen.push(a);
      rejected.push(b);
      // The rows that training will learn the most about length from.
      if (a >= 2 * b && a >= b + 32) longer.add(row.origin, `chosen ${a} tokens, rejected ${b}`);
    },
    findings(): Finding[] {
      if (chosen.length === 0) return [];
      const { accuracy, target, auc, longer: share } = lengthRule(chosen, rejected);
      if (accuracy < Math.max(NOTABLE, 0.5 + 1.5 / Math.sqrt(chosen.length))) return [];
      const percent = (x: number) => `${(100 * x).toFixed(1)} %`;
      const rule =
        target === 0
          ? "the shorter"
          : target === Number.POSITIVE_INFINITY
            ? "the longer"
            : `the one nearer to ${Math.round(target)} tokens`;
      return [
        {
          name: "length predicts the preference",
          level: accuracy >= STRONG ? "warning" : "note",
          count: Math.round(share * chosen.length),
          share,
          rows: longer.rows,
          why: `The chosen completion is the longer one in ${percent(share)} of the pairs. Taking ${rule} is right in ${percent(accuracy)} of them (AUC of the length ${auc.toFixed(3)}), so that much can be learned without reading.`,
          remedy:
            "--ld-alpha 0.5 weighs what is beyond the shorter completion less; --loss sigmoid_norm and preftune simpo compare averages a token.",
        },
      ];
    },
  };
}

/** The best rule for pairs of lengths, of which there is at least one. */
export function lengthRule(chosen: readonly number[], rejected: readonly number[]): LengthRule {
  const pairs = chosen.length;
  let right = 0;
  let longer = 0;
  const changes: (readonly [middle: number, gain: number])[] = [];
  chosen.forEach((a, i) => {
    const b = rejected[i]!;
    // At L = 0 the shorter is taken; past the middle the longer.
    right += a < b ? 1 : a === b ? 0.5 : 0;
    longer += Number(a > b);
    if (a !== b) changes.push([(a + b) / 2, a > b ? 1 : -1]);
  });
  changes.sort((x, y) => x[0] - y[0]);
  let best = { right, target: 0 };
  changes.forEach(([middle, gain], i) => {
    right += gain;
    const next = changes[i + 1]?.[0] ?? Number.POSITIVE_INFINITY;
    if (next !== middle && right > best.right)
      best = { right, target: next === Number.POSITIVE_INFINITY ? next : (middle + next) / 2 };
  });
  return { accuracy: best.right / pairs, target: best.target, auc: auc(chosen, rejected), longer: longer / pairs };
}

/** The share of pairs of one of each in which the first is larger; ties count half. */
function auc(first: readonly number[], second: readonly number[]): number {
  const sorted = Float64Array.from(second).sort();
  let sum = 0;
  for (const value of first) sum += (below(sorted, value) + below(sorted, value, true)) / 2;
  return sum / (first.length * second.length);
}

/** How many sorted values are below `value`, or at most equal to it. */
function below(sorted: Float64Array, value: number, orEqual = false): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const isBelow = orEqual ? sorted[middle]! <= value : sorted[middle]! < value;
    if (isBelow) low = middle + 1;
    else high = middle;
  }
  return low;
}
