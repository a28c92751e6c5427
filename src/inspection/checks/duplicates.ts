/** Rows that are there more than once, to the letter. */

import { describeOrigin, type RowOrigin } from "../../data/example.ts";
import { exactKey } from "../../data/repeats.ts";
import { type Check, Tally } from "../check.ts";

export function duplicates(named: number): Check {
  const first = new Map<number, RowOrigin>();
  const tally = new Tally(named);
  let rows = 0;
  return {
    see({ origin, example, hashes }) {
      rows++;
      const key = exactKey(example, hashes);
      const earlier = first.get(key);
      if (earlier === undefined) first.set(key, origin);
      else tally.add(origin, `the same as ${describeOrigin(earlier)}`);
    },
    findings: () =>
      tally.finding(
        {
          name: "exact duplicates",
          level: "warning",
          why: "Each copy is one more pass over the same row: it is learned sooner by heart than the others, and counts more in every average.",
          remedy: "--drop duplicates keeps the first of each.",
        },
        rows,
      ),
  };
}
