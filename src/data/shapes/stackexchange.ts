/**
 * Answers on Stack Exchange with their scores: `question`, and `answers` with a `text` and a `pm_score` each (Askell et al. 2021: log2 of
 * 1 + votes, one more for an accepted answer). Questions and answers are HTML, of which the text is taken.
 */

import { asNumber, asRow, type Row, requiredField, textField } from "../fields.ts";
import { excerpt, kindOf, wrongField } from "../problem.ts";
import { exchange } from "./exchange.ts";
import { textOfHtml } from "./html.ts";
import { ranksOf } from "./ranks.ts";
import type { Shape } from "./shape.ts";

export const stackexchange: Shape = {
  name: "stackexchange",
  summary: "question, answers of text and pm_score",
  matches: ({ question, answers }) => typeof question === "string" && typeof answers === "object" && answers !== null,
  read(row, options) {
    const answers = answersOf(row);
    const scores = answers.map(({ pm_score: score }, i) => asNumber(score, `answers[${i}].pm_score`));
    const texts = answers.map((answer) => textOfHtml(textField(answer, "text")));
    return {
      kind: "compared",
      ...exchange(textOfHtml(textField(row, "question")), texts, options),
      ranks: ranksOf(scores),
      scores,
      names: answers.map((_, i) => `answers[${i}].text`),
    };
  },
};

/** A list of answers, or a list of each of their fields, as some tables have it. */
function answersOf(row: Row): readonly Row[] {
  const answers = requiredField(row, "answers");
  if (Array.isArray(answers)) return answers.map(asRow);
  const { text, pm_score: scores } = asRow(answers);
  if (Array.isArray(text) && Array.isArray(scores) && text.length === scores.length) {
    return text.map((item: unknown, i) => ({ text: item, pm_score: scores[i] }));
  }
  throw wrongField("answers", `is ${kindOf(answers)}, not a list of answers: ${excerpt(answers)}`);
}
