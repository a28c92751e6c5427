/** Rows that are nearly the same text: one edited, reformatted or sampled again (min-hash.ts). */

import { describeOrigin, type RowOrigin } from "../../data/example.ts";
import { hashOfHashes } from "../../data/hash.ts";
import { type Check, Tally } from "../check.ts";
import { Signatures } from "../min-hash.ts";

/** Jaccard similarity of two rows' shingles from which they are called alike. */
export const ALIKE = 0.8;

export function nearDuplicates(named: number): Check {
  const signatures = new Signatures();
  const origins: RowOrigin[] = [];
  const seen = new Set<number>();
  let rows = 0;
  return {
    see({ origin, hashes, signature }) {
      rows++;
      const key = hashOfHashes([hashes.prompt, ...hashes.completions].sort((a, b) => a - b));
      // Copies to the letter, and pairs turned round, are findings of their own.
      if (seen.has(key)) return;
      seen.add(key);
      const own = signature();
      if (own === undefined) return;
      signatures.add(own);
      origins.push(origin);
    },
    findings() {
      const tally = new Tally(named);
      const likest = signatures.likest(ALIKE);
      for (const i of [...likest.keys()].sort((a, b) => a - b)) {
        const { of, similarity } = likest.get(i)!;
        tally.add(origins[i]!, `about ${Math.round(100 * similarity)} % of ${describeOrigin(origins[of]!)}`);
      }
      return tally.finding(
        {
          name: "near duplicates",
          level: "note",
          why: "They share at least 80 % of their runs of three words with an earlier row, so they say little that is new and are learned by heart sooner.",
          remedy:
            "Look at some, and keep one of each kind in the file (--json --examples 1000000 lists all of them); fewer --epochs lessen the harm.",
        },
        rows,
      );
    },
  };
}
