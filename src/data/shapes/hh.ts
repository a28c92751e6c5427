/**
 * HH's raw text: `chosen` and `rejected` as whole dialogues with `\n\nHuman:` and `\n\nAssistant:` turns, the prompt being their common
 * beginning up to and with its last `\n\nAssistant:` (as the official DPO code has it: the answer keeps its leading space). A prompt is
 * cut where a turn begins, never within one. With `--chat` every turn is a message, for the model's template to mark.
 */

import type { Message } from "../../text/chat.ts";
import { textField } from "../fields.ts";
import { RowProblem, wrongField } from "../problem.ts";
import { assistantMark, humanMark } from "./exchange.ts";
import { chosenBefore, splitConversations } from "./preference.ts";
import type { Compared, Shape } from "./shape.ts";

export const hh: Shape = {
  name: "hh",
  summary: "chosen and rejected as dialogues in plain text with Human: and Assistant: turns",
  matches: ({ prompt, chosen, rejected }) => prompt == null && isDialogue(chosen) && isDialogue(rejected),
  read: (row, { chat }) => {
    const [chosen, rejected] = [textField(row, "chosen"), textField(row, "rejected")];
    if (!chat) return splitRawText(chosen, rejected);
    return chosenBefore(splitConversations(turnsOf(chosen, "chosen"), turnsOf(rejected, "rejected")));
  },
};

const ROLES = { Human: "user", Assistant: "assistant" } as const;

/** The turns of a dialogue, without the spaces around them. */
function turnsOf(dialogue: string, field: string): Message[] {
  const [before = "", ...parts] = dialogue.split(/\n\n(Human|Assistant):/);
  if (before.trim() !== "" || parts.length === 0) throw wrongField(field, "does not begin with a `Human:` turn");
  return parts.flatMap((part, i) =>
    i % 2 === 0 ? [{ role: ROLES[part as keyof typeof ROLES], content: parts[i + 1]!.trim() }] : [],
  );
}

function isDialogue(value: unknown): boolean {
  return typeof value === "string" && value.startsWith(humanMark) && value.includes(assistantMark);
}

function splitRawText(chosen: string, rejected: string): Compared {
  if (chosen === rejected) throw new RowProblem("identical completions", "chosen and rejected are identical");
  let shared = 0;
  while (shared < chosen.length && chosen[shared] === rejected[shared]) shared++;
  const mark = chosen.slice(0, shared).lastIndexOf(assistantMark);
  if (mark < 0) {
    throw new RowProblem(
      "no common prompt",
      "chosen and rejected share no beginning that ends with an `Assistant:` turn",
    );
  }
  const end = mark + assistantMark.length;
  return chosenBefore({ prompt: chosen.slice(0, end), completions: [chosen.slice(end), rejected.slice(end)] });
}
