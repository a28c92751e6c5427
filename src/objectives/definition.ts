/**
 * How an objective is offered: its name, where it comes from, its options. The command line's flags, help, the
 * configuration's schema and the table in docs/objectives.md are all made from these definitions.
 */

import { z } from "zod";
import type { Objective } from "./objective.ts";

/** The rows that an objective learns from: pairs, ranked completions of any number, labelled completions, or texts. */
type RowKind = "pairs" | "ranked" | "labelled" | "texts";

/** What a user writes after `preftune`. */
export type MethodName = "dpo" | "orpo" | "simpo" | "cpo" | "kto" | "bco" | "mpo" | "sft" | "reward";

interface Description<Shape extends z.ZodRawShape> {
  /** What `--loss` calls it. */
  readonly name: string;
  /** The command that offers it. */
  readonly method: MethodName;
  readonly rows: RowKind;
  /** Its full name. */
  readonly title: string;
  /** Authors, year, identifier, equation. */
  readonly source: string;
  /** In one line of plain text, in the notation of docs/objectives.md. */
  readonly formula: string;
  /** When to use it, in a sentence. */
  readonly use: string;
  /** Its options, each with a default and a description. */
  readonly options: Shape;
  /** The objective with all its options given. */
  readonly build: (options: z.output<z.ZodObject<Shape>>) => Objective;
}

export interface ObjectiveDefinition<Shape extends z.ZodRawShape = z.ZodRawShape>
  extends Omit<Description<Shape>, "build"> {
  /** The objective; options that are not given have their defaults. Throws ZodError for one that is out of range. */
  create(options?: z.input<z.ZodObject<Shape>>): Objective;
}

export function defineObjective<Shape extends z.ZodRawShape>({
  build,
  ...description
}: Description<Shape>): ObjectiveDefinition<Shape> {
  const schema = z.object(description.options);
  return {
    ...description,
    create: (options) => build(schema.parse(options ?? {}) as z.output<z.ZodObject<Shape>>),
  };
}
