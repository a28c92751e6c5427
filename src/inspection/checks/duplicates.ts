/** Rows that are there more than once, to the letter. */

import { describeOrigin, type RowOrigin } from "../../data/example.ts";
import { hashOf, hashOfHashes } from "../../data/hash.ts";
import { type Check, Tally } from "../check.ts";

export function duplicates(named: number): Check {
  const first = new Map<number, RowOrigin>();
  const tally = new Tally(named);
  let rows = 0;
  return {
    see({ origin, promptHash, completions }) {
      rows++;
      const key = hashOfHashes([promptHash, ...completions.flatMap(({ role, hash }) => [hashOf(role), hash])]);
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
          remedy: "Keep the first of each and remove the others; --json --examples 1000000 lists them all.",
        },
        rows,
      ),
  };
}
