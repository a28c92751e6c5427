/** What a model writes when it is asked about films, and how much of that is praise. */

import type { LoadedModel } from "../evaluation/loaded-model.ts";
import { promptIds } from "../text/boundary.ts";
import { prompts } from "./corpus.ts";
import type { SampledAnswer } from "./divergence.ts";
import { SEEDS } from "./example-files.ts";
import { type Sentiment, sentiment } from "./sentiment.ts";

/** Longer than any review that the grammar writes. */
const LONGEST_REVIEW = 100;
/** Sequences under way at the same time: so small a model is faster with many. */
const BATCH_SIZE = 100;

export interface Review extends SampledAnswer {
  readonly question: string;
  readonly text: string;
  readonly sentiment: Sentiment;
}

/** Reviews by their sentiment. */
type Tally = Readonly<Record<Sentiment, number>>;

/** Samples a review at temperature 1 for each of the first `count` questions about films that no training text names. */
export async function sampleReviews(model: LoadedModel, count: number, seed: number): Promise<Review[]> {
  const conversations = prompts(SEEDS.prompts, count);
  const ids = conversations.map((conversation) => promptIds(model.tokenizer, conversation));
  const answers = await model.generateFromIds(ids, {
    maxNewTokens: LONGEST_REVIEW,
    temperature: 1,
    seed,
    batchSize: BATCH_SIZE,
  });
  return answers.map(({ text, tokens, logps }, i) => ({
    question: conversations[i]![0]!.content,
    text,
    sentiment: sentiment(text),
    prompt: ids[i]!,
    tokens,
    logps,
  }));
}

export function tally(reviews: readonly Pick<Review, "sentiment">[]): Tally {
  const counts = { positive: 0, negative: 0, unclear: 0 };
  for (const { sentiment } of reviews) counts[sentiment]++;
  return counts;
}
