/** What one use of the hub carries along: its settings, who watches, and what stops it. */

import { HubError } from "../errors.ts";
import { type HubSettings, hubSettings } from "./settings.ts";

/** What the hub's room tells whoever watches. */
export type HubEvent =
  /** How far the files of one name are: bytes, those that were there before included. */
  | {
      readonly kind: "progress";
      readonly direction: "download" | "upload";
      readonly name: string;
      readonly files: number;
      readonly done: number;
      readonly total: number;
    }
  /** Nothing happens for so long, for this reason; then it is tried again. */
  | { readonly kind: "wait"; readonly name: string; readonly seconds: number; readonly reason: string }
  /** Something to know: a sentence. */
  | { readonly kind: "note"; readonly text: string };

export interface HubOptions {
  /** The environment's if not given. */
  readonly settings?: HubSettings | undefined;
  readonly observer?: ((event: HubEvent) => void) | undefined;
  /** Stops at once; what has arrived is kept. */
  readonly signal?: AbortSignal | undefined;
}

export interface Session {
  readonly settings: HubSettings;
  readonly tell: (event: HubEvent) => void;
  readonly signal: AbortSignal | undefined;
}

export function openSession({ settings = hubSettings(), observer, signal }: HubOptions): Session {
  return { settings, tell: observer ?? (() => {}), signal };
}

/** Runs what fetches the files of `name`. Throws HubError when the session is stopped meanwhile. */
export async function stoppable<T>(name: string, { signal }: Session, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!signal?.aborted) throw error;
    throw new HubError(`${name}: stopped. What has arrived is kept; the same command goes on with it.`, {
      cause: error,
    });
  }
}

export type RepoKind = "model" | "dataset";

/** A repository of the hub at a revision: a branch, a tag, `refs/pr/1`, or a commit's 40 hexadecimal digits. */
export interface RepoReference {
  readonly kind: RepoKind;
  /** `org/name`, or the bare name of one of the hub's oldest repositories. */
  readonly name: string;
  readonly revision: string;
}

/** The page of a repository, for people. */
export function pageOf({ settings }: Pick<Session, "settings">, { kind, name }: Pick<RepoReference, "kind" | "name">) {
  return `${settings.endpoint}/${pathOf(kind, name)}`;
}

/** A repository in the hub's addresses: models have no prefix. */
export function pathOf(kind: RepoKind, name: string): string {
  return kind === "model" ? name : `${kind}s/${name}`;
}

export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}
