import { readFileSync } from "node:fs";
import { Template } from "@huggingface/jinja";
import { Tokenizer } from "@huggingface/tokenizers";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Message } from "../../src/data/example.ts";
import { preferencePairs, pretrainingConversations } from "../../src/demo/corpus.ts";
import { trainTokenizer } from "../../src/demo/tokenizer.ts";

/** Made with transformers by tests/reference/film_reviews_tokenizer.py. */
interface Golden {
  eos_token_id: number;
  pad_token_id: number;
  vocabulary: number;
  texts: { text: string; ids: number[] }[];
  conversations: { messages: Message[]; add_generation_prompt: boolean; rendered: string; ids: number[] }[];
}

/** The part of tokenizer.json that training decides. */
interface TokenizerJson {
  model: { vocab: Record<string, number>; merges: string[] };
}

function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(new URL(`../../${path}`, import.meta.url), "utf8"));
}

const tokenizerJson = readJson<TokenizerJson>("examples/film-reviews/model/tokenizer.json");
const config = readJson<object>("examples/film-reviews/model/tokenizer_config.json");
const template = readFileSync(
  new URL("../../examples/film-reviews/model/chat_template.jinja", import.meta.url),
  "utf8",
);
const golden = readJson<Golden>("tests/golden/film-reviews-tokenizer.json");
const tokenizer = new Tokenizer(tokenizerJson, config);

describe("training byte-level BPE", () => {
  const train = (texts: string[], size: number) => trainTokenizer(texts, size).tokenizer as unknown as TokenizerJson;
  const FIRST_MERGE = 3 + 256;

  it("merges the most frequent pair first", () => {
    const { model } = train(["low low low lower lowest"], FIRST_MERGE + 3);
    expect(model.merges).toEqual(["l o", "lo w", "Ġ low"]);
    expect(model.vocab.Ġlow).toBe(FIRST_MERGE + 2);
  });

  it("counts a spelling that two merges lead to as one token", () => {
    const { model } = train(["ab ab ab bc bc bc abc".replaceAll(" ", "1"), "bc1ab"], FIRST_MERGE + 20);
    expect(new Set(Object.values(model.vocab)).size).toBe(Object.keys(model.vocab).length);
    expect(Math.max(...Object.values(model.vocab))).toBe(Object.keys(model.vocab).length - 1);
  });

  it("stops early when nothing is left to merge", () => {
    expect(train(["ab"], 1000).model.merges).toEqual(["a b"]);
    expect(train([], 1000).model.merges).toEqual([]);
  });

  it("gives the same tokenizer for the same texts in any order", () => {
    const texts = pretrainingConversations(4, 200).map(([, review]) => review!.content);
    expect(trainTokenizer([...texts].reverse(), 600)).toEqual(trainTokenizer(texts, 600));
  });
});

describe("the example's tokenizer", () => {
  it("has the special tokens, sizes and ids that transformers sees", () => {
    expect(tokenizer.token_to_id("<|endoftext|>")).toBe(golden.pad_token_id);
    expect(tokenizer.token_to_id("<|im_end|>")).toBe(golden.eos_token_id);
    expect(Object.keys(tokenizerJson.model.vocab)).toHaveLength(golden.vocabulary);
    expect(golden.vocabulary).toBe(1024);
  });

  it.each(golden.texts)("gives the ids that transformers gives: $text", ({ text, ids }) => {
    expect(tokenizer.encode(text).ids).toEqual(ids);
    if (ids.length > 0) expect(tokenizer.decode(ids)).toBe(text);
  });

  it.each(golden.conversations)("renders conversations as transformers does: $rendered", (row) => {
    const rendered = new Template(template).render({
      messages: row.messages,
      add_generation_prompt: row.add_generation_prompt,
    });
    expect(rendered).toBe(row.rendered);
    expect(tokenizer.encode(rendered).ids).toEqual(row.ids);
  });

  it("gives any text back", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", minLength: 1 }), (text) => {
        expect(tokenizer.decode(tokenizer.encode(text).ids)).toBe(text);
      }),
    );
  });

  it("adds no token of its own", () => {
    expect(tokenizer.encode("The").ids).toEqual([tokenizerJson.model.vocab.The]);
    expect(tokenizer.encode("").ids).toEqual([]);
  });
});

describe("the vocabulary", () => {
  const length = (text: string) => tokenizer.encode(text).ids.length;

  it("spells a review in few tokens", () => {
    const reviews = pretrainingConversations(21, 500).map(([, review]) => review!.content);
    const tokens = reviews.map(length);
    const words = reviews.map((review) => review.split(" ").length);
    const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
    expect(sum(tokens) / reviews.length).toBeLessThan(30);
    expect(sum(tokens) / sum(words)).toBeLessThan(1.6);
    expect(Math.max(...tokens)).toBeLessThan(80);
  });

  it("does not tell chosen from rejected by their tokens", () => {
    const pairs = preferencePairs(22, 1000, "train");
    const total = (side: "chosen" | "rejected") => pairs.reduce((sum, pair) => sum + length(pair[side][0]!.content), 0);
    expect(Math.abs(total("chosen") / total("rejected") - 1)).toBeLessThan(0.05);
  });
});
