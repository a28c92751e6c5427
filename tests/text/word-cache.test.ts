import { readFileSync } from "node:fs";
import { Tokenizer as HubTokenizer } from "@huggingface/tokenizers";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { JsonObject } from "../../src/checkpoints/checkpoint.ts";
import { exactPreTokenizer } from "../../src/text/pretokenizer.ts";
import { tokenizerFromFiles } from "../../src/text/tokenizer.ts";
import { WordCache } from "../../src/text/word-cache.ts";

const file = new URL("../../examples/film-reviews/model/tokenizer.json", import.meta.url);
const json = JSON.parse(readFileSync(file, "utf8")) as JsonObject;
const tokenizer = tokenizerFromFiles({ tokenizer: json, config: { eos_token: "<|im_end|>" } });

/** The library that tokenizes whole texts, without a memory of words. */
const library = new HubTokenizer({ ...json, pre_tokenizer: exactPreTokenizer(json.pre_tokenizer ?? null) }, {});
const wholly = (text: string) => library.encode(text, { add_special_tokens: false }).ids;

const piece = fc.oneof(
  fc.constantFrom("film", "the", "a", "Ünter", "日本", "don't", "x1", "<|im_end|>", "𝒳y", "é", "\u00a0", "\ufeff"),
  fc.constantFrom(" ", "  ", "\n", "\n\n", "\t", ".", ", ", "!?", "7", "½", "'s", "\r\n"),
  fc.string({ unit: "grapheme", maxLength: 4 }),
);

describe("words that were seen before", () => {
  test("the tokenizer is one that splits at spaces between letters", () => {
    expect(tokenizer.restartIndex("one two three")).toBe(7);
  });

  test("have the ids that the whole text gives them, wherever they come again", () => {
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 24 }), (pieces) => {
        const text = pieces.join("");
        expect([...tokenizer.encode(text)]).toEqual(wholly(text));
      }),
      { numRuns: 500 },
    );
  });

  test("are forgotten without harm once there are too many", () => {
    const cache = new WordCache(wholly, 8);
    const texts = [
      "the film is good",
      "a film about the sea and the men who sail on it",
      "an end that nobody saw coming",
    ];
    for (const text of [...texts, ...texts, texts.join(" ")]) expect([...cache.idsOf(text)]).toEqual(wholly(text));
  });

  test("leave the ids that were handed out as they are", () => {
    const first = tokenizer.encode("the film is good");
    const copy = first.slice();
    tokenizer.encode("another text altogether");
    expect(first).toEqual(copy);
  });
});
