/**
 * Is a review positive or negative? Judged by the grammar's own lexicon: the words that it marks, each of which occurs in
 * reviews of one polarity only (grammar.ts).
 *
 * This is exact on what the grammar writes, and a fair count on what a model writes after it, since such a model hardly
 * knows other words. It is no judge of English in general: it doesn't see negation ("not wonderful" counts as praise),
 * irony, misspelled words, or any word that the grammar does not mark.
 */

import { markedWords } from "./expand.ts";
import { type Polarity, reviews } from "./grammar.ts";

/** "unclear" when no word judges, or when praise and blame are equally many. */
export type Sentiment = Polarity | "unclear";

/** The words that praise and the words that blame, in lower case. */
export const lexicon: Readonly<Record<Polarity, ReadonlySet<string>>> = {
  positive: markedWords(reviews.positive),
  negative: markedWords(reviews.negative),
};

/** The polarity that most judging words of `text` have; a word that occurs twice counts twice. */
export function sentiment(text: string): Sentiment {
  let balance = 0;
  for (const word of text.toLowerCase().match(/[a-z]+/g) ?? []) {
    if (lexicon.positive.has(word)) balance += 1;
    if (lexicon.negative.has(word)) balance -= 1;
  }
  if (balance === 0) return "unclear";
  return balance > 0 ? "positive" : "negative";
}
