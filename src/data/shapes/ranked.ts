/**
 * Several completions in order of preference:
 * - `prompt`, `ranked`: the completions, best first;
 * - `prompt`, `completions` (or `responses`), and for each one of `scores`, where more is better, or one of `ranks`, where less is
 *   better; equal numbers are ties.
 * Prompt and completions are strings or lists of messages.
 */

import type { Content } from "../example.ts";
import { answersTo, asContent, contentField, firstField, listField, type Row } from "../fields.ts";
import { wrongField } from "../problem.ts";
import { numbersFor, ranksOf } from "./ranks.ts";
import type { Compared, Shape } from "./shape.ts";

/** The fields that may hold the completions. */
const fields = ["ranked", "completions", "responses"] as const;

export const ranked: Shape = {
  name: "ranked",
  summary: "prompt, and ranked (best first), or completions with scores or ranks",
  matches: (row) => firstField(row, fields) !== undefined,
  read(row) {
    const field = firstField(row, fields) ?? "ranked";
    const given = listField(row, field, "completions").map((item, i): Content => asContent(item, `${field}[${i}]`));
    const order = orderOf(row, field, given.length);
    const places = given.map((_, i) => `${field}[${i}]`);
    const texts = answersTo(contentField(row, "prompt"), given, places);
    return { kind: "compared", ...texts, ...order, names: places.map((place) => `\`${place}\``) };
  },
};

function orderOf(row: Row, field: string, count: number): Pick<Compared, "ranks" | "scores"> {
  if (field === "ranked") return { ranks: Array.from({ length: count }, (_, i) => i + 1) };
  if (row.scores != null && row.ranks != null) throw wrongField("ranks", "stands beside `scores`: give one of them");
  if (row.scores != null) {
    const scores = numbersFor(count, listField(row, "scores", "numbers"), "scores");
    return { ranks: ranksOf(scores), scores };
  }
  if (row.ranks == null) {
    throw wrongField(field, "has no order: give `scores` (more is better), `ranks` (less is better), or `ranked`");
  }
  const ranks = numbersFor(count, listField(row, "ranks", "numbers"), "ranks");
  return { ranks: ranksOf(ranks.map((rank) => -rank)) };
}
