/** `prompt` and `completion`, each a string or a list of messages. */

import { answersTo, contentField, type Row } from "../fields.ts";
import type { Answer, Shape } from "./shape.ts";

export const completion: Shape = {
  name: "completion",
  summary: "prompt, completion",
  matches: (row) => row.completion != null,
  read: answerIn,
};

export function answerIn(row: Row): Answer {
  const given = contentField(row, "completion");
  const { prompt, completions } = answersTo(contentField(row, "prompt"), [given], ["completion"]);
  return { kind: "answer", prompt, completion: completions[0]! };
}
