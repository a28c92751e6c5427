/**
 * Two pre-tokenizers of @huggingface/tokenizers read character classes more narrowly than the Rust library that trained
 * the models: `Digits` knows ASCII digits only (Rust: every numeric character, so that `½` stands alone), and `ByteLevel`
 * takes JavaScript's `\s`, which has U+FEFF and lacks U+0085. Both are written here as the library's `Split`, whose regular
 * expressions it translates exactly.
 */

import type { Json, JsonObject } from "../checkpoints/checkpoint.ts";

/** GPT-2's pattern, as `ByteLevel` has it. */
const byteLevelPattern = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/** The `pre_tokenizer` of a tokenizer.json, rewritten so that @huggingface/tokenizers splits text as the Rust library does. */
export function exactPreTokenizer(preTokenizer: Json): Json {
  if (preTokenizer === null || typeof preTokenizer !== "object" || Array.isArray(preTokenizer)) return preTokenizer;
  switch (preTokenizer.type) {
    case "Sequence": {
      const parts = preTokenizer.pretokenizers;
      return { ...preTokenizer, pretokenizers: Array.isArray(parts) ? parts.map(exactPreTokenizer) : [] };
    }
    case "Digits":
      return isolate(preTokenizer.individual_digits === true ? "\\p{N}" : "\\p{N}+");
    case "ByteLevel":
      // With a prefix space the space belongs to the text before it is split, which a sequence can't express.
      if (preTokenizer.use_regex === false || preTokenizer.add_prefix_space === true) return preTokenizer;
      return {
        type: "Sequence",
        pretokenizers: [isolate(byteLevelPattern), { ...preTokenizer, use_regex: false, add_prefix_space: false }],
      };
    default:
      return preTokenizer;
  }
}

function isolate(pattern: string): JsonObject {
  return { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false };
}
