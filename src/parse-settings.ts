/** Settings by a schema, refused as everything is that a user can mend. */

import type { z } from "zod";
import { ConfigError } from "./errors.ts";

/** Fills defaults in. Throws ConfigError that names the first setting that is wrong. */
export function parseSettings<T extends z.ZodType>(schema: T, given: unknown): z.output<T> {
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  throw new ConfigError(path.length === 0 ? message : `${path.join(".")}: ${message}`);
}
