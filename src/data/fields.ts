/**
 * What all shapes of rows share: a row's fields as text, numbers or lists, and what is wrong with a field in words. Functions throw
 * RowProblem that names the field. Numbers and lists may be given as text, which is all that CSV has.
 */

import type { Content, Message } from "./example.ts";
import { asMessage, jsonOf } from "./messages.ts";
import { excerpt, kindOf, RowProblem, wrongField } from "./problem.ts";

/** A row's fields by their names. */
export type Row = Readonly<Record<string, unknown>>;

/** The row as an object of fields. */
export function asRow(value: unknown): Row {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Row;
  throw new RowProblem(
    "missing or wrong field",
    `a row is an object with fields, this one is ${kindOf(value)}: ${excerpt(value)}`,
  );
}

/** A field that must be there: text, or a list of messages. */
export function contentField(row: Row, field: string): Content {
  return asContent(requiredField(row, field), field);
}

/** The value of a field that must be there; null is absent. */
export function requiredField(row: Row, field: string): unknown {
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

/** A field that must be there: text. */
export function textField(row: Row, field: string): string {
  const value = requiredField(row, field);
  if (typeof value === "string") return value;
  throw wrongField(field, `is ${kindOf(value)}, not a string: ${excerpt(value)}`);
}

/** A field that must be there: a list of messages. */
export function messagesField(row: Row, field: string): readonly Message[] {
  const content = contentField(row, field);
  if (typeof content !== "string") return content;
  throw wrongField(field, "is a string, not a list of messages");
}

/** A field that must be there: a number. */
export function numberField(row: Row, field: string): number {
  return asNumber(requiredField(row, field), field);
}

export function asNumber(value: unknown, field: string): number {
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  if (typeof number === "number" && Number.isFinite(number)) return number;
  throw wrongField(field, `is not a number: ${excerpt(value)}`);
}

/** A field that must be there: a list, of `what`. */
export function listField(row: Row, field: string, what: string): readonly unknown[] {
  const value = requiredField(row, field);
  const list = typeof value === "string" ? (jsonOf(value) ?? value) : value;
  if (Array.isArray(list)) return list;
  throw wrongField(field, `is ${kindOf(value)}, not a list of ${what}: ${excerpt(value)}`);
}

/** What stands under any of several names, the first that is there. */
export function firstField(row: Row, names: readonly string[]): string | undefined {
  return names.find((name) => row[name] != null);
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
  return a.role === b.role && a.content === b.content && callsOf(a) === callsOf(b);
}

function callsOf({ tool_calls: calls }: Message): string {
  return JSON.stringify(calls ?? []);
}

export function sameContent(a: Content, b: Content): boolean {
  if (typeof a === "string" || typeof b === "string") return a === b;
  return a.length === b.length && sharedTurns(a, b) === a.length;
}

/** Whether nothing is said. */
export function isEmpty(content: Content): boolean {
  if (typeof content === "string") return content === "";
  return content.every((message) => message.content === "" && message.tool_calls === undefined);
}
