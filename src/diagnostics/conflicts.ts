/** Pairs that contradict each other: the same prompt and the same two completions, in both orders. */

import type { RowOrigin, TokenizedExample } from "../data/example.ts";

/** How many conflicts are named. */
const NAMED = 5;

export interface Conflicts {
  /** Pairs whose opposite is in the data too. */
  readonly pairs: number;
  /** The first of them, each with its first opposite. */
  readonly first: readonly (readonly [RowOrigin, RowOrigin])[];
}

/** Finds them among the examples that are pairs, by their token ids; undefined where there are none. */
export function conflictsAmong(examples: readonly TokenizedExample[]): Conflicts | undefined {
  const alike = new Map<string, TokenizedExample[]>();
  for (const example of examples) {
    if (example.completions.length !== 2) continue;
    const key = likeness(example);
    const others = alike.get(key);
    if (others) others.push(example);
    else alike.set(key, [example]);
  }
  const conflicts = examples.flatMap((pair) => {
    const opposite = alike.get(likeness(pair))?.find((other) => contradicts(pair, other));
    return opposite ? [[pair.origin, opposite.origin] as const] : [];
  });
  return conflicts.length === 0 ? undefined : { pairs: conflicts.length, first: conflicts.slice(0, NAMED) };
}

/** The same for a pair and its opposite, and cheap, so that few pairs have to be compared token by token. */
function likeness({ prompt, completions }: TokenizedExample): string {
  const lengths = completions.map((ids) => ids.length).sort((a, b) => a - b);
  const sum = [prompt, ...completions].reduce((total, ids) => ids.reduce((a, b) => a + b, total), 0);
  return [prompt.length, ...lengths, sum].join();
}

function contradicts(a: TokenizedExample, b: TokenizedExample): boolean {
  const [chosen, rejected] = a.completions;
  const [otherChosen, otherRejected] = b.completions;
  return equal(a.prompt, b.prompt) && equal(chosen!, otherRejected!) && equal(rejected!, otherChosen!);
}

function equal(a: Int32Array, b: Int32Array): boolean {
  return a.length === b.length && a.every((id, i) => id === b[i]);
}
