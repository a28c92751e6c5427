/** The tokenizers that the tests of text and data use. */

import { readFileSync } from "node:fs";
import type { JsonObject, TokenizerFiles } from "../../src/checkpoints/checkpoint.ts";
import { openCheckpoint } from "../../src/checkpoints/open.ts";
import { type Tokenizer, tokenizerFromFiles } from "../../src/text/tokenizer.ts";
import { SMOLLM2, STORIES } from "../support/shared.ts";

export async function smollm2(): Promise<Tokenizer> {
  using checkpoint = await openCheckpoint(SMOLLM2);
  return tokenizerFromFiles(checkpoint.tokenizer);
}

export function storiesFiles(): TokenizerFiles {
  const read = (name: string) => JSON.parse(readFileSync(`${STORIES}/${name}`, "utf8")) as JsonObject;
  return { tokenizer: read("tokenizer.json"), config: read("tokenizer_config.json") };
}

export function stories260K(): Tokenizer {
  return tokenizerFromFiles(storiesFiles());
}

/** A byte-level tokenizer without merges: a token a byte, and special tokens after them. */
export function byteFiles(options: {
  special?: readonly string[];
  config?: JsonObject;
  postProcessor?: JsonObject | null;
  chatTemplate?: string;
}): TokenizerFiles {
  const special = ["<end>", ...(options.special ?? [])];
  const bytes = byteCharacters();
  const vocab = Object.fromEntries([...bytes, ...special].map((token, id) => [token, id]));
  return {
    tokenizer: {
      added_tokens: special.map((content, i) => ({
        id: bytes.length + i,
        content,
        special: true,
        normalized: false,
        lstrip: false,
        rstrip: false,
        single_word: false,
      })),
      normalizer: null,
      pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: true },
      post_processor: options.postProcessor ?? null,
      decoder: { type: "ByteLevel" },
      model: { type: "BPE", vocab, merges: [] },
    },
    config: { eos_token: "<end>", ...options.config },
    ...(options.chatTemplate === undefined ? {} : { chatTemplate: options.chatTemplate }),
  };
}

/** GPT-2's printable stand-ins for the 256 bytes, in order. */
function byteCharacters(): string[] {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    return String.fromCharCode(printable ? byte : next++);
  });
}
