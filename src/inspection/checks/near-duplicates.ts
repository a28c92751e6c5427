/** Rows that nearly repeat an earlier one. */

import { describeLikeness, NearDuplicates } from "../../data/near-duplicates.ts";
import { exactKey } from "../../data/repeats.ts";
import { type Check, Tally } from "../check.ts";

export function nearDuplicates(named: number): Check {
  const near = new NearDuplicates();
  const tally = new Tally(named);
  const seen = new Set<number>();
  let rows = 0;
  return {
    see({ origin, example, hashes }) {
      rows++;
      const key = exactKey(example, hashes);
      // Copies to the letter are a finding of their own.
      if (seen.has(key)) return;
      seen.add(key);
      const found = near.find([example], origin);
      if ("keep" in found) found.keep();
      else tally.add(origin, describeLikeness(found));
    },
    findings: () =>
      tally.finding(
        {
          name: "near duplicates",
          level: "note",
          why: "They share at least 80 % of their runs of three words with an earlier row, so they say little that is new and are learned by heart sooner.",
          remedy: "Look at some; --drop near-duplicates keeps the first of each kind, fewer --epochs lessen the harm.",
        },
        rows,
      ),
  };
}
