/**
 * The generated files of `examples/film-reviews/`, from fixed seeds: preference pairs to train on, pairs about other films
 * to evaluate on, and the model's tokenizer. `examples/film-reviews/make-data.js` writes them.
 */

import type { TokenizerFiles } from "../checkpoints/checkpoint.ts";
import { type PreferenceRow, preferencePairs, pretrainingConversations } from "./corpus.ts";
import { trainTokenizer } from "./tokenizer.ts";

/** One seed for each use, so that no two of them write the same texts. */
export const SEEDS = { pretraining: 1, preferences: 2, evaluation: 3, prompts: 4, heldOut: 5 } as const;

const TRAIN_PAIRS = 512;
const EVALUATION_PAIRS = 128;
const TOKENIZER_CONVERSATIONS = 4000;
const VOCABULARY_SIZE = 1024;

/** The text of every generated file by its path inside `examples/film-reviews/`. */
export function exampleFiles(): Record<string, string> {
  const { tokenizer, config, chatTemplate } = exampleTokenizer();
  return {
    "preferences.jsonl": jsonLines(preferencePairs(SEEDS.preferences, TRAIN_PAIRS, "train")),
    "preferences-eval.jsonl": jsonLines(preferencePairs(SEEDS.evaluation, EVALUATION_PAIRS, "held-out")),
    "model/tokenizer.json": json(tokenizer),
    "model/tokenizer_config.json": json(config),
    "model/chat_template.jinja": chatTemplate!,
  };
}

/** The tokenizer of the embedded model, trained on the beginning of what the model is trained on. */
export function exampleTokenizer(): TokenizerFiles {
  return trainTokenizer(tokenizerTexts(), VOCABULARY_SIZE);
}

/** What stands between the special tokens of a rendered conversation, which the tokenizer cuts out first. */
function tokenizerTexts(): string[] {
  const conversations = pretrainingConversations(SEEDS.pretraining, TOKENIZER_CONVERSATIONS);
  return conversations.flat().map(({ role, content }) => `${role}\n${content}`);
}

function jsonLines(rows: readonly PreferenceRow[]): string {
  return rows.map((row) => `${JSON.stringify(row)}\n`).join("");
}

function json(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
