/** Places of completions from what they were scored. */

import { asNumber } from "../fields.ts";
import { wrongField } from "../problem.ts";

/** Each one's place: 1 for the highest, the same for equal ones, without gaps. */
export function ranksOf(scores: readonly number[]): number[] {
  const distinct = [...new Set(scores)].sort((a, b) => b - a);
  return scores.map((score) => distinct.indexOf(score) + 1);
}

/** A list of numbers, one for each completion; `field` names it in messages. Throws RowProblem. */
export function numbersFor(count: number, values: readonly unknown[], field: string): number[] {
  if (values.length !== count) {
    throw wrongField(field, `has ${values.length} numbers for ${count} completions: give one for each`);
  }
  return values.map((value, i) => asNumber(value, `${field}[${i}]`));
}
