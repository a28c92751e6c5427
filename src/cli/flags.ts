/**
 * Command-line flags from a settings schema: the key `batchSize` is the flag `--batch-size N`, and its type, choices,
 * default and description are the schema's. Flags only parse; whether a value is in range is the schema's business.
 */

import { Option } from "commander";
import { z } from "zod";

type FlagKind = "boolean" | "integer" | "number" | "choice" | "list" | "numbers" | "text";

/** One setting as the command line sees it. */
export interface Flag {
  /** The schema's key: `batchSize`. */
  readonly key: string;
  /** The flag without its dashes, and the key in a file: `batch-size`. */
  readonly name: string;
  readonly kind: FlagKind;
  readonly description: string;
  readonly choices: readonly string[];
  readonly required: boolean;
  readonly default: unknown;
}

/** What of a JSON schema says how a flag is written. */
interface Property {
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly anyOf?: readonly Property[];
  readonly items?: Property;
  readonly description?: string;
}

/** The flags of a schema, in its order. */
export function flagsOf(schema: z.ZodObject): Flag[] {
  const { properties = {} } = z.toJSONSchema(schema, { io: "input" });
  return Object.entries(properties as Record<string, Property>).map(([key, property]) => {
    const absent = schema.shape[key]!.safeParse(undefined);
    return {
      key,
      name: kebabCase(key),
      kind: kindOf(key, property),
      description: property.description ?? "",
      choices: property.enum ?? [],
      required: !absent.success,
      default: absent.data,
    };
  });
}

function kindOf(key: string, property: Property): FlagKind {
  if (property.enum) return "choice";
  const list = property.anyOf?.find(({ type }) => type === "array");
  if (list) return list.items?.type === "number" ? "numbers" : "list";
  const kinds: Record<string, FlagKind> = {
    boolean: "boolean",
    integer: "integer",
    number: "number",
    string: "text",
  };
  const kind = kinds[property.type ?? ""];
  if (kind === undefined) throw new Error(`the setting "${key}" has a type that no flag can have`);
  return kind;
}

export function kebabCase(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

export function camelCase(name: string): string {
  return name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/**
 * The options that a flag is given by. A boolean has two, of which help shows the one that changes the default; the other
 * is there to overrule a file.
 */
export function optionsOf(flag: Flag, placeholder?: string): Option[] {
  const description = describe(flag);
  if (flag.kind !== "boolean") {
    const option = new Option(`--${flag.name} <${placeholder ?? defaultPlaceholder(flag)}>`, description);
    return [option.argParser(parserOf(flag.kind))];
  }
  const [shown, hidden] =
    flag.default === true ? [`--no-${flag.name}`, flag.name] : [`--${flag.name}`, `no-${flag.name}`];
  return [new Option(shown, description), new Option(`--${hidden.replace(/^--/, "")}`).hideHelp()];
}

function describe({ description, default: value, kind }: Flag): string {
  const shown = Array.isArray(value) ? value.join(",") : String(value);
  return value === undefined || kind === "boolean" ? description : `${description} (default ${shown})`;
}

function defaultPlaceholder({ kind, choices }: Flag): string {
  if (kind === "choice") return choices.join("|");
  return { integer: "n", number: "x", list: "names", numbers: "numbers", text: "text", boolean: "" }[kind];
}

/** Text to a value as far as the flag's kind says how. What is not of that kind stays text, which the schema refuses by name. */
function parserOf(kind: FlagKind): (text: string, previous?: unknown) => unknown {
  if (kind === "integer" || kind === "number") return (text) => (isDecimal(text) ? Number(text) : text);
  // A list given more than once is one list.
  if (kind === "list" || kind === "numbers")
    return (text, previous) => (previous === undefined ? text : `${previous},${text}`);
  return (text) => text;
}

/** Number() alone would take "", "0x10" and "Infinity" too, and make that of 1e400. */
function isDecimal(text: string): boolean {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) && Number.isFinite(Number(text));
}

/** `a`, `a or b`, `a, b or c`. */
export function alternatives(choices: readonly string[]): string {
  const last = choices.at(-1) ?? "";
  return choices.length < 2 ? last : `${choices.slice(0, -1).join(", ")} or ${last}`;
}
