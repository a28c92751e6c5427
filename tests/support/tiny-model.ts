/**
 * A Llama of 80,000 seeded random parameters with the film reviews example's tokenizer: as values in memory, and as a
 * folder with preference pairs beside it, so that a whole run takes a second.
 */

import { readFileSync, writeFileSync } from "node:fs";
import type { JsonObject } from "../../src/checkpoints/checkpoint.ts";
import { writeCheckpoint } from "../../src/checkpoints/huggingface.ts";
import type { TokenizedExample } from "../../src/data/example.ts";
import type { Weights } from "../../src/models/index.ts";
import { llama } from "../../src/models/llama.ts";
import { Random } from "../../src/random.ts";

const config: JsonObject = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  vocab_size: 1024,
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 512,
  tie_word_embeddings: false,
};

export const tinyModel = llama(config, "the tests' tiny model");

/** Weights in -0.5 to 0.5, gains of 1: every token has another log-probability. */
export function tinyWeights(seed = 7): Weights {
  const random = new Random(seed);
  const values = (dims: readonly number[]) =>
    Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => (dims.length === 1 ? 1 : random.next() - 0.5));
  return Object.fromEntries([...tinyModel.weights].map(([name, dims]) => [name, { dims, data: values(dims) }]));
}

const example = (name: string) => new URL(`../../examples/film-reviews/${name}`, import.meta.url);
const readJson = (name: string) => JSON.parse(readFileSync(example(name), "utf8")) as JsonObject;

/** Writes the model into a folder, with these weights. */
export function writeTinyModel(folder: string, weights: Weights = tinyWeights()): string {
  const tokenizer = {
    tokenizer: readJson("model/tokenizer.json"),
    config: readJson("model/tokenizer_config.json"),
    chatTemplate: readFileSync(example("model/chat_template.jinja"), "utf8"),
  };
  const tensors = Object.entries(weights).map(([name, { dims, data }]) => ({
    name,
    shape: dims,
    read: () => data as Float32Array,
  }));
  writeCheckpoint(folder, { config, tokenizer, tensors });
  return folder;
}

/** Writes preference pairs of the film reviews example, those from row `from` on. */
export function writePairs(file: string, count: number, from = 0, source = "preferences.jsonl"): string {
  const lines = readFileSync(example(source), "utf8").split("\n");
  writeFileSync(file, `${lines.slice(from, from + count).join("\n")}\n`);
  return file;
}

/** Seeded pairs in token ids, as if read from `pairs.jsonl`: prompts of 1 to 9 tokens, completions of 1 to 12. */
export function tinyPairs(count: number, seed = 1): TokenizedExample[] {
  const random = new Random(seed);
  const ids = (most: number) =>
    Int32Array.from({ length: 1 + random.below(most) }, () => random.below(tinyModel.vocabularySize));
  return Array.from({ length: count }, (_, i) => ({
    origin: { file: "pairs.jsonl", line: i + 1 },
    prompt: ids(9),
    completions: [ids(12), ids(12)],
  }));
}
