/**
 * Two completions and a column that says which is better, as logs of comparisons have it: `response1` and `response2` (or `response_1`,
 * `response_a`, `answer_1`, `completion_a`, `conversation_a`, ...), and `preference` or `winner`: 1 or 2, a or b, the column's own name, or
 * a tie. The arenas' `winner_model_a`, `winner_model_b` and `winner_tie` say it too, and `better_response_id` beside `response_0` and
 * `response_1`. The prompt is `prompt`, `question` or `instruction`, or the turns that two conversations share.
 */

import { answersTo, contentField, firstField, type Row, requiredField, textField } from "../fields.ts";
import { excerpt, wrongField } from "../problem.ts";
import { exchange } from "./exchange.ts";
import { splitConversations } from "./preference.ts";
import type { Compared, ReadOptions, Shape } from "./shape.ts";

const stems = ["response", "answer", "completion", "output", "conversation"];
const endings = [
  ["1", "2"],
  ["_1", "_2"],
  ["_a", "_b"],
  ["_A", "_B"],
  ["_0", "_1"],
] as const;

const pairs = stems.flatMap((stem) => endings.map(([a, b]) => [`${stem}${a}`, `${stem}${b}`] as const));
const verdicts = ["preference", "winner", "better_response_id"] as const;
const questions = ["question", "instruction"] as const;

export const comparison: Shape = {
  name: "comparison",
  summary: "prompt, response1, response2 (or _a, _b), and preference or winner: 1, 2, a, b or tie",
  matches: (row) => fieldsOf(row) !== undefined && (firstField(row, verdicts) ?? arenaVerdict(row)) !== undefined,
  read(row, options) {
    const fields = fieldsOf(row) ?? (["response1", "response2"] as const);
    const winner = winnerOf(row, fields);
    const ranks = winner === "tie" ? [1, 1] : winner === 0 ? [1, 2] : [2, 1];
    return { kind: "compared", ...textsOf(row, fields, options), ranks, names: fields.map((field) => `\`${field}\``) };
  },
};

type Fields = readonly [string, string];

function fieldsOf(row: Row): Fields | undefined {
  return pairs.find((fields) => fields.every((field) => row[field] != null));
}

function textsOf(row: Row, fields: Fields, options: ReadOptions): Pick<Compared, "prompt" | "completions"> {
  const question = row.prompt == null ? firstField(row, questions) : undefined;
  if (question !== undefined) {
    return exchange(
      textField(row, question),
      fields.map((field) => textField(row, field)),
      options,
    );
  }
  const given = fields.map((field) => contentField(row, field));
  const [first, second] = given;
  if (row.prompt == null && typeof first === "object" && typeof second === "object") {
    return splitConversations(first, second);
  }
  return answersTo(contentField(row, "prompt"), given, fields);
}

/** Which of the two is better: 0 for the first, 1 for the second. */
function winnerOf(row: Row, fields: Fields): 0 | 1 | "tie" {
  const field = firstField(row, verdicts) ?? arenaVerdict(row) ?? "preference";
  if (field.startsWith("winner_")) return field === "winner_tie" ? "tie" : field === "winner_model_a" ? 0 : 1;
  const value = requiredField(row, field);
  const word = typeof value === "string" || typeof value === "number" ? String(value).trim().toLowerCase() : "";
  const first = fields[0].endsWith("_0") ? "0" : "1";
  const second = fields[0].endsWith("_0") ? "1" : "2";
  if ([first, "a", "model_a", fields[0].toLowerCase()].includes(word)) return 0;
  if ([second, "b", "model_b", fields[1].toLowerCase()].includes(word)) return 1;
  if (/^(?:tie|both|same|equal|tie \(bothbad\)|both_bad|bothbad)$/.test(word)) return "tie";
  throw wrongField(field, `is ${excerpt(value)}, not ${first} or ${second}, a or b, ${fields.join(" or ")}, or tie`);
}

/** The column of the arenas that is set. */
function arenaVerdict(row: Row): string | undefined {
  const isSet = (value: unknown) => value === 1 || value === true || value === "1";
  return ["winner_model_a", "winner_model_b", "winner_tie"].find((field) => isSet(row[field]));
}
