/**
 * How strongly a pair prefers its chosen completion, for objectives that read it: the row's `margin`, or the difference of
 * two scores, `chosen_score` and `rejected_score` (or `score_chosen` and `score_rejected`). Rows are read so only where an
 * objective needs it: other runs don't care what these fields hold.
 */

import type { Example, RowOrigin } from "./example.ts";
import { asRow, requiredField, wrongField } from "./fields.ts";
import { excerpt, RowProblem } from "./problem.ts";

type PairAdapter = (value: unknown, origin: RowOrigin) => Example;

const scoreFields = [
  ["chosen_score", "rejected_score"],
  ["score_chosen", "score_rejected"],
] as const;

/** The adapter's example with the value `margin`, or `logMargin`. Throws RowProblem for a row that has none. */
export function withMargin(adapt: PairAdapter, name: "margin" | "logMargin"): PairAdapter {
  return (value, origin) => {
    const example = adapt(value, origin);
    const margin = marginOf(asRow(value));
    if (name === "logMargin" && margin <= 0) {
      throw new RowProblem(
        "missing or wrong field",
        `the margin ${margin} has no logarithm, which --offset-scale log takes of it: it must be above 0`,
      );
    }
    return { ...example, values: { ...example.values, [name]: name === "margin" ? margin : Math.log(margin) } };
  };
}

function marginOf(row: Record<string, unknown>): number {
  if (row.margin != null) return numberField(row, "margin");
  const scores = scoreFields.find((fields) => fields.some((field) => row[field] != null));
  if (scores) return numberField(row, scores[0]) - numberField(row, scores[1]);
  throw new RowProblem(
    "missing or wrong field",
    "the row has no `margin`, nor the scores `chosen_score` and `rejected_score`, which the objective reads",
  );
}

function numberField(row: Record<string, unknown>, field: string): number {
  const value = requiredField(row, field);
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw wrongField(field, `is not a number: ${excerpt(value)}`);
}
