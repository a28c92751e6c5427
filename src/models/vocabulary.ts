/** Tokens that a model has no row for: its tokenizer was given new ones, and the embedding was not made larger for them. */

import { DataError } from "../errors.ts";
import type { LanguageModel } from "./model.ts";

/** Texts in token ids, and where they came from. */
interface TokenizedTexts {
  readonly origin: { readonly file: string; readonly line: number };
  readonly prompt: ArrayLike<number>;
  readonly completions: readonly ArrayLike<number>[];
}

/** Throws DataError naming the first line with a token past the model's vocabulary. */
export function refuseUnknownTokens(model: LanguageModel, examples: readonly TokenizedTexts[]): void {
  for (const { origin, prompt, completions } of examples) {
    for (const tokens of [prompt, ...completions]) {
      refuseUnknown(model, tokens, `${origin.file}: line ${origin.line}`);
    }
  }
}

/** The same for the tokens of one text; `where` opens the message. */
export function refuseUnknown({ vocabularySize }: LanguageModel, tokens: ArrayLike<number>, where: string): void {
  for (let i = 0; i < tokens.length; i++) {
    if (tokens[i]! < vocabularySize) continue;
    throw new DataError(
      `${where} has the token ${tokens[i]}, but the model knows ${vocabularySize} tokens (config.json: vocab_size): its tokenizer has tokens that were added without making the model larger. Leave such texts out, or resize the model's embedding.`,
    );
  }
}
