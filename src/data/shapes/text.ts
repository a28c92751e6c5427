/** `text`, a string. */

import { textField } from "../fields.ts";
import type { Shape } from "./shape.ts";

export const text: Shape = {
  name: "text",
  summary: "text",
  matches: (row) => row.text != null,
  read: (row) => ({ kind: "text", text: textField(row, "text") }),
};
