/** Degeneration of sampled answers: how much of them is said again. */

const GRAM = 4;

/**
 * The share of 4-grams of tokens that have stood in the same answer before, over all answers together: 0 where nothing
 * is repeated, near 1 for an answer that goes round in a circle. Answers of fewer than 4 tokens have none.
 */
export function repetition(answers: readonly ArrayLike<number>[]): number {
  let grams = 0;
  let repeated = 0;
  for (const answer of answers) {
    const seen = new Set<string>();
    for (let i = GRAM; i <= answer.length; i++) {
      const gram = Array.from({ length: GRAM }, (_, k) => answer[i - GRAM + k]).join();
      grams++;
      if (seen.has(gram)) repeated++;
      seen.add(gram);
    }
  }
  return grams === 0 ? 0 : repeated / grams;
}
