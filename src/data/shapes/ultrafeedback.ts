/**
 * UltraFeedback as it was published: `instruction`, and `completions` with a `response` and its scores each. A completion's score is
 * the mean of its ratings for each aspect (`fine-grained_score`, or the `annotations` themselves): `overall_score` is known to be wrong in
 * many rows, and stands in only where there is no other.
 */

import { asNumber, asRow, listField, type Row, textField } from "../fields.ts";
import { wrongField } from "../problem.ts";
import { exchange } from "./exchange.ts";
import { ranksOf } from "./ranks.ts";
import type { Shape } from "./shape.ts";

export const ultrafeedback: Shape = {
  name: "ultrafeedback",
  summary: "instruction, completions of response and scores",
  matches: ({ instruction, completions }) => typeof instruction === "string" && Array.isArray(completions),
  read(row, options) {
    const given = listField(row, "completions", "completions").map(asRow);
    const scores = given.map((completion, i) => scoreOf(completion, `completions[${i}]`));
    const answers = given.map((completion) => textField(completion, "response"));
    const names = given.map((_, i) => `completions[${i}].response`);
    const texts = exchange(textField(row, "instruction"), answers, options);
    return { kind: "compared", ...texts, ranks: ranksOf(scores), scores, names };
  },
};

function scoreOf(completion: Row, field: string): number {
  const fine = completion["fine-grained_score"];
  if (fine != null) return asNumber(fine, `${field}.fine-grained_score`);
  const ratings = ratingsIn(completion.annotations);
  if (ratings.length > 0) return ratings.reduce((a, b) => a + b, 0) / ratings.length;
  if (completion.overall_score != null) return asNumber(completion.overall_score, `${field}.overall_score`);
  throw wrongField(field, "has no score: no `fine-grained_score`, no ratings in `annotations`, no `overall_score`");
}

/** The ratings of the aspects that were rated: text such as "4", or "N/A". */
function ratingsIn(annotations: unknown): number[] {
  if (typeof annotations !== "object" || annotations === null) return [];
  return Object.values(annotations).flatMap((aspect: unknown) => {
    const rating = (aspect as { Rating?: unknown } | null)?.Rating;
    const number = typeof rating === "string" ? Number.parseFloat(rating) : rating;
    return typeof number === "number" && Number.isFinite(number) ? [number] : [];
  });
}
