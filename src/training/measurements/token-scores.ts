/** A text as its tokens, each with its log-probabilities: what the run directory's samples and evaluated rows are shown by. */

import type { TokenizedExample } from "../../data/example.ts";
import type { TokenScores } from "../observer.ts";

/** Digits after the point that are kept of a log-probability: a file holds many, and float32 has no more of most. */
const PRECISION = 1e5;

/**
 * Puts log-probabilities, one a scored token, beside the pieces of the text, one a token. A token that is only context to those
 * after it is given and not predicted: its log-probability is 0.
 */
export function tokenScores(
  text: readonly string[],
  logps: Readonly<Record<"policy" | "reference", ArrayLike<number>>>,
  scored?: NonNullable<TokenizedExample["scored"]>[number],
): TokenScores {
  const spread = (values: ArrayLike<number>) => {
    let next = 0;
    return text.map((_, i) => (scored?.[i] === 0 ? 0 : Math.round(values[next++]! * PRECISION) / PRECISION));
  };
  return { text, policy: spread(logps.policy), reference: spread(logps.reference) };
}
