/** Tokenizers as GGUF metadata: how the published models' tokenizer.json say that text is split, and by which name GGUF does. */

import { describe, expect, test } from "vitest";
import type { JsonObject } from "../../src/checkpoints/checkpoint.ts";
import { naturalEntry, textEntry } from "../../src/checkpoints/gguf-entries.ts";
import { tokenizerEntries } from "../../src/export/gguf-tokenizer.ts";

/** GPT-2's characters for the 256 bytes, in the order in which it numbers them. */
const BYTES = (() => {
  const printable = [
    ...Array.from({ length: 94 }, (_, i) => 33 + i),
    ...Array.from({ length: 12 }, (_, i) => 161 + i),
    ...Array.from({ length: 82 }, (_, i) => 174 + i),
  ];
  const others = Array.from({ length: 256 }, (_, i) => i).filter((byte) => !printable.includes(byte));
  return [...printable.map((byte) => String.fromCharCode(byte)), ...others.map((_, i) => String.fromCharCode(256 + i))];
})();
const VOCABULARY = [...BYTES, "he", "Ġt", "Ġthe", "12", "<|end|>"];
const MERGES = [
  ["h", "e"],
  ["Ġ", "t"],
  ["Ġt", "he"],
  ["1", "2"],
];

const SETTINGS = new Map([
  ["general.architecture", textEntry("llama")],
  ["llama.context_length", naturalEntry(64)],
]);

function tokenizerJson(parts: JsonObject, model: JsonObject = {}): JsonObject {
  return {
    normalizer: null,
    post_processor: null,
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    added_tokens: [
      {
        id: VOCABULARY.length - 1,
        content: "<|end|>",
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      },
    ],
    model: {
      type: "BPE",
      vocab: Object.fromEntries(VOCABULARY.slice(0, -1).map((token, id) => [token, id])),
      merges: MERGES,
      ...model,
    },
    ...parts,
  };
}

const entriesOf = (tokenizer: JsonObject, config: JsonObject = {}, rows = VOCABULARY.length) =>
  tokenizerEntries({ tokenizer, config: { eos_token: "<|end|>", ...config } }, rows, SETTINGS);

const split = (regex: string, rest: JsonObject = { behavior: "Isolated", invert: false }): JsonObject => ({
  type: "Split",
  pattern: { Regex: regex },
  ...rest,
});
const bytesOnly = (trim: boolean): JsonObject => ({
  type: "ByteLevel",
  add_prefix_space: false,
  trim_offsets: trim,
  use_regex: false,
});
const LLAMA3 =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const sequence = (...pretokenizers: JsonObject[]): JsonObject => ({ type: "Sequence", pretokenizers });

describe("a way of splitting text has the name that llama.cpp's converter gives it", () => {
  const gpt2 = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true };

  test.each<[name: string, parts: JsonObject, model: JsonObject]>([
    ["gpt-2", { pre_tokenizer: gpt2 }, {}],
    ["smollm", { pre_tokenizer: sequence({ type: "Digits", individual_digits: true }, gpt2) }, {}],
    ["llama-bpe", { pre_tokenizer: sequence(split(LLAMA3), bytesOnly(true)) }, { ignore_merges: true }],
    [
      "llama-bpe",
      { pre_tokenizer: sequence(split(LLAMA3, { behavior: "Removed", invert: true }), bytesOnly(false)) },
      { ignore_merges: true },
    ],
    [
      "qwen2",
      {
        normalizer: { type: "NFC" },
        pre_tokenizer: sequence(split(LLAMA3.replace("{1,3}", "")), bytesOnly(false)),
      },
      { ignore_merges: false, dropout: null },
    ],
  ])("%s", (name, parts, model) => {
    const entries = entriesOf(tokenizerJson(parts, model));
    expect(entries.get("tokenizer.ggml.model")!.value).toBe("gpt2");
    expect(entries.get("tokenizer.ggml.pre")!.value).toBe(name);
    expect(entries.get("tokenizer.ggml.merges")!.value).toEqual(["h e", "Ġ t", "Ġt he", "1 2"]);
  });
});

describe("tokens", () => {
  const plain = tokenizerJson({ pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true } });

  test("stand at their ids with their kinds; rows of the embedding beyond them are unused", () => {
    const entries = entriesOf(plain, {}, VOCABULARY.length + 2);
    const tokens = entries.get("tokenizer.ggml.tokens")!.value as string[];
    const types = entries.get("tokenizer.ggml.token_type")!.value as number[];
    expect(tokens).toEqual([...VOCABULARY, `[PAD${VOCABULARY.length}]`, `[PAD${VOCABULARY.length + 1}]`]);
    expect(types.slice(-4)).toEqual([1, 3, 5, 5]);
    expect(entries.get("tokenizer.ggml.eos_token_id")!.value).toBe(VOCABULARY.length - 1);
    expect(entries.get("tokenizer.ggml.add_bos_token")!.value).toBe(false);
    expect(entries.has("tokenizer.ggml.bos_token_id")).toBe(false);
  });

  test("of which there are more than rows are refused", () => {
    expect(() => entriesOf(plain, {}, 200)).toThrow(/has the id \d+, but the model has 200 embeddings/);
  });

  test("that a text begins with are said: the begin token, or nothing", () => {
    const template = (ids: readonly string[]): JsonObject => ({
      type: "TemplateProcessing",
      single: [
        ...ids.map((id): JsonObject => ({ SpecialToken: { id, type_id: 0 } })),
        { Sequence: { id: "A", type_id: 0 } },
      ],
      pair: [],
      special_tokens: { "<|end|>": { id: "<|end|>", ids: [VOCABULARY.length - 1], tokens: ["<|end|>"] } },
    });
    const begun = entriesOf({ ...plain, post_processor: template(["<|end|>"]) }, { bos_token: "<|end|>" });
    expect(begun.get("tokenizer.ggml.add_bos_token")!.value).toBe(true);
    expect(begun.get("tokenizer.ggml.bos_token_id")!.value).toBe(VOCABULARY.length - 1);
    const twice = { ...plain, post_processor: template(["<|end|>", "<|end|>"]) };
    expect(() => entriesOf(twice, { bos_token: "<|end|>" })).toThrow("something else than its begin token");
  });
});

describe("what GGUF's readers would tokenize otherwise is refused", () => {
  test("another model than BPE", () => {
    const unigram = tokenizerJson({ model: { type: "Unigram", unk_id: 0, vocab: [["a", 0]] } });
    expect(() => entriesOf(unigram)).toThrow("a tokenizer of the type Unigram can't be written; BPE can.");
  });

  test("SentencePiece merges in an order that scores can't say", () => {
    const pieces = [
      "<unk>",
      ...Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`),
    ];
    const letters = ["▁", "a", "b", "c", "T", "h", "e", "Th", "he"];
    const vocab = Object.fromEntries([...pieces, ...letters].map((token, id) => [token, id]));
    const model = { type: "BPE", unk_token: "<unk>", fuse_unk: true, byte_fallback: true, vocab, merges: [["T", "h"]] };
    const tokenizer = tokenizerJson({
      normalizer: { type: "Replace", pattern: { String: " " }, content: "▁" },
      pre_tokenizer: null,
      decoder: { type: "ByteFallback" },
      added_tokens: [],
      model,
    });
    const refused = () =>
      tokenizerEntries({ tokenizer, config: { unk_token: "<unk>" } }, Object.keys(vocab).length, SETTINGS);
    expect(refused).toThrow(/^GGUF: the tokenizer can't be expressed: ".*" would get other token ids\./);
  });
});
