import { readFileSync } from "node:fs";
import { Tokenizer as HubTokenizer } from "@huggingface/tokenizers";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { JsonObject } from "../../src/checkpoints/checkpoint.ts";
import { exactPreTokenizer } from "../../src/text/pretokenizer.ts";
import { tokenizerFromFiles } from "../../src/text/tokenizer.ts";
import { findOpenings, WordCache } from "../../src/text/word-cache.ts";
import { NO_CHARACTERS, WordTable } from "../../src/text/word-table.ts";

const file = new URL("../../examples/film-reviews/model/tokenizer.json", import.meta.url);
const json = JSON.parse(readFileSync(file, "utf8")) as JsonObject;

/** A byte-level pre-tokenizer that splits by a pattern. */
const splitBy = (Regex: string): JsonObject => ({
  type: "Sequence",
  pretokenizers: [
    { type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false },
    { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
  ],
});

/** The same tokenizer as the embedded example has it, and as if it were a newer family's. */
const preTokenizers: Readonly<Record<string, JsonObject>> = {
  "GPT-2": json.pre_tokenizer as JsonObject,
  "Llama 3": splitBy(
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  ),
  "words with what follows them": splitBy("\\p{L}+[,.!]? ?|\\s+|[^\\s\\p{L}]+"),
  "what stands before a word, with it": splitBy("[,.!] ?\\p{L}+| ?\\p{L}+|\\s+|[^\\s\\p{L}]+"),
};

const openers = (preTokenizer: JsonObject) => {
  const engine = new HubTokenizer({ ...json, pre_tokenizer: exactPreTokenizer(preTokenizer) }, {});
  const { words, lines } = findOpenings((text) => engine.pre_tokenizer?.(text) ?? []);
  return { words: String.fromCharCode(...words), lines: String.fromCharCode(...lines) };
};

function bothOf(preTokenizer: JsonObject) {
  const own = { ...json, pre_tokenizer: preTokenizer };
  const tokenizer = tokenizerFromFiles({ tokenizer: own, config: { eos_token: "<|im_end|>" } });
  // The library tokenizes whole texts, without a memory of words.
  const library = new HubTokenizer({ ...own, pre_tokenizer: exactPreTokenizer(preTokenizer) }, {});
  return { tokenizer, wholly: (text: string) => library.encode(text, { add_special_tokens: false }).ids };
}

const { tokenizer, wholly } = bothOf(json.pre_tokenizer as JsonObject);

const piece = fc.oneof(
  fc.constantFrom("film", "the", "a", "Ünter", "日本", "don't", "x1", "<|im_end|>", "𝒳y", "é", "\u00a0", "\ufeff"),
  fc.constantFrom(" ", "  ", "\n", "\n\n", "\t", ".", ", ", "!?", "7", "½", "'s", "\r\n"),
  fc.string({ unit: "grapheme", maxLength: 4 }),
);

describe("words that were seen before", () => {
  test("the tokenizer is one that splits at spaces between letters", () => {
    expect(tokenizer.restartIndex("one two three")).toBe(7);
  });

  test.each(Object.entries(preTokenizers))("have the ids that the whole text gives them: %s", (_, preTokenizer) => {
    const { tokenizer, wholly } = bothOf(preTokenizer);
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 24 }), (pieces) => {
        const text = pieces.join("");
        expect([...tokenizer.encode(text)]).toEqual(wholly(text));
      }),
      { numRuns: 300 },
    );
  });

  test("are told from each other where the pre-tokenizer parts them", () => {
    const gpt2 = openers(preTokenizers["GPT-2"]!);
    for (const character of ".,!?)\u201d7b") expect(gpt2.lines).toContain(character);
    expect(gpt2.words).toContain(".");
    // Llama 3 takes line ends for a part of the punctuation before them.
    const { words, lines } = openers(preTokenizers["Llama 3"]!);
    expect(words).toContain(".");
    expect(lines).toContain("b");
    expect(lines).not.toContain(".");
    expect(openers(preTokenizers["what stands before a word, with it"]!).words).not.toMatch(/[.,!]/);
  });

  test("are forgotten without harm once there are too many", () => {
    const cache = new WordCache(wholly, undefined, 8);
    const texts = [
      "the film is good",
      "a film about the sea and the men who sail on it",
      "an end that nobody saw coming",
    ];
    for (const text of [...texts, ...texts, texts.join(" ")]) expect([...cache.idsOf(text)]).toEqual(wholly(text));
  });

  test("are told apart by every character, and not kept where the table has no place for them", () => {
    const table = new WordTable(2);
    const hash = NO_CHARACTERS;
    table.add("a film", 0, 6, hash, [1, 2]);
    table.add("a fill", 0, 6, hash, [3]);
    table.add("a fist", 0, 6, hash, [4]);
    const ids = (text: string) => {
      const at = table.find(`the ${text}`, 4, 4 + text.length, hash);
      const into = new Int32Array(at === 0 ? 0 : table.idCount(at));
      if (at > 0) table.copyIds(at, into, 0);
      return [...into];
    };
    expect(["a film", "a fill", "a fist", "a fil"].map(ids)).toEqual([[1, 2], [3], [], []]);
  });

  test("made to have one hash take no longer than others", () => {
    const table = new WordTable(100_000);
    for (let i = 0; i < 100_000; i++) table.add(String(i).padStart(6, "0"), 0, 6, 7, [i]);
    expect(table.size).toBeLessThan(100);
    expect(table.find("000000", 0, 6, 7)).toBeGreaterThan(0);
    expect(table.find("099999", 0, 6, 7)).toBe(0);
  });

  test("leave the ids that were handed out as they are", () => {
    const first = tokenizer.encode("the film is good");
    const copy = first.slice();
    tokenizer.encode("another text altogether");
    expect(first).toEqual(copy);
  });
});
