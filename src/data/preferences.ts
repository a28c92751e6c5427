/**
 * The shapes that preference rows come in, one function a shape, from a parsed row to an Example:
 * - `prompt`, `chosen`, `rejected`, each a string or a list of messages;
 * - `chosen`, `rejected` as whole conversations (lists of messages), the prompt being the turns they share;
 * - `chosen`, `rejected` as HH's raw text with `\n\nHuman:` and `\n\nAssistant:` turns, the prompt being their common beginning up to
 *   and with its last `\n\nAssistant:` (as the official DPO code has it: the answer keeps its leading space).
 * A prompt is cut where a turn begins, never within one. Functions throw RowProblem for rows that can't be read or used.
 */

import type { Content, Example, Message, RowOrigin } from "./example.ts";
import { excerpt, RowProblem } from "./problem.ts";

const assistantMark = "\n\nAssistant:";

/** The preference pair that a parsed row holds, chosen first. Throws RowProblem. */
export function preferenceExample(value: unknown, origin: RowOrigin): Example {
  const row = asRow(value);
  const chosen = contentField(row, "chosen");
  const rejected = contentField(row, "rejected");
  if (typeof chosen !== typeof rejected) {
    throw new RowProblem(
      "missing or wrong field",
      "the fields `chosen` and `rejected` are of different kinds: give both as strings or both as lists of messages",
    );
  }
  const pair = { origin, ...splitPair(row, chosen, rejected) };
  const [first, second] = pair.completions as readonly [Content, Content];
  if (isEmpty(first)) throw new RowProblem("empty completion", "the chosen completion is empty");
  if (isEmpty(second)) throw new RowProblem("empty completion", "the rejected completion is empty");
  if (sameContent(first, second)) throw new RowProblem("identical completions", "chosen and rejected are identical");
  return pair;
}

/** The prompt alone of a row: its `prompt`, or the one that `chosen` and `rejected` imply. Throws RowProblem. */
export function promptExample(value: unknown, origin: RowOrigin): Example {
  const row = asRow(value);
  if (row.prompt == null && row.chosen != null) return { ...preferenceExample(value, origin), completions: [] };
  return { origin, prompt: contentField(row, "prompt"), completions: [] };
}

type Pair = Pick<Example, "prompt" | "completions">;

function splitPair(row: Record<string, unknown>, chosen: Content, rejected: Content): Pair {
  if (row.prompt == null) {
    return typeof chosen === "string"
      ? splitRawText(chosen, rejected as string, Object.keys(row))
      : splitConversations(chosen, rejected as readonly Message[]);
  }
  const prompt = contentField(row, "prompt");
  if (typeof prompt === "string" && typeof chosen !== "string") {
    return answerTo(prompt, chosen, rejected as readonly Message[]);
  }
  return { prompt, completions: [completionOf(prompt, chosen, "chosen"), completionOf(prompt, rejected, "rejected")] };
}

/** A string prompt beside message lists: the lists are the answers to it, or whole conversations in which it is a turn. */
function answerTo(prompt: string, chosen: readonly Message[], rejected: readonly Message[]): Pair {
  if (chosen[0]?.role === "assistant" && rejected[0]?.role === "assistant") {
    return { prompt: [{ role: "user", content: prompt }], completions: [chosen, rejected] };
  }
  const pair = splitConversations(chosen, rejected);
  const isTurn = (message: Message) => message.content.trim() === prompt.trim();
  if (!(pair.prompt as readonly Message[]).some(isTurn)) {
    throw wrongField(
      "prompt",
      "is not a turn of the conversations in `chosen` and `rejected`: give the answers alone, or leave out `prompt`",
    );
  }
  return pair;
}

/** A completion in the form its prompt has: after messages, the assistant's messages without the prompt's before them. */
function completionOf(prompt: Content, completion: Content, field: string): Content {
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

/** Two conversations share their first turns; both go on with an answer of the assistant's. */
function splitConversations(chosen: readonly Message[], rejected: readonly Message[]): Pair {
  if (chosen.length === 0 || rejected.length === 0) {
    throw new RowProblem("empty completion", `\`${chosen.length === 0 ? "chosen" : "rejected"}\` has no messages`);
  }
  let turns = sharedTurns(chosen, rejected);
  if (turns === chosen.length && turns === rejected.length) {
    throw new RowProblem("identical completions", "chosen and rejected are identical");
  }
  const answers = (at: number) => chosen[at]?.role === "assistant" && rejected[at]?.role === "assistant";
  while (turns > 0 && !answers(turns)) turns--;
  if (turns === 0) {
    throw new RowProblem("no common prompt", "chosen and rejected share no turn before an answer of the assistant's");
  }
  return { prompt: chosen.slice(0, turns), completions: [chosen.slice(turns), rejected.slice(turns)] };
}

/** HH's raw text. */
function splitRawText(chosen: string, rejected: string, fields: readonly string[]): Pair {
  if (chosen === rejected) throw new RowProblem("identical completions", "chosen and rejected are identical");
  let shared = 0;
  while (shared < chosen.length && chosen[shared] === rejected[shared]) shared++;
  const mark = chosen.slice(0, shared).lastIndexOf(assistantMark);
  if (mark < 0) {
    throw new RowProblem(
      "no common prompt",
      `the row has no \`prompt\` (it has ${excerpt(fields.join(", "), 120)}), and chosen and rejected share no beginning that ends with an \`Assistant:\` turn`,
    );
  }
  const end = mark + assistantMark.length;
  return { prompt: chosen.slice(0, end), completions: [chosen.slice(end), rejected.slice(end)] };
}

function sharedTurns(a: readonly Message[], b: readonly Message[]): number {
  let turns = 0;
  while (turns < a.length && turns < b.length && sameMessage(a[turns]!, b[turns]!)) turns++;
  return turns;
}

function sameMessage(a: Message, b: Message): boolean {
  return a.role === b.role && a.content === b.content;
}

function sameContent(a: Content, b: Content): boolean {
  if (typeof a === "string" || typeof b === "string") return a === b;
  return a.length === b.length && sharedTurns(a, b) === a.length;
}

function isEmpty(content: Content): boolean {
  return typeof content === "string" ? content === "" : content.every((message) => message.content === "");
}

function asRow(value: unknown): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new RowProblem(
    "missing or wrong field",
    `a row is an object with fields, this one is ${kindOf(value)}: ${excerpt(value)}`,
  );
}

function contentField(row: Record<string, unknown>, field: string): Content {
  const value = row[field];
  if (value == null) {
    const present = Object.keys(row).filter((key) => row[key] != null);
    const fields = present.length === 0 ? "no fields" : `only ${excerpt(present.join(", "), 120)}`;
    throw new RowProblem("missing or wrong field", `the field \`${field}\` is missing (the row has ${fields})`);
  }
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

function wrongField(field: string, what: string): RowProblem {
  return new RowProblem("missing or wrong field", `the field \`${field}\` ${what}`);
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (value === undefined) return "missing";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
