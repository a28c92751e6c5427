/**
 * What was probably meant by a name that is none: one that breaks the hub's rules, an address of the hub's pages, and names of
 * repositories that are like it, in the cache and on the hub.
 */

import { readdirSync } from "node:fs";
import { editDistance, nearestFew } from "../suggest.ts";
import type { RepoKind, RepoReference, Session } from "./session.ts";

/** What is wrong with each part of a name, by the hub's rules. */
const FAULTS: readonly (readonly [RegExp, string])[] = [
  [/^$/, "a part of it is empty"],
  [/\s/, "it has a space"],
  [/[^A-Za-z0-9._-]/, "it has other characters than letters, digits, - _ and ."],
  [/--|\.\./, "it has -- or .."],
  [/^[-.]|[-.]$/, "a part of it begins or ends with - or ."],
  [/\.git$/, "it ends in .git"],
];
const MOST_CHARACTERS = 96;

/** What is wrong with a name, in words; undefined for nothing. */
export function faultOf(name: string): string | undefined {
  const parts = name.split("/");
  if (name === "") return "it is empty";
  if (parts.length > 2) return "it has more than two parts";
  if (name.length > MOST_CHARACTERS) return `it has ${name.length} characters`;
  return FAULTS.find(([pattern]) => parts.some((part) => pattern.test(part)))?.[1];
}

/** The name that keeps the rules and is nearest to one that does not; undefined where nothing is left of it. */
export function respelled(name: string): string | undefined {
  const parts = name.split("/").map((part) =>
    part
      .trim()
      .replace(/[^A-Za-z0-9._-]+/g, "-")
      .replace(/\.git$/, "")
      .replace(/--+/g, "-")
      .replace(/\.\.+/g, ".")
      .replace(/^[-.]+|[-.]+$/g, ""),
  );
  const found = parts.filter((part) => part !== "").join("/");
  return found === "" || found === name || faultOf(found) !== undefined ? undefined : found;
}

/** What an address of the hub's pages is about. */
interface Page {
  readonly kind: RepoKind;
  /** As it is written after `hf:`. */
  readonly name: string;
}

/** The repository, revision and file of a page's address; undefined for other texts. */
export function pageIn(text: string): Page | undefined {
  const [, kind, path] = /^(?:https?:\/\/)?(?:www\.)?(?:huggingface\.co|hf\.co)\/(datasets\/)?(.+)$/.exec(text) ?? [];
  const [, name, revision, file] =
    /^([^/?#]+\/[^/?#]+)(?:\/(?:tree|blob|resolve)\/([^/?#]+)(?:\/([^?#]+))?)?/.exec(path ?? "") ?? [];
  if (name === undefined || faultOf(name) !== undefined) return undefined;
  const at = revision === undefined || revision === "main" ? "" : `@${revision}`;
  return { kind: kind === undefined ? "model" : "dataset", name: `${name}${file ? `/${file}` : ""}${at}` };
}

/** How many names are suggested. */
const MOST_NAMES = 3;
/** Suggestions are not worth waiting for. */
const PATIENCE = 5000;

/** Sentences on what else there is that a name may have meant, each with a space before it; none where nothing is like it. */
export async function whatElse(session: Session, { kind, name }: RepoReference): Promise<string> {
  const other: RepoKind = kind === "model" ? "dataset" : "model";
  const [own = "", org] = name.split("/").reverse();
  const [isOther, ...found] = await Promise.all([
    ask(session, `${other}s/${name}`),
    ask(session, `${kind}s?search=${encodeURIComponent(own)}&sort=downloads&limit=50`),
    org === undefined ? undefined : ask(session, `${kind}s?author=${encodeURIComponent(org)}&sort=downloads&limit=200`),
  ]);
  const ids = found.flatMap((list) => (Array.isArray(list) ? list : [])).map((entry: { id?: unknown }) => entry?.id);
  const listed = ids.filter((id) => typeof id === "string");
  if (isOther !== undefined) return ` There is a ${other} of this name, and a ${kind} is wanted here.`;
  return like(name, [...listed, ...cachedNames(session, kind)]);
}

/** A sentence on names in the cache that a name may have meant, with a space before it. */
export function likeCached(session: Pick<Session, "settings">, kind: RepoKind, name: string): string {
  return like(name, cachedNames(session, kind), "In the cache is ");
}

function like(name: string, known: readonly string[], opening = "Did you mean "): string {
  // A long text is a path, and near to no name.
  if (name.length > MOST_CHARACTERS) return "";
  const names = nearestFew(
    name,
    known.filter((each) => each !== name),
    MOST_NAMES,
    distance,
  );
  if (names.length === 0) return "";
  return ` ${opening}${names.map((each) => `hf:${each}`).join(" or ")}${opening.startsWith("Did") ? "?" : "."}`;
}

/** Letter case does not count, and another organization little where the name's own part is the same. */
function distance(name: string, candidate: string): number {
  const [a, b] = [name.toLowerCase(), candidate.toLowerCase()];
  const [ownA, ownB] = [a, b].map((text) => text.slice(text.lastIndexOf("/") + 1)) as [string, string];
  if (ownA === ownB) return 1;
  const isLike = editDistance(ownA, ownB) <= Math.max(2, 0.5 * Math.max(ownA.length, ownB.length));
  return isLike ? editDistance(a, b) : Number.POSITIVE_INFINITY;
}

function cachedNames({ settings }: Pick<Session, "settings">, kind: RepoKind): string[] {
  const prefix = `${kind}s--`;
  try {
    return readdirSync(settings.cache).flatMap((folder) =>
      folder.startsWith(prefix) ? [folder.slice(prefix.length).replace("--", "/")] : [],
    );
  } catch {
    return []; // There is no cache yet.
  }
}

/** What the hub answers to a question that nothing hangs on; undefined where it does not. */
async function ask({ settings, signal }: Session, path: string): Promise<unknown> {
  const headers: Record<string, string> =
    settings.token === undefined ? {} : { authorization: `Bearer ${settings.token}` };
  const signals = [AbortSignal.timeout(PATIENCE), ...(signal ? [signal] : [])];
  try {
    const response = await fetch(`${settings.endpoint}/api/${path}`, { headers, signal: AbortSignal.any(signals) });
    return response.ok ? await response.json() : undefined;
  } catch {
    return undefined;
  }
}
