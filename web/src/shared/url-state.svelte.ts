/**
 * What a reader has set in a figure, kept in the page's address, so that a link shows what they saw:
 * `?tilt.beta=0.5` is `beta` of the figure "tilt". What equals the default is left out.
 */

import { untrack } from "svelte";
import { between } from "./scale.ts";

type Plain = number | string | boolean | readonly number[];
type FigureState = Record<string, Plain>;

/** Where a number may be, as a slider has it. With steps of 1 it is a whole one. */
export interface Range {
  readonly min: number;
  readonly max: number;
  readonly step?: number;
}

/** What a setting may be where an address gives it: the range of a number, or of each of a list, or the texts there are. */
type Allowed<State> = { readonly [Name in keyof State]?: Range | readonly State[Name][] };

/** Writing to the address at every movement of a slider would be refused by some browsers. */
const WRITE_AFTER = 150;
const pending = new Map<string, string | undefined>();
let writing = false;

/**
 * Reactive state of a figure, from the address where it says something of the default's kind. A number beyond its range becomes
 * the range's end, a text that is not allowed the default: anybody can write an address. Call it while a component is set up.
 */
export function urlState<State extends FigureState>(
  figure: string,
  defaults: State,
  allowed: Allowed<State> = {},
): State {
  const given = new URLSearchParams(location.search);
  const initial = Object.fromEntries(
    Object.entries(defaults).map(([name, value]) => [
      name,
      parse(given.get(`${figure}.${name}`), value, allowed[name] as Range | readonly Plain[] | undefined),
    ]),
  ) as State;
  const state = $state(initial);
  let first = true;
  $effect(() => {
    const texts = Object.entries(state).map(([name, value]) => [name, format(value)] as const);
    // What was read need not be written, and a page that is only looked at keeps its address.
    if (first) {
      first = false;
      return;
    }
    untrack(() => {
      for (const [name, text] of texts) {
        pending.set(`${figure}.${name}`, text === format(defaults[name]!) ? undefined : text);
      }
      if (!writing) setTimeout(write, WRITE_AFTER);
      writing = true;
    });
  });
  return state;
}

/** Puts a figure back to what it was before anything was set. */
export function reset<State extends FigureState>(state: State, defaults: State): void {
  Object.assign(state, structuredClone(defaults));
}

function write(): void {
  writing = false;
  const address = new URL(location.href);
  for (const [name, text] of pending) {
    if (text === undefined) address.searchParams.delete(name);
    else address.searchParams.set(name, text);
  }
  pending.clear();
  history.replaceState(history.state, "", address);
}

function format(value: Plain): string {
  return typeof value === "object"
    ? value.map(round).join(",")
    : typeof value === "number"
      ? round(value)
      : String(value);
}

/** Six figures are more than a pointer can set. */
const round = (value: number): string => String(Number(value.toPrecision(6)));

/** The text as a value like the default, or the default where it is none. */
function parse(text: string | null, fallback: Plain, allowed: Range | readonly Plain[] | undefined): Plain {
  if (text === null) return structuredClone(fallback);
  if (typeof fallback === "boolean") return text === "true";
  if (typeof fallback === "string") return Array.isArray(allowed) && !allowed.includes(text) ? fallback : text;
  const range = allowed && "min" in allowed ? allowed : undefined;
  if (typeof fallback === "number") return numberOr(text, fallback, range);
  const parts = text.split(",");
  return fallback.map((value, i) => (parts.length === fallback.length ? numberOr(parts[i]!, value, range) : value));
}

function numberOr(text: string, fallback: number, range: Range | undefined): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) return fallback;
  const { min, max, step } = range ?? { min: Number.NEGATIVE_INFINITY, max: Number.POSITIVE_INFINITY };
  return between(step === 1 ? Math.round(value) : value, min, max);
}
