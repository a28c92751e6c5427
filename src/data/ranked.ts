/**
 * Rows of several completions in order of preference, one function from a parsed row to an Example:
 * - `prompt`, `ranked`: the completions, best first;
 * - `prompt`, `completions` (or `responses`), and for each one of `scores`, where more is better, or one of `ranks`, where
 *   less is better; equal numbers are ties;
 * - a preference pair in any of its shapes (preferences.ts), a ranking of two.
 * Prompt and completions are strings or lists of messages.
 */

import type { Content, Example, RowOrigin } from "./example.ts";
import { answersTo, asContent, asRow, contentField, isEmpty, kindOf, requiredField, wrongField } from "./fields.ts";
import { preferenceExample } from "./preferences.ts";
import { excerpt, RowProblem } from "./problem.ts";

type Row = Record<string, unknown>;

/** The fields that may hold the completions. */
export const rankingFields = ["ranked", "completions", "responses"] as const;

/**
 * The ranking that a row holds, best first, with a completion's place in the value `rank`: 1, 2, ..., the same for ties. Throws
 * RowProblem.
 */
export function rankedExample(value: unknown, origin: RowOrigin): Example {
  const row = asRow(value);
  const name = rankingFields.find((field) => row[field] != null);
  if (name === undefined && (row.chosen != null || row.rejected != null)) {
    return { ...preferenceExample(row, origin), values: { rank: [1, 2] } };
  }
  const field = name ?? "ranked";
  const given = contents(row, field);
  const fields = given.map((_, i) => `${field}[${i}]`);
  const ranks = field === "ranked" ? given.map((_, i) => i + 1) : places(row, field, given.length);
  const { prompt, completions } = answersTo(contentField(row, "prompt"), given, fields);
  const empty = completions.findIndex(isEmpty);
  if (empty >= 0) throw new RowProblem("empty completion", `\`${fields[empty]}\` is empty`);
  if (new Set(ranks).size < 2) {
    const reason = given.length < 2 ? "there are not two completions to compare" : "all completions are tied";
    throw new RowProblem("no preference", reason);
  }
  const order = ranks.map((_, i) => i).sort((a, b) => ranks[a]! - ranks[b]!);
  return {
    origin,
    values: { rank: order.map((i) => ranks[i]!) },
    prompt,
    completions: order.map((i) => completions[i]!),
  };
}

function contents(row: Row, field: string): Content[] {
  const list = requiredField(row, field);
  if (!Array.isArray(list)) throw wrongField(field, `is ${kindOf(list)}, not a list of completions: ${excerpt(list)}`);
  return list.map((item, i) => asContent(item, `${field}[${i}]`));
}

/** Each completion's place by its score or its rank. */
function places(row: Row, field: string, count: number): number[] {
  if (row.scores != null && row.ranks != null) throw wrongField("ranks", "stands beside `scores`: give one of them");
  if (row.scores == null && row.ranks == null) {
    throw wrongField(field, "has no order: give `scores` (more is better), `ranks` (less is better), or `ranked`");
  }
  const [name, sign] = row.scores != null ? (["scores", -1] as const) : (["ranks", 1] as const);
  const values = row[name];
  if (!Array.isArray(values)) throw wrongField(name, `is ${kindOf(values)}, not a list of numbers: ${excerpt(values)}`);
  if (values.length !== count) {
    throw wrongField(name, `has ${values.length} numbers for ${count} completions: give one for each`);
  }
  const wrong = values.findIndex((item) => !Number.isFinite(item));
  if (wrong >= 0) throw wrongField(`${name}[${wrong}]`, `is not a number: ${excerpt(values[wrong])}`);
  const keys = (values as number[]).map((item) => sign * item);
  const distinct = [...new Set(keys)].sort((a, b) => a - b);
  return keys.map((key) => distinct.indexOf(key) + 1);
}
