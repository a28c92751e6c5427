/** Settings by a schema, refused as everything is that a user can mend. */

import { z } from "zod";
import { ConfigError } from "./errors.ts";
import { nearest } from "./suggest.ts";

/** Fills defaults in. Throws ConfigError that names the first setting that is wrong. */
export function parseSettings<T extends z.ZodType>(schema: T, given: unknown): z.output<T> {
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  throw new ConfigError(explain(parsed.error.issues[0]!, schema, given));
}

function explain(issue: z.core.$ZodIssue, schema: z.ZodType, given: unknown): string {
  const { path, message, code } = issue;
  const [key] = path;
  if (key !== undefined) {
    const isMissing = path.length === 1 && (given as Record<PropertyKey, unknown>)[key] === undefined;
    return isMissing ? `${String(key)} is missing.` : `${path.join(".")}: ${message}`;
  }
  if (code !== "unrecognized_keys" || !(schema instanceof z.ZodObject)) return message;
  const unknown = issue.keys[0]!;
  const meant = nearest(unknown, Object.keys(schema.shape));
  return `${unknown} is not a setting.${meant === undefined ? "" : ` Did you mean ${meant}?`}`;
}
