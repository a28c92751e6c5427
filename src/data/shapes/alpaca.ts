/**
 * Alpaca's fields: `instruction`, an `input` that may be empty, and for preferences `chosen` and `rejected`, or an `output` of two texts,
 * the better first (LLaMA-Factory's older form). With an `output` of one text it is a row to be fine-tuned on.
 */

import { listField, type Row, textField } from "../fields.ts";
import { wrongField } from "../problem.ts";
import { exchange } from "./exchange.ts";
import { chosenBefore } from "./preference.ts";
import type { Shape } from "./shape.ts";

export const alpaca: Shape = {
  name: "alpaca",
  summary: "instruction, input, and chosen and rejected or an output of two; or one output",
  matches: (row) => typeof row.instruction === "string" && (row.chosen != null || row.output != null),
  read(row, options) {
    const question = questionOf(row);
    if (row.chosen == null && typeof row.output === "string") {
      const { prompt, completions } = exchange(question, [row.output], options);
      return { kind: "answer", prompt, completion: completions[0]! };
    }
    return chosenBefore(exchange(question, pairIn(row), options));
  },
};

function questionOf(row: Row): string {
  const instruction = textField(row, "instruction");
  return row.input == null || row.input === "" ? instruction : `${instruction}\n${textField(row, "input")}`;
}

function pairIn(row: Row): readonly string[] {
  if (row.chosen != null || row.output == null) return [textField(row, "chosen"), textField(row, "rejected")];
  const outputs = listField(row, "output", "two texts");
  if (outputs.length === 2 && outputs.every((text) => typeof text === "string")) return outputs;
  throw wrongField("output", "is not a list of two texts, the better first");
}
