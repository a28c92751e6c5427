/** The same prompt and the same two completions, preferred in both orders. */

import { describeOrigin, type RowOrigin } from "../../data/example.ts";
import { hashOf, hashOfHashes } from "../../data/hash.ts";
import { type Check, Tally } from "../check.ts";
import { pairOf } from "../row.ts";

export function opposites(named: number): Check {
  const first = new Map<number, RowOrigin>();
  const tally = new Tally(named);
  let pairs = 0;
  return {
    see(row) {
      const pair = pairOf(row);
      if (pair === undefined) return;
      pairs++;
      const [chosen, rejected] = [hashOf(pair[0].text.trim()), hashOf(pair[1].text.trim())];
      const prompt = hashOf(row.prompt.trim());
      const opposite = first.get(hashOfHashes([prompt, rejected, chosen]));
      if (opposite !== undefined) tally.add(row.origin, `the opposite of ${describeOrigin(opposite)}`);
      const key = hashOfHashes([prompt, chosen, rejected]);
      if (!first.has(key)) first.set(key, row.origin);
    },
    findings: () =>
      tally.finding(
        {
          name: "opposite preferences",
          level: "problem",
          why: "The same two answers to the same prompt are preferred both ways round: their gradients cancel, and one of the labels is wrong.",
          remedy: "Remove one of each or both; --label-smoothing 0.1 or --loss robust allow for labels that are wrong.",
        },
        pairs,
      ),
  };
}
