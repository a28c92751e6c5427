/**
 * OpenAI's preference fine-tuning: `input` with `messages` (and `tools`), `preferred_output` and `non_preferred_output`, lists of
 * messages.
 */

import { asRow, completionOf, messagesField, requiredField } from "../fields.ts";
import { toolsOf } from "../messages.ts";
import { chosenBefore } from "./preference.ts";
import type { Shape } from "./shape.ts";

export const openai: Shape = {
  name: "openai",
  summary: "input.messages, preferred_output, non_preferred_output",
  matches: (row) => row.preferred_output != null || row.non_preferred_output != null,
  read(row) {
    const input = asRow(requiredField(row, "input"));
    const prompt = messagesField(input, "messages");
    const answer = (field: string) => completionOf(prompt, messagesField(row, field), field);
    const completions = [answer("preferred_output"), answer("non_preferred_output")];
    const tools = toolsOf(input.tools, "input.tools");
    return { ...chosenBefore({ prompt, completions }), ...(tools && { tools }) };
  },
};
