/**
 * Single completions that are desirable or not: `prompt`, `completion` (strings or lists of messages) and `label`; or `messages` (or
 * `conversations`), which end with the assistant's message that is judged, and `label`. A label is true or 1, or false or 0.
 */

import { messagesField, type Row, requiredField } from "../fields.ts";
import { excerpt, wrongField } from "../problem.ts";
import { answerIn, completion } from "./completion.ts";
import { conversationFields } from "./conversation.ts";
import type { Answer, Shape } from "./shape.ts";

export const kto: Shape = {
  name: "kto",
  summary: "prompt, completion, label; or messages, label",
  matches: (row) =>
    row.label != null && (completion.matches(row) || conversationFields.some((name) => row[name] != null)),
  read(row) {
    const field = conversationFields.find((name) => row[name] != null);
    const answer = row.completion == null && field !== undefined ? lastAnswer(row, field) : answerIn(row);
    return { ...answer, label: labelOf(requiredField(row, "label")) };
  },
};

function lastAnswer(row: Row, field: string): Answer {
  const messages = messagesField(row, field);
  if (messages.at(-1)?.role !== "assistant") throw wrongField(field, "does not end with the assistant's message");
  if (messages.length === 1) throw wrongField(field, "has no turn before the assistant's answer");
  return { kind: "answer", prompt: messages.slice(0, -1), completion: messages.slice(-1) };
}

const labels: ReadonlyMap<unknown, 0 | 1> = new Map<unknown, 0 | 1>([
  [true, 1],
  [1, 1],
  ["true", 1],
  ["1", 1],
  ["1.0", 1],
  [false, 0],
  [0, 0],
  ["false", 0],
  ["0", 0],
  ["0.0", 0],
]);

/** Text is what CSV has, in which pandas writes a column of numbers with a gap in it as 1.0. */
function labelOf(value: unknown): 0 | 1 {
  const label = labels.get(typeof value === "string" ? value.toLowerCase() : value);
  if (label !== undefined) return label;
  throw wrongField("label", `is ${excerpt(value)}, not true or false (or 1 or 0)`);
}
