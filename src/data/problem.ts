/** What can be wrong with one row, and how such a row is reported. */

import { DataError } from "../errors.ts";
import { describeOrigin, type RowOrigin } from "./example.ts";

/** Causes of a row that can't be read. */
const unreadableCauses = ["not JSON", "not CSV", "missing or wrong field"] as const;

/** Causes of a row that can be read, but not used. */
const unusableCauses = [
  "no common prompt",
  "empty prompt",
  "empty completion",
  "no answer",
  "not desirable",
  "identical completions",
  "no preference",
  "weak preference",
  "refused by the chat template",
  "prompt too long",
  "completion too long",
] as const;

/** Causes of a row that can be used, and is left out because that was asked for (drop.ts). */
const unwantedCauses = ["duplicate", "near duplicate", "opposite preference", "garbled text", "trained on"] as const;

export type Cause =
  | (typeof unreadableCauses)[number]
  | (typeof unusableCauses)[number]
  | (typeof unwantedCauses)[number];

/** A row that can't be read or used, with the reason in words. */
export class RowProblem extends DataError {
  constructor(
    readonly reason: Cause,
    message: string,
  ) {
    super(message);
  }

  /** Whether the row can't be read at all. */
  get unreadable(): boolean {
    return (unreadableCauses as readonly Cause[]).includes(this.reason);
  }

  /** Whether nothing is wrong with the row but that it is not wanted. */
  get unwanted(): boolean {
    return (unwantedCauses as readonly Cause[]).includes(this.reason);
  }
}

/** The error that stops a command at a row: what, where and how to go on without it. */
export function rowError(problem: RowProblem, origin: RowOrigin): DataError {
  const remedy = problem.unreadable
    ? "Mend the row, or skip such rows with --on-bad-row drop."
    : "Mend the row, or leave out --on-bad-row error to skip such rows.";
  return new DataError(`${describeOrigin(origin)}: ${problem.message}. ${remedy}`, { cause: problem });
}

/** The beginning of a value as it stands in a file, short enough for a message. */
export function excerpt(value: unknown, limit = 60): string {
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? String(value));
  return text.length <= limit ? text : `${text.slice(0, limit)}...`;
}

/** What is wrong with a field's value. */
export function wrongField(field: string, what: string): RowProblem {
  return new RowProblem("missing or wrong field", `the field \`${field}\` ${what}`);
}

/** What a value is, in words. */
export function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (value === undefined) return "missing";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
