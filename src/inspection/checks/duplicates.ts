/** Rows that are there more than once, to the letter. */

import { describeOrigin, type RowOrigin } from "../../data/example.ts";
import { type Check, Tally } from "../check.ts";
import { hashOf } from "./hash.ts";

export function duplicates(named: number): Check {
  const first = new Map<number, RowOrigin>();
  const tally = new Tally(named);
  let rows = 0;
  return {
    see({ origin, prompt, completions }) {
      rows++;
      const key = hashOf(prompt, ...completions.flatMap(({ role, text }) => [role, text]));
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
