/**
 * The tokenizer in a GGUF file's metadata as the `tokenizer.json` and `tokenizer_config.json` that Hugging Face's tokenizers run.
 *
 * Two families are known. `gpt2`: byte-level BPE with an explicit list of merges. `llama`: SentencePiece BPE, whose vocabulary has
 * scores and no merges: of all neighbouring pairs whose union is in the vocabulary it joins the one whose union scores best,
 * which is a list of merges sorted by score.
 */
import { CheckpointError } from "../errors.ts";
import type { JsonObject, TokenizerFiles } from "./checkpoint.ts";
import type { GgufMetadata } from "./gguf-metadata.ts";
import { preTokenizerOf } from "./gguf-pre-tokenizers.ts";
import { addedToken, bpeModel, byteLevelDecoder } from "./tokenizer-json.ts";

/** tokenizer.ggml.token_type, llama.cpp's numbers. */
const NORMAL = 1;
const CONTROL = 3;
const USER_DEFINED = 4;

interface Vocabulary {
  readonly tokens: readonly string[];
  readonly types: readonly number[];
}

/**
 * Gemma's files are SentencePiece with two differences: their scores say nothing of the merges, whose order is that of the
 * tokens, and pieces that are nothing but spaces are written as such, where a text's spaces have become "\u2581".
 */
function isGemma(metadata: GgufMetadata): boolean {
  return metadata.text("general.architecture")?.startsWith("gemma") ?? false;
}

/** What the two families say differently in `tokenizer.json`. */
interface Family {
  readonly normalizer: JsonObject | null;
  readonly preTokenizer: JsonObject | null;
  readonly decoder: JsonObject;
  readonly model: JsonObject;
  readonly addBos: boolean;
}

/** Builds the tokenizer's files. Throws CheckpointError for a tokenizer model or pre-tokenizer that is not known. */
export function ggufTokenizer(metadata: GgufMetadata): TokenizerFiles {
  const vocabulary = vocabularyOf(metadata);
  const model = metadata.require("tokenizer.ggml.model", metadata.text("tokenizer.ggml.model"));
  if (model !== "gpt2" && model !== "llama") {
    throw new CheckpointError(
      `${metadata.source}: the tokenizer model ${JSON.stringify(model)} is not supported; "gpt2" (byte-level BPE) and "llama" (SentencePiece BPE) are.`,
    );
  }
  const family = model === "gpt2" ? byteLevelFamily(metadata, vocabulary) : sentencePieceFamily(metadata, vocabulary);
  const config = configOf(metadata, vocabulary, family);
  const tokenizer: JsonObject = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: addedTokens(vocabulary),
    normalizer: family.normalizer,
    pre_tokenizer: family.preTokenizer,
    post_processor: boundaryTokens(metadata, vocabulary, config),
    decoder: family.decoder,
    model: family.model,
  };
  return { source: metadata.source, tokenizer, config, chatTemplate: metadata.text("tokenizer.chat_template") };
}

function vocabularyOf(metadata: GgufMetadata): Vocabulary {
  const tokens = [...metadata.require("tokenizer.ggml.tokens", metadata.texts("tokenizer.ggml.tokens"))];
  if (isGemma(metadata)) {
    for (const [id, token] of tokens.entries()) if (/^ +$/.test(token)) tokens[id] = "\u2581".repeat(token.length);
  }
  const types = metadata.reals("tokenizer.ggml.token_type") ?? tokens.map(() => NORMAL);
  if (types.length !== tokens.length) {
    throw new CheckpointError(`${metadata.source}: has ${types.length} token types for ${tokens.length} tokens.`);
  }
  return { tokens, types };
}

function byteLevelFamily(metadata: GgufMetadata, { tokens }: Vocabulary): Family {
  const name = metadata.text("tokenizer.ggml.pre") ?? "default";
  const pre = preTokenizerOf(name);
  if (pre === undefined) {
    throw new CheckpointError(
      `${metadata.source}: the pre-tokenizer ${JSON.stringify(name)} (tokenizer.ggml.pre) is not known; use the model's Hugging Face folder instead.`,
    );
  }
  const merges = metadata.require("tokenizer.ggml.merges", metadata.texts("tokenizer.ggml.merges"));
  return {
    normalizer: pre.normalizer,
    preTokenizer: pre.preTokenizer,
    decoder: byteLevelDecoder,
    model: bpeModel(tokens, merges.map(splitMerge), { ignore_merges: pre.ignoreMerges }),
    addBos: pre.addBos,
  };
}

/** The two sides of a merge. A side may itself begin with a space, so the first character is never the separator. */
function splitMerge(merge: string): [string, string] {
  const space = merge.indexOf(" ", 1);
  return [merge.slice(0, space), merge.slice(space + 1)];
}

