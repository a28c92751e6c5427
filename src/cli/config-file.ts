/** Settings from a YAML file (JSON is YAML too), under the flags' names as on the command line or as in the library. */

import { readFileSync } from "node:fs";
import { type Document, isMap, isNode, isScalar, LineCounter, type Node, parseDocument } from "yaml";
import { systemReason } from "../checkpoints/files.ts";
import { ConfigError } from "../errors.ts";
import { nearest } from "../suggest.ts";
import { camelCase, type Flag } from "./flags.ts";

export interface Setting {
  readonly value: unknown;
  /** Where it was given, for messages: `--batch-size`, or `run.yaml line 3: batch-size`. */
  readonly where: string;
}

/** Settings by their schema key. */
export type Settings = ReadonlyMap<string, Setting>;

/**
 * Reads a file's settings for a command; `method`, which a run's own configuration has, must be the command's. Throws
 * ConfigError for a file that can't be read, and for a key that is unknown or given twice.
 */
export function readConfigFile(path: string, flags: readonly Flag[], command?: string): Settings {
  const settings = new Map<string, Setting>();
  for (const { name, line, value } of entriesOf(path)) {
    const where = `${path} line ${line}: ${name}`;
    if (name === "method" && command !== undefined) {
      if (value !== command)
        throw new ConfigError(`${where} is ${value}: give it to preftune ${value}, not ${command}.`);
      continue;
    }
    const { key, negated } = settingOf(name, where, flags);
    if (settings.has(key)) throw new ConfigError(`${where} is given twice.`);
    settings.set(key, { where, value: negated ? negate(value, where) : value });
  }
  return settings;
}

function entriesOf(path: string): { name: string; line: number; value: unknown }[] {
  const lines = new LineCounter();
  const document = parseDocument(readText(path), { lineCounter: lines, prettyErrors: false });
  const lineOf = (offset: number) => lines.linePos(offset).line;
  const [problem] = document.errors;
  if (problem?.code === "MULTIPLE_DOCS") {
    throw new ConfigError(
      `${path} line ${lineOf(problem.pos[0])} begins a second document. Give one document of settings.`,
    );
  }
  if (problem) throw new ConfigError(`${path} line ${lineOf(problem.pos[0])} is not valid YAML: ${problem.message}.`);
  if (!isMap(document.contents)) {
    throw new ConfigError(`${path} must have settings as "name: value", one a line, such as "batch-size: 8".`);
  }
  return document.contents.items.map(({ key, value }) => {
    const name = String(key);
    const line = lineOf((isScalar(key) && key.range?.[0]) || 0);
    return { name, line, value: isNode(value) ? plainValue(value, document, `${path} line ${line}: ${name}`) : null };
  });
}

/** Throws ConfigError for an alias of what is nowhere, and for aliases of aliases without end. */
function plainValue(value: Node, document: Document, where: string): unknown {
  try {
    return value.toJS(document);
  } catch (error) {
    throw new ConfigError(`${where}: ${(error as Error).message}.`, { cause: error });
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new ConfigError(`--config ${path} can't be read (${systemReason(error)}).`, { cause: error });
  }
}

/** The setting that a key means in any of its spellings: `batch-size`, `batchSize`, `no-shuffle`. */
function settingOf(name: string, where: string, flags: readonly Flag[]): { key: string; negated: boolean } {
  const key = camelCase(name);
  if (flags.some((flag) => flag.key === key)) return { key, negated: false };
  const positive = flags.find((flag) => flag.kind === "boolean" && camelCase(`no-${flag.name}`) === key);
  if (positive) return { key: positive.key, negated: true };
  const spelling = (flag: Flag) => (/[A-Z]/.test(name) ? flag.key : flag.name);
  const meant = nearest(name, flags.map(spelling));
  throw new ConfigError(
    `${where} is not a setting. ${meant === undefined ? "--help lists them all." : `Did you mean ${meant}?`}`,
  );
}

function negate(value: unknown, where: string): boolean {
  if (typeof value === "boolean") return !value;
  throw new ConfigError(`${where} must be true or false, but is ${JSON.stringify(value)}.`);
}
