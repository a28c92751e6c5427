import { expect, it } from "vitest";
import { refuseUnknownTokens } from "../../src/models/index.ts";
import { tinyModel } from "../support/tiny-model.ts";

const size = tinyModel.vocabularySize;
const example = (line: number, prompt: number[], ...completions: number[][]) => ({
  origin: { file: "pairs.jsonl", line },
  prompt: Int32Array.from(prompt),
  completions: completions.map((tokens) => Int32Array.from(tokens)),
});

it("texts may have every token of the model's vocabulary", () => {
  refuseUnknownTokens(tinyModel, [example(1, [0, size - 1], [size - 1], [0])]);
});

it("a token that was added to the tokenizer alone is refused, with the line that has it", () => {
  const good = example(1, [1], [2], [3]);
  for (const bad of [example(7, [1, size], [2], [3]), example(7, [1], [2], [3, size])]) {
    expect(() => refuseUnknownTokens(tinyModel, [good, bad])).toThrow(
      `pairs.jsonl: line 7 has the token ${size}, but the model knows ${size} tokens (config.json: vocab_size): its tokenizer has tokens that were added without making the model larger. Leave such texts out, or resize the model's embedding.`,
    );
  }
});
