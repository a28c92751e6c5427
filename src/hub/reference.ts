/**
 * Names of things on the hub, as people write them:
 *
 *   org/name   hf:org/name@revision   hf:org/name/folder/file.gguf@revision        a model, an adapter, a model's GGUF file
 *   hf:org/name   hf:org/name@revision:config:split   hf:org/name/file.jsonl       a dataset, its part, one of its files
 *
 * What is there under such a name on this machine always wins.
 */

import { existsSync } from "node:fs";
import { ConfigError } from "../errors.ts";
import { isCommit, type RepoKind, type RepoReference } from "./session.ts";
import { faultOf, pageIn, respelled } from "./spelling.ts";

export interface HubReference extends RepoReference {
  /** Path of one file in the repository, where one is named. */
  readonly file?: string;
  /** What stands after the name of a dataset: configuration and split, or one of them. */
  readonly parts: readonly string[];
}

const PREFIX = "hf:";

/** What is on this machine whatever its name looks like, by how it ends or begins. */
const LOOKS_LOCAL = /^[./\\~]|\\|\.(gguf|safetensors|bin|jinja|ya?ml|jsonl?|ndjson|csv|tsv|txt|parquet|gz|zst|zip)$/i;

export const NAMING_RULES =
  "A name is org/name, each of letters, digits, - _ and ., without -- or .., without - or . at an end, together at most 96 characters.";

/** Whether a text without `hf:` may be a name on the hub: one slash, and nothing of a path of this machine. */
export function looksLikeName(text: string): boolean {
  const [, name] = /^([^/@:\s]+\/[^/@:\s]+)(?:@\S+)?$/.exec(text) ?? [];
  return name !== undefined && !LOOKS_LOCAL.test(text) && faultOf(name) === undefined;
}

/** What `text` names on the hub; undefined where it names something on this machine. Throws ConfigError for what is misspelled. */
export function parseReference(text: string, kind: RepoKind): HubReference | undefined {
  if (existsSync(text)) return undefined;
  refusePage(text, kind);
  if (text.startsWith(PREFIX)) return parseName(text, text.slice(PREFIX.length), kind);
  return kind === "model" && looksLikeName(text) ? parseName(text, text, kind) : undefined;
}

/** Addresses of pages are no names; what they are about is. */
function refusePage(text: string, kind: RepoKind): void {
  const page = pageIn(text.startsWith(PREFIX) ? text.slice(PREFIX.length) : text);
  if (page === undefined) return;
  if (page.kind === kind) throw new ConfigError(`${text} is the address of a page. Write ${PREFIX}${page.name}`);
  throw new ConfigError(`${text} is the address of a ${page.kind}, and a ${kind} is wanted here.`);
}

function parseName(text: string, rest: string, kind: RepoKind): HubReference {
  // A branch may have slashes, and no colons.
  const [, path, revision, after] = /^([^@:]*)(?:@([^:]*))?(?::(.*))?$/s.exec(rest)!;
  const [org = "", own, ...folders] = path!.split("/");
  const name = own === undefined ? org : `${org}/${own}`;
  const parts = after?.split(":") ?? [];
  const wrong = (what: string) => new ConfigError(`${text}: ${what}. ${howToWrite(kind)} ${NAMING_RULES}`);
  const fault = faultOf(name);
  if (fault !== undefined) {
    const meant = respelled(path!) ?? respelled(name);
    const guess = meant === undefined ? "" : ` (did you mean ${PREFIX}${meant}?)`;
    throw wrong(`${JSON.stringify(name)} is no name that the hub allows: ${fault}${guess}`);
  }
  if (revision === "") throw wrong("there is no revision after the @");
  if (folders.includes("") || folders.includes(".."))
    throw wrong(`${JSON.stringify(folders.join("/"))} is no path of a file`);
  if (kind === "model" && parts.length > 0)
    throw wrong("only datasets have parts after a colon; a revision stands after an @");
  if (parts.length > 2 || parts.includes(""))
    throw wrong("a dataset's name is followed by :config, :split or :config:split");
  return {
    kind,
    name,
    revision: revision ?? "main",
    ...(folders.length > 0 && { file: folders.join("/") }),
    parts,
  };
}

function howToWrite(kind: RepoKind): string {
  return kind === "model"
    ? "Write hf:org/name, hf:org/name@revision or hf:org/name/file.gguf."
    : "Write hf:org/name, hf:org/name:config:split or hf:org/name/file.jsonl, a revision as @revision after the name.";
}

/** A reference as text that `parseReference` reads, at `revision`. */
export function formatReference({ name, file, parts }: HubReference, revision: string): string {
  const path = file === undefined ? name : `${name}/${file}`;
  return [`${PREFIX}${path}@${revision}`, ...parts].join(":");
}

/** Whether a text names a commit on the hub, whose files never change. */
export function isPinned(text: string, kind: RepoKind): boolean {
  return isCommit(parseReference(text, kind)?.revision ?? "");
}

/** Whether both texts name the same thing on the hub, at whatever revisions. */
export function sameName(a: string, b: string, kind: RepoKind): boolean {
  const [one, other] = [parseReference(a, kind), parseReference(b, kind)];
  return one !== undefined && other !== undefined && formatReference(one, "") === formatReference(other, "");
}

/** The bare `org/name` that a model's reference means, as model cards and PEFT want it; a local path as it is. */
export function baseModelName(text: string): string {
  return parseReference(text, "model")?.name ?? text;
}
