/**
 * Rows of single completions that are desirable or not, one function from a parsed row to its examples:
 * - `prompt`, `completion`, each a string or a list of messages, and `label`;
 * - `messages`, a conversation that ends with the assistant's message, which is the completion, and `label`;
 * - a preference pair in any of its shapes (preferences.ts): the chosen completion is desirable, the rejected is not.
 * A label is true or 1 for a desirable completion, false or 0 for another.
 */

import type { Content, Example, RowOrigin } from "./example.ts";
import { answersTo, asRow, contentField, isEmpty, requiredField, wrongField } from "./fields.ts";
import { preferenceExample } from "./preferences.ts";
import { excerpt, RowProblem } from "./problem.ts";

type Row = Record<string, unknown>;

/** A row's examples of one completion, each with the value `label`: 1 or 0. Two of a pair, chosen first. Throws RowProblem. */
export function labelledExamples(value: unknown, origin: RowOrigin): readonly Example[] {
  const row = asRow(value);
  if (isPair(row)) return unpaired(preferenceExample(row, origin));
  const { prompt, completion } = row.completion == null && row.messages != null ? lastAnswer(row) : answer(row);
  const label = labelOf(requiredField(row, "label"));
  if (isEmpty(completion)) throw new RowProblem("empty completion", "the completion is empty");
  return [{ origin, values: { label }, prompt, completions: [completion] }];
}

/** Some data sets of pairs carry the chosen conversation as `messages` too. */
function isPair(row: Row): boolean {
  const isLabelled = row.completion != null || (row.messages != null && row.label != null);
  return !isLabelled && (row.chosen != null || row.rejected != null);
}

function unpaired({ origin, prompt, completions }: Example): Example[] {
  return completions.map((completion, i) => ({
    origin,
    values: { label: i === 0 ? 1 : 0 },
    prompt,
    completions: [completion],
  }));
}

interface Answer {
  readonly prompt: Content;
  readonly completion: Content;
}

function answer(row: Row): Answer {
  const given = contentField(row, "completion");
  const { prompt, completions } = answersTo(contentField(row, "prompt"), [given], ["completion"]);
  return { prompt, completion: completions[0]! };
}

function lastAnswer(row: Row): Answer {
  const messages = contentField(row, "messages");
  if (typeof messages === "string") throw wrongField("messages", "is a string, not a list of messages");
  if (messages.at(-1)?.role !== "assistant") throw wrongField("messages", "does not end with the assistant's message");
  if (messages.length === 1) throw wrongField("messages", "has no turn before the assistant's answer");
  return { prompt: messages.slice(0, -1), completion: messages.slice(-1) };
}

function labelOf(value: unknown): 0 | 1 {
  if (value === true || value === 1) return 1;
  if (value === false || value === 0) return 0;
  throw wrongField("label", `is ${excerpt(value)}, not true or false (or 1 or 0)`);
}
