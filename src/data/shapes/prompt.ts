/** `prompt` alone, a string or a list of messages: what a model is to answer. */

import { contentField } from "../fields.ts";
import type { Shape } from "./shape.ts";

export const prompt: Shape = {
  name: "prompt",
  summary: "prompt",
  matches: (row) => row.prompt != null,
  read: (row) => ({ kind: "prompt", prompt: contentField(row, "prompt") }),
};
