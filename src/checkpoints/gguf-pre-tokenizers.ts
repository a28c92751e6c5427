/**
 * How byte-level BPE vocabularies split text before merging, by the name that llama.cpp's converter gives them
 * (`tokenizer.ggml.pre`). Each is what the `tokenizer.json` of the models published under that name says.
 */
import type { JsonObject } from "./checkpoint.ts";

interface PreTokenizer {
  readonly normalizer: JsonObject | null;
  readonly preTokenizer: JsonObject;
  /** A piece that is in the vocabulary as a whole is taken whole, whatever the merges would make of it. */
  readonly ignoreMerges: boolean;
  /** Whether a text begins with the begin-of-text token where the metadata does not say. */
  readonly addBos: boolean;
}

const LLAMA3_SPLIT =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}" +
  "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const QWEN2_SPLIT = LLAMA3_SPLIT.replace("{1,3}", "");

const TEKKEN_SPLIT =
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+" +
  "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*" +
  "|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?";

/** Tekken's with contractions kept on their words, and up to three digits together. */
const GPT4O_SPLIT =
  `[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+${CONTRACTION}` +
  `|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*${CONTRACTION}` +
  "|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** Byte-level with GPT-2's own expression. */
const GPT2: PreTokenizer = {
  normalizer: null,
  preTokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
  ignoreMerges: false,
  addBos: false,
};

/** GPT-2's, after every digit (any Unicode number character) has been set apart. */
const SINGLE_DIGITS: PreTokenizer = {
  ...GPT2,
  preTokenizer: sequence(split("\\p{N}"), GPT2.preTokenizer),
};

const LLAMA3: PreTokenizer = {
  normalizer: null,
  preTokenizer: sequence(split(LLAMA3_SPLIT), byteLevelOnly()),
  ignoreMerges: true,
  addBos: true,
};

const QWEN2: PreTokenizer = {
  normalizer: { type: "NFC" },
  preTokenizer: sequence(split(QWEN2_SPLIT), byteLevelOnly()),
  ignoreMerges: false,
  addBos: false,
};

const TEKKEN: PreTokenizer = { ...LLAMA3, preTokenizer: sequence(split(TEKKEN_SPLIT), byteLevelOnly()) };

/** Llama 3's expression in vocabularies of other makers: OLMo 2 and Phi-4, whose tokenizers descend from cl100k. */
const DBRX: PreTokenizer = { ...LLAMA3, ignoreMerges: false, addBos: false };

const GPT4O: PreTokenizer = { ...DBRX, preTokenizer: sequence(split(GPT4O_SPLIT), byteLevelOnly()) };

const BY_NAME: ReadonlyMap<string, PreTokenizer> = new Map([
  ["default", GPT2],
  ["gpt-2", GPT2],
  ["olmo", GPT2],
  ["phi-2", GPT2],
  ["smollm", SINGLE_DIGITS],
  ["starcoder", SINGLE_DIGITS],
  ["codeshell", SINGLE_DIGITS],
  ["refact", SINGLE_DIGITS],
  ["llama3", LLAMA3],
  ["llama-v3", LLAMA3],
  ["llama-bpe", LLAMA3],
  ["falcon3", LLAMA3],
  // Of SmolLM3 too.
  ["smaug-bpe", { ...LLAMA3, addBos: false }],
  ["dbrx", DBRX],
  ["gpt-4o", GPT4O],
  ["qwen2", QWEN2],
  ["deepseek-r1-qwen", QWEN2],
  ["tekken", TEKKEN],
]);

/** The pre-tokenizer of a name in GGUF metadata, undefined where it is not known. */
export function preTokenizerOf(name: string): PreTokenizer | undefined {
  return BY_NAME.get(name);
}

/** All names that are known; of several for one way of splitting the one that its first models have comes first. */
export function preTokenizerNames(): string[] {
  return [...new Set(["gpt-2", "llama-bpe", ...BY_NAME.keys()])];
}

function sequence(...pretokenizers: JsonObject[]): JsonObject {
  return { type: "Sequence", pretokenizers };
}

function split(regex: string): JsonObject {
  return { type: "Split", pattern: { Regex: regex }, behavior: "Isolated", invert: false };
}

function byteLevelOnly(): JsonObject {
  return { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };
}
