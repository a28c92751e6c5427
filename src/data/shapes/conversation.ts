/** `messages` or `conversations`: a conversation, of messages with `role` and `content` or ShareGPT's `from` and `value`. */

import { firstField, messagesField } from "../fields.ts";
import type { Shape } from "./shape.ts";

export const conversationFields = ["messages", "conversations"] as const;

export const conversation: Shape = {
  name: "conversation",
  summary: "messages or conversations",
  matches: (row) => firstField(row, conversationFields) !== undefined,
  read: (row) => ({
    kind: "conversation",
    messages: messagesField(row, firstField(row, conversationFields) ?? "messages"),
  }),
};
