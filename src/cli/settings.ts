/** The settings of a command from where they were given, and what is wrong with them in words. */

import type { z } from "zod";
import { ConfigError } from "../errors.ts";
import { nearest } from "../suggest.ts";
import type { Setting, Settings } from "./config-file.ts";
import { alternatives, type Flag } from "./flags.ts";

/** Puts layers of settings over each other, the later over the earlier. */
export function layered(...layers: readonly Settings[]): Settings {
  return new Map(layers.flatMap((layer) => [...layer]));
}

/** The settings as the schema's input. Throws ConfigError that names every setting that is missing or wrong. */
export function checkSettings<T extends z.ZodObject>(
  schema: T,
  flags: readonly Flag[],
  settings: Settings,
): z.input<T> {
  const values = Object.fromEntries([...settings].map(([key, { value }]) => [key, value]));
  const { error } = schema.safeParse(values);
  if (error) {
    const problems = error.issues.map((issue) => {
      const flag = flags.find(({ key }) => key === issue.path[0]);
      return flag === undefined ? `${issue.message}.` : explain(issue, flag, settings);
    });
    throw new ConfigError(problems.join("\n"));
  }
  return values as z.input<T>;
}

function explain(issue: z.core.$ZodIssue, flag: Flag, settings: Settings): string {
  const given = settings.get(flag.key);
  if (given === undefined) return `--${flag.name} is missing (${flag.description}).`;
  if (given.value === null) return `${given.where} has no value.`;
  if (issue.code === "invalid_value" && flag.kind === "list") return explainElement(issue, given);
  const guess = flag.kind === "choice" ? nearest(String(given.value), flag.choices) : undefined;
  const hint = guess === undefined ? "" : ` Did you mean ${guess}?`;
  return `${given.where} must be ${requirement(issue, flag)}, but is ${JSON.stringify(given.value)}.${hint}`;
}

/** A list one of whose names is none of those that there are. */
function explainElement({ values, path }: z.core.$ZodIssueInvalidValue, { value, where }: Setting): string {
  const names = typeof value === "string" ? value.split(",") : (value as readonly unknown[]);
  const name = String(names[Number(path[1])]).trim();
  const guess = nearest(name, values.map(String));
  const hint = guess === undefined ? "" : ` Did you mean ${guess}?`;
  return `${where} must be ${alternatives(values.map(String))}, but is ${JSON.stringify(name)}.${hint}`;
}

function requirement(issue: z.core.$ZodIssue, flag: Flag): string {
  if (issue.code === "too_small" || issue.code === "too_big") {
    if (issue.origin === "string" || issue.origin === "array") return "a text that is not empty";
    const bound = issue.code === "too_small" ? issue.minimum : issue.maximum;
    const words = issue.code === "too_small" ? ["at least", "above"] : ["at most", "below"];
    return `${issue.inclusive ? words[0] : words[1]} ${bound}`;
  }
  const kinds = {
    boolean: "true or false",
    integer: "a whole number",
    number: "a number",
    choice: alternatives(flag.choices),
    list: "a text with commas or a list of texts",
    text: "a text",
  } as const;
  return kinds[flag.kind];
}
