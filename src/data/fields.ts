/**
 * What all row adapters share: a row's fields as text or messages, and what is wrong with a field in words. Functions throw
 * RowProblem that names the field.
 */

import type { Content, Message } from "./example.ts";
import { excerpt, RowProblem } from "./problem.ts";

/** The row as an object of fields. */
export function asRow(value: unknown): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new RowProblem(
    "missing or wrong field",
    `a row is an object with fields, this one is ${kindOf(value)}: ${excerpt(value)}`,
  );
}

/** A field that must be there: text, or a list of messages. */
export function contentField(row: Record<string, unknown>, field: string): Content {
  return asContent(requiredField(row, field), field);
}

/** The value of a field that must be there; null is absent. */
export function requiredField(row: Record<string, unknown>, field: string): unknown {
  const value = row[field];
  if (value != null) return value;
  const present = Object.keys(row).filter((key) => row[key] != null);
  const fields = present.length === 0 ? "no fields" : `only ${excerpt(present.join(", "), 120)}`;
  throw new RowProblem("missing or wrong field", `the field \`${field}\` is missing (the row has ${fields})`);
}

/** A value as text or a list of messages; `field` names it in messages. */
export function asContent(value: unknown, field: string): Content {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) {
    throw wrongField(field, `is ${kindOf(value)}, not a string or a list of messages: ${excerpt(value)}`);
  }
  return value.map((message, i) => asMessage(message, `${field}[${i}]`));
}

function asMessage(value: unknown, field: string): Message {
  if (typeof value !== "object" || value === null) {
    throw wrongField(field, `is ${kindOf(value)}, not a message with \`role\` and \`content\`: ${excerpt(value)}`);
  }
  const { role, content, tool_calls: calls } = value as Record<string, unknown>;
  if (typeof role !== "string")
    throw wrongField(`${field}.role`, `is ${kindOf(role)}, not a string: ${excerpt(role ?? value)}`);
  // Dropping the calls would train the model on a turn that says nothing.
  if (Array.isArray(calls) && calls.length > 0) throw wrongField(`${field}.tool_calls`, "is not supported");
  if (typeof content !== "string") {
    throw wrongField(`${field}.content`, `is ${kindOf(content)}, not a string: ${excerpt(content ?? value)}`);
  }
  return { role, content };
}

export function wrongField(field: string, what: string): RowProblem {
  return new RowProblem("missing or wrong field", `the field \`${field}\` ${what}`);
}

/** What a value is, in words. */
export function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (value === undefined) return "missing";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

/**
 * A prompt with any number of completions in one form: text after text, messages after messages. A string before messages is
 * the user's. `fields` names the completions in messages.
 */
export function answersTo(
  prompt: Content,
  completions: readonly Content[],
  fields: readonly string[],
): { readonly prompt: Content; readonly completions: readonly Content[] } {
  if (typeof prompt !== "string" || completions.every((completion) => typeof completion === "string")) {
    return { prompt, completions: completions.map((completion, i) => completionOf(prompt, completion, fields[i]!)) };
  }
  const text = completions.findIndex((completion) => typeof completion === "string");
  if (text >= 0) {
    throw wrongField(fields[text]!, "is a string and another completion a list of messages: give all in one form");
  }
  return answersTo([{ role: "user", content: prompt }], completions, fields);
}

/** A completion in the form its prompt has: after messages, the assistant's messages without the prompt's before them. */
export function completionOf(prompt: Content, completion: Content, field: string): Content {
  if (typeof prompt === "string") return completion;
  if (typeof completion === "string")
    return completion === "" ? completion : [{ role: "assistant", content: completion }];
  const answer = sharedTurns(prompt, completion) === prompt.length ? completion.slice(prompt.length) : completion;
  const first = answer[0];
  if (first !== undefined && first.role !== "assistant") {
    throw wrongField(
      field,
      `starts with the role ${excerpt(first.role)}: a completion starts with the assistant's message`,
    );
  }
  return answer;
}

/** How many of their first turns two conversations share. */
export function sharedTurns(a: readonly Message[], b: readonly Message[]): number {
  let turns = 0;
  while (turns < a.length && turns < b.length && sameMessage(a[turns]!, b[turns]!)) turns++;
  return turns;
}

function sameMessage(a: Message, b: Message): boolean {
  return a.role === b.role && a.content === b.content;
}

export function sameContent(a: Content, b: Content): boolean {
  if (typeof a === "string" || typeof b === "string") return a === b;
  return a.length === b.length && sharedTurns(a, b) === a.length;
}

/** Whether nothing is said. */
export function isEmpty(content: Content): boolean {
  return typeof content === "string" ? content === "" : content.every((message) => message.content === "");
}
