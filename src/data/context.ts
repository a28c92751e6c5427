/** What stands before a conversation in columns of its own: `system`, a system message, and `tools`, what the assistant may call. */

import type { Tools } from "../text/chat.ts";
import type { Content, Message } from "./example.ts";
import type { Row } from "./fields.ts";
import { toolsOf } from "./messages.ts";
import { excerpt, kindOf, wrongField } from "./problem.ts";
import type { Reading, ReadOptions } from "./shapes/shape.ts";

export interface Context {
  readonly tools?: Tools | undefined;
}

/**
 * The reading with its row's system message at the beginning, and its tools. A question and its answers in plain text become
 * messages, which `chat` would make them anyway. Throws RowProblem where there is no place for them.
 */
export function withContext(reading: Reading, row: Row, { chat = false }: ReadOptions): Reading {
  const tools = reading.tools ?? toolsOf(row.tools, "tools");
  const system = systemOf(row);
  if (tools === undefined && system === undefined) return reading;
  const field = system === undefined ? "tools" : "system";
  const place = (content: Content): readonly Message[] => {
    if (typeof content !== "string") return withSystem(content, system);
    if (chat) return withSystem([{ role: "user", content }], system);
    throw wrongField(
      field,
      `has no place before plain text: add --chat, or leave the column out with --columns ${field}=`,
    );
  };
  const answer = (content: Content): Content =>
    typeof content === "string" ? (content === "" ? "" : [{ role: "assistant", content }]) : content;
  switch (reading.kind) {
    case "compared":
      return { ...reading, prompt: place(reading.prompt), completions: reading.completions.map(answer), tools };
    case "answer":
      return { ...reading, prompt: place(reading.prompt), completion: answer(reading.completion), tools };
    case "prompt":
      return { ...reading, prompt: place(reading.prompt), tools };
    case "conversation":
      return { ...reading, messages: place(reading.messages), tools };
    case "text":
      throw wrongField(field, "has no place before a text that is learned whole: leave the column out");
  }
}

function systemOf({ system }: Row): string | undefined {
  if (system == null || system === "") return undefined;
  if (typeof system === "string") return system;
  throw wrongField("system", `is ${kindOf(system)}, not a string: ${excerpt(system)}`);
}

function withSystem(messages: readonly Message[], system: string | undefined): readonly Message[] {
  if (system === undefined) return messages;
  const own = messages.find(({ role }) => role === "system");
  if (own === undefined) return [{ role: "system", content: system }, ...messages];
  if (own.content.trim() === system.trim()) return messages;
  throw wrongField("system", "is another than the conversation's own system message: leave one of them out");
}
