/** The parts of a `tokenizer.json`, the file format of Hugging Face's tokenizers, that preftune writes itself. */

import type { JsonObject } from "./checkpoint.ts";

/** A byte-pair encoding: tokens in the order of their ids, merges in the order that they are tried in. */
export function bpeModel(
  tokens: readonly string[],
  merges: readonly (string | [string, string])[],
  options: JsonObject = {},
): JsonObject {
  return {
    type: "BPE",
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: false,
    ...options,
    vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
    merges: [...merges],
  };
}

/** A token that is found in text as a whole, before anything is split. */
export function addedToken(content: string, id: number, special: boolean): JsonObject {
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special };
}

/** Tokens of bytes to text. */
export const byteLevelDecoder: JsonObject = {
  type: "ByteLevel",
  add_prefix_space: true,
  trim_offsets: true,
  use_regex: true,
};
