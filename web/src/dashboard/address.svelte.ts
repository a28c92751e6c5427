/**
 * What is set in a view, kept in the address behind its path (`#/runs/ID?over=time`), so that a reload, a bookmark and the way back
 * show the same. No two views that follow each other may give one name to different things.
 */

import { untrack } from "svelte";
import { link, replace, route } from "./route.svelte.ts";

/** Something that can be set, as text. */
export interface Setting {
  /** Reactive; undefined, or an empty text, for what need not be said. */
  readonly get: () => string | undefined;
  /** Is given whatever the address says: a text that means nothing changes nothing. */
  readonly set: (text: string) => void;
}

/** A slider that moves, or a word that is typed, is written when it is at rest. */
const WRITE_AFTER = 150;

/** Sets what the address says, now and when it is changed, and keeps it there from then on. Call it while a component is set up. */
export function keptInAddress(settings: Readonly<Record<string, Setting>>): void {
  $effect.pre(() => {
    const { query } = route();
    untrack(() => {
      for (const [name, { set }] of Object.entries(settings)) if (query.has(name)) set(query.get(name)!);
    });
  });
  $effect(() => {
    const texts = Object.entries(settings).map(([name, { get }]) => [name, get()] as const);
    const timer = setTimeout(() => write(texts), WRITE_AFTER);
    return () => clearTimeout(timer);
  });
}

function write(texts: readonly (readonly [name: string, text: string | undefined])[]): void {
  const { path, query } = route();
  const next = new Map([...query.keys()].map((name) => [name, query.getAll(name)]));
  for (const [name, text] of texts) {
    if (text) next.set(name, [text]);
    else next.delete(name);
  }
  const href = link(path, Object.fromEntries(next));
  if (href !== location.hash) replace(href);
}

/** The number that a text is, within its bounds; undefined where it is none. */
export function numberIn(text: string, least: number, most: number): number | undefined {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  return Number.isFinite(value) ? Math.min(most, Math.max(least, value)) : undefined;
}
