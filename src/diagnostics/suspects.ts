/**
 * Rows that may be labelled the wrong way round. Each time training meets a pair its gradient weight (pairs.ts) is noted,
 * as it is before the step that learns from it; a pair is a suspect when the mean of its weights is high.
 *
 * In a run of several epochs such a pair has stayed backwards although it was trained on. In a run of one epoch each pair
 * is met once: then a suspect is a pair that the policy ranked backwards at that step, having learned from others, and
 * pairs met early, when it had learned nothing, can hardly be suspected. docs/diagnostics.md says how many labels that
 * were turned round on purpose are found: few of them where the policy learns its rows by heart.
 */

import type { RowOrigin, TokenizedExample } from "../data/example.ts";
import { gradientWeight } from "./pairs.ts";

/**
 * The least mean weight that is called high: odds of 3 to 2 that the label is wrong. At 1/2 are the pairs that the policy
 * has no opinion of, and a little above are too many of them.
 */
const SUSPICIOUS_WEIGHT = 0.6;

/** One line of suspects.jsonl. */
export interface Suspect extends RowOrigin {
  /** Times that training met the pair. */
  readonly seen: number;
  /** Its mean gradient weight over these times. */
  readonly mean_weight: number;
  /** The step and the margin of the last time. */
  readonly last_step: number;
  readonly last_margin: number;
}

/** What is known of each example by its index; float32, as a checkpoint keeps it. */
type RowWeights = Readonly<Record<"seen" | "weights" | "lastStep" | "lastMargin", Float32Array>>;

export class RowWatch {
  readonly rows: RowWeights;
  private readonly indices: ReadonlyMap<TokenizedExample, number>;

  constructor(private readonly examples: readonly TokenizedExample[]) {
    const column = () => new Float32Array(examples.length);
    this.rows = { seen: column(), weights: column(), lastStep: column(), lastMargin: column() };
    this.indices = new Map(examples.map((example, i) => [example, i]));
  }

  /** Notes the margin that training met an example with, at a step counted from 1. A margin of NaN is none. */
  note(example: TokenizedExample, margin: number, step: number): void {
    const i = this.indices.get(example);
    if (i === undefined || Number.isNaN(margin)) return;
    const { seen, weights, lastStep, lastMargin } = this.rows;
    seen[i]! += 1;
    weights[i]! += gradientWeight(margin);
    lastStep[i] = step;
    lastMargin[i] = margin;
  }

  /** Whether any margin was noted: only objectives over pairs have them. */
  get watches(): boolean {
    return this.rows.seen.some((times) => times > 0);
  }

  /** The most suspicious first: by mean weight, then by last margin. */
  suspects(): Suspect[] {
    const { seen, weights, lastStep, lastMargin } = this.rows;
    return this.examples
      .flatMap(({ origin }, i) => {
        const mean = weights[i]! / seen[i]!;
        if (!(mean >= SUSPICIOUS_WEIGHT)) return [];
        return [{ ...origin, seen: seen[i]!, mean_weight: mean, last_step: lastStep[i]!, last_margin: lastMargin[i]! }];
      })
      .sort((a, b) => b.mean_weight - a.mean_weight || a.last_margin - b.last_margin);
  }
}
