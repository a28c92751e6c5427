/** The same prompt and the same two completions, preferred in both orders; or one answer, labelled desirable and not. */

import { describeOrigin, type RowOrigin } from "../../data/example.ts";
import { opposingKeys } from "../../data/repeats.ts";
import { type Check, Tally } from "../check.ts";

export function opposites(named: number): Check {
  const first = new Map<number, RowOrigin>();
  const tally = new Tally(named);
  let rows = 0;
  return {
    see({ origin, example }) {
      const keys = opposingKeys(example);
      if (keys === undefined) return;
      rows++;
      const opposite = first.get(keys.opposite);
      if (opposite !== undefined) tally.add(origin, `the opposite of ${describeOrigin(opposite)}`);
      if (!first.has(keys.own)) first.set(keys.own, origin);
    },
    findings: () =>
      tally.finding(
        {
          name: "opposite preferences",
          level: "problem",
          why: "The same answers to the same prompt are preferred both ways round, or one is labelled good and bad: their gradients cancel, and one of the labels is wrong.",
          remedy:
            "--drop opposites leaves out both of each; --label-smoothing 0.1 or --loss robust allow for labels that are wrong.",
        },
        rows,
      ),
  };
}