function sentencePieceFamily(metadata: GgufMetadata, vocabulary: Vocabulary): Family {
  const { tokens } = vocabulary;
  const scores = isGemma(metadata)
    ? tokens.map((_, id) => -id)
    : metadata.require("tokenizer.ggml.scores", metadata.reals("tokenizer.ggml.scores"));
  if (scores.length !== tokens.length) {
    throw new CheckpointError(`${metadata.source}: has ${scores.length} token scores for ${tokens.length} tokens.`);
  }
  const prefixSpace = metadata.flag("tokenizer.ggml.add_space_prefix") ?? !isGemma(metadata);
  const spaces = { type: "Replace", pattern: { String: " " }, content: "▁" };
  const stripPrefix = { type: "Strip", content: " ", start: 1, stop: 0 };
  const unknown = tokens[metadata.natural("tokenizer.ggml.unknown_token_id") ?? 0] ?? null;
  return {
    normalizer: { type: "Sequence", normalizers: prefixSpace ? [{ type: "Prepend", prepend: "▁" }, spaces] : [spaces] },
    preTokenizer: null,
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        ...(prefixSpace ? [stripPrefix] : []),
      ],
    },
    model: bpeModel(tokens, mergesByScore(metadata.source, vocabulary, scores), {
      unk_token: unknown,
      fuse_unk: true,
      byte_fallback: true,
    }),
    addBos: true,
  };
}

/** Real pieces have some ten characters; the work for one grows with the square of its length. */
const LONGEST_PIECE = 256;

/** Every way to join two pieces into a third, best-scored union first; among equals the longer left side first. */
function mergesByScore(source: string, { tokens, types }: Vocabulary, scores: readonly number[]): [string, string][] {
  const pieces = new Map<string, number>();
  for (const [id, token] of tokens.entries()) {
    if (types[id] !== NORMAL && types[id] !== USER_DEFINED) continue;
    if (token.length > LONGEST_PIECE) {
      throw new CheckpointError(
        `${source}: token ${id} of the vocabulary has ${token.length} characters; at most ${LONGEST_PIECE} are read.`,
      );
    }
    pieces.set(token, scores[id]!);
  }
  const merges: { left: string; right: string; score: number }[] = [];
  for (const [piece, score] of pieces) {
    for (let cut = 1; cut < piece.length; cut++) {
      const left = piece.slice(0, cut);
      const right = piece.slice(cut);
      if (pieces.has(left) && pieces.has(right)) merges.push({ left, right, score });
    }
  }
  merges.sort((a, b) => b.score - a.score || b.left.length - a.left.length || b.right.length - a.right.length);
  return merges.map(({ left, right }) => [left, right]);
}

/** Tokens that are found in text as a whole, before anything is split: control tokens (special) and user-defined ones. */
function addedTokens({ tokens, types }: Vocabulary): JsonObject[] {
  return [...tokens.entries()]
    .filter(([id]) => types[id] === CONTROL || types[id] === USER_DEFINED)
    .map(([id, content]) => addedToken(content, id, types[id] === CONTROL));
}

function configOf(metadata: GgufMetadata, { tokens }: Vocabulary, family: Family): JsonObject {
  const longest = metadata.natural(`${metadata.text("general.architecture")}.context_length`);
  const config: JsonObject = {
    tokenizer_class: "PreTrainedTokenizerFast",
    add_bos_token: metadata.flag("tokenizer.ggml.add_bos_token") ?? family.addBos,
    add_eos_token: metadata.flag("tokenizer.ggml.add_eos_token") ?? false,
    clean_up_tokenization_spaces: false,
    ...(longest !== undefined && { model_max_length: longest }),
  };
  for (const [key, name] of [
    ["bos", "bos"],
    ["eos", "eos"],
    ["unk", "unknown"],
    ["pad", "padding"],
  ]) {
    const id = metadata.natural(`tokenizer.ggml.${name}_token_id`);
    if (id === undefined) continue;
    const token = tokens[id];
    if (token === undefined) {
      throw new CheckpointError(
        `${metadata.source}: tokenizer.ggml.${name}_token_id is ${id}, past the vocabulary of ${tokens.length}.`,
      );
    }
    config[`${key}_token`] = token;
  }
  return config;
}

/** The post-processor that puts the begin and end tokens around a text, null where the tokenizer adds neither. */
function boundaryTokens(metadata: GgufMetadata, { tokens }: Vocabulary, config: JsonObject): JsonObject | null {
  const special: JsonObject = {};
  const wrap = (name: "bos" | "eos", typeId: number): JsonObject[] => {
    if (config[`add_${name}_token`] !== true) return [];
    const id = metadata.require(`tokenizer.ggml.${name}_token_id`, metadata.natural(`tokenizer.ggml.${name}_token_id`));
    const token = tokens[id]!;
    special[token] = { id: token, ids: [id], tokens: [token] };
    return [{ SpecialToken: { id: token, type_id: typeId } }];
  };
  const sequence = (id: "A" | "B", typeId: number) => [
    ...wrap("bos", typeId),
    { Sequence: { id, type_id: typeId } },
    ...wrap("eos", typeId),
  ];
  const single = sequence("A", 0);
  if (single.length === 1) return null;
  return { type: "TemplateProcessing", single, pair: [...single, ...sequence("B", 1)], special_tokens: special };
}
