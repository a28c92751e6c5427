/** Log-probabilities of a model that stays as it is, computed once an example. */

import type { CompletionScore, Scorable } from "./engine.ts";

type Scorer = (examples: readonly Scorable[]) => Promise<CompletionScore[]>;

export class KnownScores<Key> {
  protected readonly known = new Map<Key, readonly CompletionScore[]>();

  /** `keyOf` tells examples apart: those of one key have the same scores. */
  constructor(
    private readonly score: Scorer,
    private readonly keyOf: (example: Scorable) => Key,
  ) {}

  /** The scores of every example's completions. What is not known is computed in one run for the whole group. */
  async of(examples: readonly Scorable[]): Promise<CompletionScore[]> {
    const keys = examples.map(this.keyOf);
    if (keys.some((key) => !this.known.has(key))) {
      const scores = await this.score(examples);
      let start = 0;
      examples.forEach(({ completions }, i) => {
        this.remember(keys[i]!, scores.slice(start, start + completions.length));
        start += completions.length;
      });
    }
    return keys.flatMap((key) => this.known.get(key)!);
  }

  /** The first value of an example stays: a later run in another group may round differently. False for one that is known. */
  protected remember(key: Key, scores: readonly CompletionScore[]): boolean {
    if (this.known.has(key)) return false;
    this.known.set(key, scores);
    return true;
  }
}
