/**
 * Messages of conversations and what their assistant may call, in the forms that data sets have them: `role` and `content` as
 * OpenAI and Hugging Face write them, or ShareGPT's `from` and `value`.
 */

import type { ToolCall, Tools } from "../text/chat.ts";
import type { Message } from "./example.ts";
import { excerpt, kindOf, wrongField } from "./problem.ts";

type Fields = Readonly<Record<string, unknown>>;

/** What chat templates know by these names, and ShareGPT's names for it; in data sets with capitals, too. */
const roles: ReadonlyMap<string, string> = new Map([
  ["system", "system"],
  ["user", "user"],
  ["assistant", "assistant"],
  ["tool", "tool"],
  ["human", "user"],
  ["gpt", "assistant"],
  ["function_call", "assistant"],
  ["observation", "tool"],
]);

/** A message, in any form; `field` names it in messages. Fields that no template reads are left out. Throws RowProblem. */
export function asMessage(value: unknown, field: string): Message {
  if (!isFields(value)) {
    throw wrongField(field, `is ${kindOf(value)}, not a message with \`role\` and \`content\`: ${excerpt(value)}`);
  }
  const fields = inOneForm(value);
  const { role, content, tool_call_id: answers, name } = fields;
  if (typeof role !== "string")
    throw wrongField(`${field}.role`, `is ${kindOf(role)}, not a string: ${excerpt(role ?? value)}`);
  const calls = toolCalls(fields.tool_calls, `${field}.tool_calls`);
  return {
    role,
    content: contentOf(content ?? (calls.length > 0 ? "" : content), `${field}.content`, value),
    ...(calls.length > 0 && { tool_calls: calls }),
    ...(role === "tool" && typeof answers === "string" && { tool_call_id: answers }),
    ...(role === "tool" && typeof name === "string" && { name }),
  };
}

/** A template writes a role that it does not know as if it were one: a known one under another name is none of these. */
function inOneForm(message: Fields): Fields {
  const fields = "from" in message && "value" in message ? { role: message.from, content: message.value } : message;
  if (typeof fields.role !== "string") return fields;
  const name = fields.role.toLowerCase();
  const spoken = { ...fields, role: roles.get(name) ?? fields.role };
  if (name !== "function_call" || typeof fields.content !== "string") return spoken;
  const calls = jsonOf(fields.content);
  // A call that is no JSON is what the assistant says.
  if (typeof calls !== "object" || calls === null) return spoken;
  return { ...spoken, content: "", tool_calls: [calls].flat() };
}

/** Text, or OpenAI's list of parts that are text. */
function contentOf(content: unknown, field: string, message: unknown): string {
  if (typeof content === "string") return content;
  const parts = Array.isArray(content) && content.length > 0 && content.every(isFields) ? content : undefined;
  if (parts === undefined)
    throw wrongField(field, `is ${kindOf(content)}, not a string: ${excerpt(content ?? message)}`);
  return parts
    .map(({ type, text }, i) => {
      if (type === "text" && typeof text === "string") return text;
      throw wrongField(`${field}[${i}]`, `is a part of type ${excerpt(type)}: only text can be learned from`);
    })
    .join("");
}

function toolCalls(value: unknown, field: string): ToolCall[] {
  if (value == null) return [];
  if (!Array.isArray(value)) throw wrongField(field, `is ${kindOf(value)}, not a list of calls: ${excerpt(value)}`);
  return value.map((call, i) => toolCall(call, `${field}[${i}]`));
}

/** A call with its `function`, or the function's name and arguments alone. */
function toolCall(value: unknown, field: string): ToolCall {
  const called = isFields(value) ? (value.function ?? value) : undefined;
  if (!isFields(value) || !isFields(called) || typeof called.name !== "string") {
    throw wrongField(field, `is no call with a \`name\` and \`arguments\`: ${excerpt(value)}`);
  }
  const { name, arguments: given } = called;
  const written = typeof given === "string" ? jsonOf(given) : undefined;
  return {
    ...(typeof value.id === "string" && { id: value.id }),
    type: "function",
    function: {
      name,
      arguments: typeof given === "string" ? (isFields(written) ? written : given) : withoutNulls(given),
    },
  };
}

/** What the assistant may call: a list of JSON schemas, or such a list as text; undefined for none. Throws RowProblem. */
export function toolsOf(value: unknown, field: string): Tools | undefined {
  if (value == null || value === "") return undefined;
  const list = typeof value === "string" ? jsonOf(value) : value;
  if (!Array.isArray(list) || !list.every(isFields)) {
    throw wrongField(
      field,
      `is no list of tools, nor one as JSON: ${excerpt(value)}. Leave a column of another meaning out with --columns tools=`,
    );
  }
  if (list.length === 0) return undefined;
  return list.map((tool) => {
    const described = withoutNulls(tool) as Fields;
    return "name" in described && !("function" in described) ? { type: "function", function: described } : described;
  });
}

/** Tables that know one type for all rows fill what a row lacks with nulls. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (!isFields(value)) return value;
  const present = Object.entries(value).filter(([, item]) => item !== null);
  return Object.fromEntries(present.map(([key, item]) => [key, withoutNulls(item)]));
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The value that a text writes as JSON; undefined where it writes none. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
