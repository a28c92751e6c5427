/** What the coloured text of an answer shows, apart from how it is drawn. */

import { fixed } from "./format.ts";

/** The pieces that join to an answer, with the log-probability of each by the policy and by the reference (nats). */
export interface ScoredTokens {
  readonly text: readonly string[];
  readonly policy: readonly number[];
  readonly reference?: readonly number[] | undefined;
}

/** The implicit reward of each token, beta log(pi / pi_ref); undefined without a reference. */
export function tokenRewards(tokens: ScoredTokens, beta: number): number[] | undefined {
  return tokens.reference?.map((reference, i) => beta * (tokens.policy[i]! - reference));
}

/**
 * A round number that few tokens' rewards go beyond: what is drawn in full colour. The 95th percentile, so that one token does not
 * make all others pale.
 */
export function colourScale(answers: Iterable<ScoredTokens>, beta: number): number {
  const sizes = [...answers].flatMap((tokens) => tokenRewards(tokens, beta) ?? []).map(Math.abs);
  sizes.sort((a, b) => a - b);
  const typical = sizes[Math.floor(0.95 * (sizes.length - 1))] ?? 0;
  if (!(typical > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(typical));
  return Number(([1, 2, 5, 10].find((factor) => factor * power >= typical * 0.999)! * power).toPrecision(1));
}

/** With its sign, which says in which direction the policy moved. */
export function signed(value: number, decimals = 3): string {
  const text = fixed(value, decimals);
  return value > 0 && Number(value.toFixed(decimals)) !== 0 ? `+${text}` : text;
}

/** A token as one can see it: white space has signs. */
export function visible(text: string): string {
  return text === "" ? "(nothing)" : text.replaceAll(" ", "␣").replaceAll("\n", "↵").replaceAll("\t", "⇥");
}
