/**
 * Trains the embedded example's tokenizer: byte-level BPE (Sennrich et al. 2016; bytes in place of characters as in GPT-2,
 * Radford et al. 2019), written as the two files that Hugging Face tokenizers read.
 *
 * Text is cut into pieces (a word with the space before it, a run of digits, punctuation or space), each piece is spelled in
 * bytes, and the adjacent pair of tokens that is most frequent in the texts becomes a token, again and again, until the
 * vocabulary is full. Every string has a spelling, since each of the 256 bytes is a token.
 */

import type { JsonObject, TokenizerFiles } from "../checkpoints/checkpoint.ts";
import { addedToken, bpeModel, byteLevelDecoder } from "../checkpoints/tokenizer-json.ts";

/** The end-of-text token pads; the other two frame a turn, and `<|im_end|>` ends generation. There is no BOS. */
const SPECIAL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];

/** GPT-2's pieces, which `ByteLevel` with `use_regex` cuts in every implementation. */
const PIECE = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** ChatML, with a line break between turns rather than after each, so that a completion ends in its end-of-turn token. */
const CHAT_TEMPLATE =
  "{% for message in messages %}{% if not loop.first %}{{ '\\n' }}{% endif %}" +
  "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '\\n<|im_start|>assistant\\n' }}{% endif %}";

/** A piece of text as the tokens that spell it so far, and how often it occurs. */
interface Piece {
  spelling: string[];
  readonly count: number;
}

/**
 * A tokenizer of at most `size` tokens (fewer when nothing is left to merge) fitted to `texts`, the same for the same texts
 * in any order. Ids: special tokens, the 256 bytes, then what merging made, in the order in which it was found.
 */
export function trainTokenizer(texts: Iterable<string>, size: number): TokenizerFiles {
  const letters = byteLetters();
  const pieces = countPieces(texts, letters);
  const vocabulary = new Set([...SPECIAL_TOKENS, ...letters]);
  const merges: string[] = [];
  while (vocabulary.size < size) {
    const pair = mostFrequentPair(pieces);
    if (pair === undefined) break;
    const [left, right] = pair;
    for (const piece of pieces) piece.spelling = merged(piece.spelling, left, right);
    merges.push(`${left} ${right}`);
    vocabulary.add(left + right);
  }
  return { tokenizer: tokenizerJson([...vocabulary], merges), config: tokenizerConfig(), chatTemplate: CHAT_TEMPLATE };
}

/** GPT-2's visible letter for each byte: itself where it prints in Latin-1, else the next letter from U+0100 on. */
function byteLetters(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    return String.fromCharCode(printable ? byte : next++);
  });
}

function countPieces(texts: Iterable<string>, letters: readonly string[]): Piece[] {
  const counts = new Map<string, number>();
  for (const text of texts)
    for (const piece of text.match(PIECE) ?? []) counts.set(piece, (counts.get(piece) ?? 0) + 1);
  const encoder = new TextEncoder();
  return [...counts].map(([piece, count]) => ({
    spelling: Array.from(encoder.encode(piece), (byte) => letters[byte]!),
    count,
  }));
}

/** Of equally frequent pairs the one that sorts first, so that the order of the texts doesn't matter. */
function mostFrequentPair(pieces: readonly Piece[]): [string, string] | undefined {
  const counts = new Map<string, number>();
  for (const { spelling, count } of pieces) {
    for (let i = 1; i < spelling.length; i++) {
      const pair = `${spelling[i - 1]} ${spelling[i]}`;
      counts.set(pair, (counts.get(pair) ?? 0) + count);
    }
  }
  let best = "";
  let most = 0;
  for (const [pair, count] of counts) {
    if (count > most || (count === most && pair < best)) [best, most] = [pair, count];
  }
  return most === 0 ? undefined : (best.split(" ") as [string, string]);
}

function merged(spelling: readonly string[], left: string, right: string): string[] {
  const result: string[] = [];
  for (let i = 0; i < spelling.length; i++) {
    const found = spelling[i] === left && spelling[i + 1] === right;
    result.push(found ? left + right : spelling[i]!);
    if (found) i++;
  }
  return result;
}

function tokenizerJson(vocabulary: readonly string[], merges: readonly string[]): JsonObject {
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: SPECIAL_TOKENS.map((content, id) => addedToken(content, id, true)),
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: byteLevelDecoder,
    model: bpeModel(vocabulary, merges),
  };
}

function tokenizerConfig(): JsonObject {
  return {
    tokenizer_class: "PreTrainedTokenizerFast",
    bos_token: null,
    eos_token: "<|im_end|>",
    pad_token: "<|endoftext|>",
    unk_token: null,
    clean_up_tokenization_spaces: false,
    model_max_length: 256,
  };
}
