/** Rows as a run reads them: told by their shape, or by a given one, and made into what a method learns from. */

import { type DeriveOptions, examplesFrom, type Needs, promptFrom } from "../../../src/data/derive.ts";
import type { Content, Example, Message } from "../../../src/data/example.ts";
import { asRow } from "../../../src/data/fields.ts";
import { RowProblem } from "../../../src/data/problem.ts";
import { ShapeReader, shapeOf } from "../../../src/data/shapes/registry.ts";

export const origin = { file: "f.jsonl", line: 1 };
export const user = (content: string): Message => ({ role: "user", content });
export const assistant = (content: string): Message => ({ role: "assistant", content });
export const system = (content: string): Message => ({ role: "system", content });

interface Options extends DeriveOptions {
  /** A shape that the row is to be read by. */
  readonly format?: string;
}

/** The name of a row's shape. */
export function shapeNameOf(row: unknown): string | undefined {
  return shapeOf(asRow(row))?.name;
}

/** The examples of a row. Throws RowProblem. */
export function examplesOf(needs: Needs | Needs["rows"], value: unknown, options: Options = {}): Example[] {
  const row = asRow(value);
  const reading = new ShapeReader(options.format ?? shapeOf(row)?.name, false).read(row, options);
  return examplesFrom(reading, row, origin, typeof needs === "string" ? { rows: needs } : needs, options);
}

/** The prompt alone of a row. Throws RowProblem. */
export function promptIn(value: unknown, options: Options = {}): Content {
  const row = asRow(value);
  const reading = new ShapeReader(shapeOf(row)?.name, false).read(row, options);
  return promptFrom(reading, row, options).prompt;
}

/** What `use` returns, or the reason for which a row is refused. */
export function orReason<T>(use: () => T): T | string {
  try {
    return use();
  } catch (error) {
    if (error instanceof RowProblem) return `${error.reason}: ${error.message}`;
    throw error;
  }
}

/** [prompt, chosen, rejected] of a row's only pair, or the reason for which it is refused. */
export function pairIn(row: unknown, options: Options = {}): unknown[] | string {
  return orReason(() => {
    const pairs = examplesOf("pairs", row, options);
    if (pairs.length !== 1) throw new Error(`${pairs.length} pairs`);
    return [pairs[0]!.prompt, ...pairs[0]!.completions];
  });
}
