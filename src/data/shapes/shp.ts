/**
 * Stanford Human Preferences: a post's `history`, two comments `human_ref_A` and `human_ref_B`, `labels` (1 where A is preferred, 0 where
 * B is). As the official DPO code does, a pair is kept whose comments' scores are in a ratio of 2 or more: closer ones say
 * little of what people prefer.
 */

import { numberField, type Row, textField } from "../fields.ts";
import { excerpt, RowProblem, wrongField } from "../problem.ts";
import { exchange } from "./exchange.ts";
import type { Shape } from "./shape.ts";

const MIN_RATIO = 2;

export const shp: Shape = {
  name: "shp",
  summary: `history, human_ref_A, human_ref_B, labels; pairs whose scores are in a ratio of ${MIN_RATIO} or more`,
  matches: (row) => row.history != null && row.human_ref_A != null,
  read(row, options) {
    const answers = [textField(row, "human_ref_A"), textField(row, "human_ref_B")];
    const label = numberField(row, "labels");
    if (label !== 0 && label !== 1) throw wrongField("labels", `is ${excerpt(row.labels)}, not 1 (A) or 0 (B)`);
    const ratio = ratioOf(row);
    if (ratio < MIN_RATIO) {
      throw new RowProblem("weak preference", `the scores are in a ratio of ${ratio.toFixed(2)}, below ${MIN_RATIO}`);
    }
    return {
      kind: "compared",
      ...exchange(textField(row, "history"), answers, options),
      ranks: label === 1 ? [1, 2] : [2, 1],
      names: ["`human_ref_A`", "`human_ref_B`"],
    };
  },
};

function ratioOf(row: Row): number {
  if (row.score_A == null || row.score_B == null) return numberField(row, "score_ratio");
  const [a, b] = [numberField(row, "score_A"), numberField(row, "score_B")];
  return Math.max(a / b, b / a);
}
