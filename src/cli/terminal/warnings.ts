/** What is said of a run's warnings: each when it is given, and all their names at the end. */

import { join } from "node:path";
import type { RunResult, Warning } from "../../training/observer.ts";
import { formatCount } from "./numbers.ts";
import { type Paint, plain } from "./screen.ts";
import { wrap } from "./text.ts";

/** One warning: its name, what was found, and what to do. */
export function warningLines({ name, found, advice }: Warning, width: number, paint: Paint = plain): string[] {
  const [first, ...others] = wrap(`warning ${name}: ${found}. ${advice}`, Math.min(width, 100) - 2);
  const head = first!.startsWith(`warning ${name}`) ? `warning ${name}` : first!;
  return [paint("yellow", head) + first!.slice(head.length), ...others.map((line) => `  ${line}`)];
}

/** What a run has left to look at: its warnings by name, and rows that may be labelled wrong. Nothing where all is well. */
export function findingLines(
  { output, warnings, suspects }: Pick<RunResult, "output" | "warnings" | "suspects">,
  paint: Paint = plain,
): string[] {
  const names = warnings.map(({ name, step }) => `${name} (${step === 0 ? "at the start" : `step ${step}`})`);
  const lines = [
    ...(names.length === 0
      ? []
      : [`${paint("yellow", "warnings")}  ${names.join(", ")}: ${join(output, "warnings.jsonl")}`]),
    ...(suspects === 0
      ? []
      : [
          `suspects  ${count(suspects)} ranked far backwards, which may be labelled wrong: ${join(output, "suspects.jsonl")}`,
        ]),
  ];
  return lines.length === 0 ? [] : ["", ...lines];
}

function count(rows: number): string {
  return rows === 1 ? "1 row was" : `${formatCount(rows)} rows were`;
}
