/** The shapes that rows come in, and which of them a file has: the first, in this order, whose fields its first rows have. */

import { ConfigError } from "../../errors.ts";
import type { Row } from "../fields.ts";
import { excerpt, RowProblem } from "../problem.ts";
import { alpaca } from "./alpaca.ts";
import { comparison } from "./comparison.ts";
import { completion } from "./completion.ts";
import { conversation } from "./conversation.ts";
import { hh } from "./hh.ts";
import { kto } from "./kto.ts";
import { openai } from "./openai.ts";
import { preference } from "./preference.ts";
import { prompt } from "./prompt.ts";
import { ranked } from "./ranked.ts";
import type { Reading, ReadOptions, Shape } from "./shape.ts";
import { sharegpt } from "./sharegpt.ts";
import { shp } from "./shp.ts";
import { stackexchange } from "./stackexchange.ts";
import { text } from "./text.ts";
import { ultrafeedback } from "./ultrafeedback.ts";

/** Those with fields of their own first: many rows have a `prompt` or `messages` besides. */
export const shapes: readonly Shape[] = [
  openai,
  shp,
  stackexchange,
  ultrafeedback,
  sharegpt,
  alpaca,
  comparison,
  kto,
  hh,
  preference,
  completion,
  ranked,
  conversation,
  text,
  prompt,
];

export const shapeNames = shapes.map(({ name }) => name) as [string, ...string[]];

/** The shape of that name. Throws ConfigError for none. */
export function shapeNamed(name: string): Shape {
  const shape = shapes.find((one) => one.name === name);
  if (shape) return shape;
  throw new ConfigError(`--format ${name} is no shape of rows: it is one of ${shapeNames.join(", ")}.`);
}

/** The shape that a row has; undefined for none. */
export function shapeOf(row: Row): Shape | undefined {
  return shapes.find((shape) => shape.matches(row));
}

/** The shape that most of a file's first rows have, of several the one of the first; undefined where none has any. */
export function detectShape(values: readonly unknown[], named: (value: unknown) => Row): Shape | undefined {
  const found = values.flatMap((value) => {
    try {
      return shapeOf(named(value)) ?? [];
    } catch (error) {
      if (error instanceof RowProblem) return []; // What is wrong with it is said when it is read.
      throw error;
    }
  });
  const count = (shape: Shape) => found.filter((other) => other === shape).length;
  return found.toSorted((a, b) => count(b) - count(a))[0];
}

/** Reads the rows of one file, which have one shape. */
export class ShapeReader {
  readonly shape: Shape | undefined;

  /** `name` is that of the file's shape, which was `forced` or told from its first rows; undefined where these have none. */
  constructor(
    name: string | undefined,
    private readonly forced: boolean,
  ) {
    this.shape = name === undefined ? undefined : shapeNamed(name);
  }

  /** What a row holds. Throws RowProblem for one that has no shape, another than its file, or wrong fields. */
  read(row: Row, options: ReadOptions): Reading {
    if (this.shape === undefined) throw noShape(row);
    try {
      return this.shape.read(row, options);
    } catch (error) {
      if (error instanceof RowProblem && error.unreadable) throw this.explained(error, row);
      throw error;
    }
  }

  /** A row of another shape is no row with a missing field. */
  private explained(error: RowProblem, row: Row): RowProblem {
    const own = shapeOf(row);
    if (this.shape!.matches(row) || own === undefined || own === this.shape) return error;
    const file = this.forced
      ? `--format is ${this.shape!.name}`
      : `the first rows of the file have ${describe(this.shape!)}`;
    const remedy = this.forced ? "" : "; a file has rows of one shape: make it two files";
    return new RowProblem(error.reason, `the row has the shape ${describe(own)}, and ${file}${remedy}`);
  }
}

function describe({ name, summary }: Shape): string {
  return `${name} (${summary})`;
}

function noShape(row: Row): RowProblem {
  const present = Object.keys(row).filter((key) => row[key] != null);
  const fields = present.length === 0 ? "no fields" : `only ${excerpt(present.join(", "), 120)}`;
  return new RowProblem(
    "missing or wrong field",
    `the row has none of the fields that tell what it holds (it has ${fields}): name them, as in --columns prompt=question,chosen=good,rejected=bad`,
  );
}
