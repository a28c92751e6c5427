/** The settings that say which rows are read, and how: of a command, of a file of settings, of the library. */

import { z } from "zod";
import { shapeNames } from "./shapes/registry.ts";

const columnList = z
  .union([
    z.string().transform((text) => text.split(",")),
    z.array(z.string()),
    z
      .record(z.string(), z.string())
      .transform((map) => Object.entries(map).map(([field, column]) => `${field}=${column}`)),
  ])
  .pipe(z.array(z.string().min(1)).min(1));

const sourceObject = z.strictObject({
  path: z.string().min(1),
  weight: z.number().positive().optional(),
  format: z.enum(shapeNames).optional(),
  columns: columnList.optional(),
});

/** Settings that say which rows are read, and how. */
export const dataShape = {
  sources: z
    .union([z.string().transform(splitList), z.array(z.union([z.string(), sourceObject])).min(1)])
    .superRefine((list, context) => {
      const empty = list.indexOf("");
      if (empty < 0) return;
      context.addIssue({ code: "too_small", origin: "string", minimum: 1, inclusive: true, path: [empty], input: "" });
    }),
  format: z
    .enum(shapeNames)
    .optional()
    .describe(`the shape of the rows, told from the first ones if not given: ${shapeNames.join(", ")}`),
  columns: columnList.optional().describe("fields under other names: prompt=question,chosen=best"),
};

/** A source as it is given. */
export type GivenSource = string | z.output<typeof sourceObject>;

/** Commas part sources, but not those within a glob's braces. */
function splitList(text: string): string[] {
  return text.split(/,(?![^{}]*\})/).map((part) => part.trim());
}
