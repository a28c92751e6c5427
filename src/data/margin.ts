/**
 * How strongly a pair prefers its chosen completion, for objectives that read it: the row's `margin`, or the difference of
 * two scores, `chosen_score` and `rejected_score` (or `score_chosen` and `score_rejected`), or of the scores that a ranking was made from.
 * Rows are read so only where an objective needs it: other runs don't care what these fields hold.
 */

import { firstField, numberField, type Row } from "./fields.ts";
import { RowProblem } from "./problem.ts";

/** The margin itself, or its logarithm. */
export type MarginName = "margin" | "logMargin";

const scoreFields = [
  ["chosen_score", "rejected_score"],
  ["score_chosen", "score_rejected"],
] as const;

/** A pair's margin, under the name that an objective reads. `difference` is that of its scores. Throws RowProblem for a row without. */
export function marginValue(row: Row, difference: number | undefined, name: MarginName): number {
  const margin = marginOf(row, difference);
  if (name === "margin") return margin;
  if (margin > 0) return Math.log(margin);
  throw new RowProblem(
    "missing or wrong field",
    `the margin ${margin} has no logarithm, which --offset-scale log takes of it: it must be above 0`,
  );
}

function marginOf(row: Row, difference: number | undefined): number {
  if (row.margin != null) return numberField(row, "margin");
  const scores = scoreFields.find((fields) => firstField(row, fields) !== undefined);
  if (scores) return numberField(row, scores[0]) - numberField(row, scores[1]);
  if (difference !== undefined) return difference;
  throw new RowProblem(
    "missing or wrong field",
    "the row has no `margin`, nor the scores `chosen_score` and `rejected_score`, which the objective reads",
  );
}
