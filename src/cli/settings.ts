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
    const problems = error.issues.map(innermost).map((issue) => {
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
  if (issue.path.length > 1) return explainElement(issue, flag, given);
  const guess = flag.kind === "choice" ? nearest(String(given.value), flag.choices) : undefined;
  return `${given.where} must be ${requirement(issue, kindOf(flag))}, but is ${show(given.value)}.${hint(guess)}`;
}

/** What is wrong with one of a list, or with a part of one: `run.yaml line 2: data 3, weight`. */
function explainElement(issue: z.core.$ZodIssue, flag: Flag, { value, where }: Setting): string {
  const path = issue.path.slice(1);
  const isText = typeof value === "string";
  const part = at(isText ? value.split(",").map((one) => one.trim()) : value, path);
  const names = path.map((key) => (typeof key !== "number" ? `, ${String(key)}` : isText ? "" : ` ${key + 1}`));
  const place = `${where}${names.join("")}`;
  if (issue.code === "invalid_value") {
    const choices = issue.values.map(String);
    return `${place} must be ${alternatives(choices)}, but is ${show(part)}.${hint(nearest(String(part), choices))}`;
  }
  if (part === undefined) return `${place} is missing.`;
  if (part === "" && value !== "")
    return `${place} has an empty name: there is a comma too many, or a name is missing.`;
  const isNumber = issue.code === "invalid_type" ? issue.expected === "number" : flag.kind === "numbers";
  return `${place} must be ${requirement(issue, isNumber ? "a number" : "a text")}, but is ${show(part)}.`;
}

function at(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((whole, key) => (whole as Record<PropertyKey, unknown> | undefined)?.[key], value);
}

/** Of what is wrong with every form that a value may have: the one that goes the furthest into it. */
function innermost(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  if (issue.code !== "invalid_union") return issue;
  const inner = issue.errors.flat().map((one) => innermost({ ...one, path: [...issue.path, ...one.path] }));
  return inner.reduce((a, b) => (b.path.length > a.path.length ? b : a), issue);
}

function hint(guess: string | undefined): string {
  return guess === undefined ? "" : ` Did you mean ${guess}?`;
}

/** A value as it was given; JSON has no word for numbers that are not finite. */
function show(value: unknown): string {
  return typeof value === "number" ? String(value) : JSON.stringify(value);
}

/** What a value must be: within bounds, or of its kind. */
function requirement(issue: z.core.$ZodIssue, kind: string): string {
  if (issue.code !== "too_small" && issue.code !== "too_big") return kind;
  if (issue.origin === "string" || issue.origin === "array") return "a text that is not empty";
  const bound = issue.code === "too_small" ? issue.minimum : issue.maximum;
  const words = issue.code === "too_small" ? ["at least", "above"] : ["at most", "below"];
  return `${issue.inclusive ? words[0] : words[1]} ${bound}`;
}

function kindOf({ kind, choices }: Flag): string {
  const kinds = {
    boolean: "true or false",
    integer: "a whole number",
    number: "a number",
    choice: alternatives(choices),
    list: "a text with commas or a list of texts",
    numbers: "numbers with commas or a list of numbers",
    text: "a text",
  } as const;
  return kinds[kind];
}
