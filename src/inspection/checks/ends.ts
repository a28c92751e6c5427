/** Completions from which the model does not learn where to stop: their end token is cut off with the rest. */

import type { LengthLimits } from "../../data/truncate.ts";
import { type Check, Tally } from "../check.ts";
import { cutAnswersRemedy } from "./ledger.ts";

export function missingEnds(named: number, limits: LengthLimits): Check {
  const tally = new Tally(named);
  let rows = 0;
  return {
    see({ origin, completions }) {
      rows++;
      const open = completions.filter(({ ends }) => !ends);
      if (open.length > 0)
        tally.add(origin, open.map(({ role, tokens, kept }) => `${role}: ${kept} of ${tokens} tokens left`).join(", "));
    },
    findings: () =>
      tally.finding(
        {
          name: "completions without their end",
          level: tally.count > rows / 10 ? "warning" : "note",
          why: "They are longer than the limit, and their end token is cut off with the rest: the model does not learn to end its turn from them.",
          remedy: cutAnswersRemedy(limits),
        },
        rows,
      ),
  };
}
