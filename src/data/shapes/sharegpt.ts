/**
 * ShareGPT with a ranking of two, as LLaMA-Factory reads it: `conversations` up to a person's turn (messages with `from` and `value`),
 * and `chosen` and `rejected`, a message each.
 */

import type { Content } from "../example.ts";
import { asContent, completionOf, messagesField, type Row, requiredField } from "../fields.ts";
import { asMessage } from "../messages.ts";
import { chosenBefore } from "./preference.ts";
import type { Shape } from "./shape.ts";

export const sharegpt: Shape = {
  name: "sharegpt",
  summary: "conversations, and chosen and rejected as its next message",
  matches: (row) => Array.isArray(row.conversations) && (row.chosen != null || row.rejected != null),
  read(row) {
    const prompt = messagesField(row, "conversations");
    const answer = (field: string) => completionOf(prompt, answerField(row, field), field);
    return chosenBefore({ prompt, completions: [answer("chosen"), answer("rejected")] });
  },
};

/** One message, several, or the text of one. */
function answerField(row: Row, field: string): Content {
  const value = requiredField(row, field);
  return typeof value === "string" || Array.isArray(value) ? asContent(value, field) : [asMessage(value, field)];
}
