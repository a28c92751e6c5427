/**
 * A tokenizer as GGUF metadata: what `ggufTokenizer` of the checkpoints' room reads, the other way round. A tokenizer.json can say
 * far more than GGUF, so what was made of it is read again and has to give the same token ids for texts of many kinds; what
 * does not is refused.
 */

import type { Json, JsonObject, TokenizerFiles } from "../checkpoints/checkpoint.ts";
import {
  flagEntry,
  type GgufEntries,
  type GgufEntry,
  integersEntry,
  naturalEntry,
  realsEntry,
  textEntry,
  textsEntry,
} from "../checkpoints/gguf-entries.ts";
import { GgufMetadata } from "../checkpoints/gguf-metadata.ts";
import { preTokenizerNames, preTokenizerOf } from "../checkpoints/gguf-pre-tokenizers.ts";
import { ggufTokenizer } from "../checkpoints/gguf-tokenizer.ts";
import { isJsonObject } from "../checkpoints/json.ts";
import { CheckpointError } from "../errors.ts";
import { type Tokenizer, tokenizerFromFiles } from "../text/tokenizer.ts";
import { PROBE_TEXTS } from "./probe-texts.ts";

/** tokenizer.ggml.token_type, llama.cpp's numbers. */
const [NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE] = [1, 2, 3, 4, 5, 6] as const;

/** The score of a piece that no merge makes. */
const UNREACHABLE = -1e6;

/**
 * The tokenizer's metadata for a model of `vocabularySize` rows of embedding. `settings` is the model's own metadata, which a reader of
 * tokenizers looks into. Throws CheckpointError for a tokenizer that GGUF can't express.
 */
export function tokenizerEntries(
  files: TokenizerFiles,
  vocabularySize: number,
  settings: GgufEntries,
): Map<string, GgufEntry> {
  const tokenizer = tokenizerFromFiles(files);
  const model = bpeOf(files.tokenizer);
  const vocabulary = vocabularyOf(files, model, vocabularySize);
  const family =
    model.byte_fallback === true ? sentencePiece(files.tokenizer, model) : byteLevel(files.tokenizer, model);
  const { chatTemplate } = files;
  const entries = new Map([
    ...family(vocabulary.tokens),
    ["tokenizer.ggml.tokens", textsEntry(vocabulary.tokens)],
    ["tokenizer.ggml.token_type", integersEntry(vocabulary.types)],
    ...specialTokens(files, tokenizer, vocabulary.ids),
    ...(chatTemplate === undefined ? [] : [["tokenizer.chat_template", textEntry(chatTemplate)] as const]),
  ]);
  refuseOther(tokenizer, new Map([...settings, ...entries]), chatTemplate);
  return entries;
}

function bpeOf({ model }: JsonObject): JsonObject {
  if (isJsonObject(model) && (model.type ?? "BPE") === "BPE" && isJsonObject(model.vocab)) return model;
  const type = isJsonObject(model) ? String(model.type) : "without a model";
  throw new CheckpointError(`GGUF: a tokenizer of the type ${type} can't be written; BPE can. Use --format hf.`);
}

interface Vocabulary {
  readonly tokens: string[];
  readonly types: number[];
  readonly ids: ReadonlyMap<string, number>;
}

function vocabularyOf({ tokenizer, config }: TokenizerFiles, model: JsonObject, size: number): Vocabulary {
  const tokens = Array.from({ length: size }, (_, id) => `[PAD${id}]`);
  const types = new Array<number>(size).fill(UNUSED);
  const ids = new Map<string, number>();
  const place = (token: string, id: number, type: number) => {
    if (id >= size) {
      throw new CheckpointError(
        `GGUF: the token ${JSON.stringify(token)} has the id ${id}, but the model has ${size} embeddings. Tokenizer and model are not of one kind.`,
      );
    }
    tokens[id] = token;
    types[id] = type;
    ids.set(token, id);
  };
  const isByte = (token: string) => model.byte_fallback === true && /^<0x[0-9A-F]{2}>$/.test(token);
  for (const [token, id] of Object.entries(model.vocab as JsonObject)) {
    place(token, Number(id), isByte(token) ? BYTE : NORMAL);
  }
  for (const token of addedTokens(tokenizer)) {
    place(String(token.content), Number(token.id), token.special === true ? CONTROL : USER_DEFINED);
  }
  const unknown = tokenText(config.unk_token) ?? model.unk_token;
  const unknownId = typeof unknown === "string" ? ids.get(unknown) : undefined;
  if (model.byte_fallback === true && unknownId !== undefined) types[unknownId] = UNKNOWN;
  return { tokens, types, ids };
}

function addedTokens({ added_tokens: added }: JsonObject): JsonObject[] {
  return (Array.isArray(added) ? added : []).filter((token) => isJsonObject(token));
}

type Family = (tokens: readonly string[]) => [string, GgufEntry][];

function byteLevel(tokenizer: JsonObject, model: JsonObject): Family {
  const shape = shapeOf(tokenizer.normalizer, tokenizer.pre_tokenizer, model.ignore_merges);
  const name = preTokenizerNames().find((candidate) => {
    const known = preTokenizerOf(candidate)!;
    return shapeOf(known.normalizer, known.preTokenizer, known.ignoreMerges) === shape;
  });
  if (name === undefined) {
    throw new CheckpointError(
      "GGUF: the tokenizer splits text in a way for which GGUF has no name that preftune knows (normalizer and pre_tokenizer in tokenizer.json). Use --format hf, or convert that folder with llama.cpp.",
    );
  }
  const merges = mergesOf(model).map(([left, right]) => `${left} ${right}`);
  return () => [
    ["tokenizer.ggml.model", textEntry("gpt2")],
    ["tokenizer.ggml.pre", textEntry(name)],
    ["tokenizer.ggml.merges", textsEntry(merges)],
  ];
}

/** SentencePiece joins the pair whose union scores best, so a piece scores by the first merge that makes it. */
function sentencePiece(tokenizer: JsonObject, model: JsonObject): Family {
  const scores = new Map<string, number>();
  for (const [rank, [left, right]] of mergesOf(model).entries()) {
    if (!scores.has(left + right)) scores.set(left + right, -rank);
  }
  const dressing = JSON.stringify([tokenizer.normalizer ?? null, tokenizer.pre_tokenizer ?? null]);
  const prefixSpace = /"Prepend"|"prepend_scheme":"(first|always)"|"add_prefix_space":true/.test(dressing);
  return (tokens) => [
    ["tokenizer.ggml.model", textEntry("llama")],
    ["tokenizer.ggml.pre", textEntry("default")],
    ["tokenizer.ggml.scores", realsEntry(tokens.map((token) => scores.get(token) ?? UNREACHABLE))],
    ["tokenizer.ggml.add_space_prefix", flagEntry(prefixSpace)],
  ];
}

/** Merges stand as pairs, or as texts with a space between the sides. */
function mergesOf({ merges }: JsonObject): [string, string][] {
  return (Array.isArray(merges) ? merges : []).map((merge) => {
    if (Array.isArray(merge)) return [String(merge[0]), String(merge[1])];
    const space = String(merge).indexOf(" ", 1);
    return [String(merge).slice(0, space), String(merge).slice(space + 1)];
  });
}

/** How text is normalized and split, one text for ways of writing that mean the same. */
function shapeOf(normalizer: Json | undefined, preTokenizer: Json | undefined, ignoreMerges: Json | undefined): string {
  const parts = (step: Json | undefined, list: string) => flattened(step ?? null, list).map(canonical);
  const steps = parts(preTokenizer, "pretokenizers");
  return JSON.stringify([parts(normalizer, "normalizers"), steps, ignoreMerges === true]);
}

function flattened(step: Json, list: string): JsonObject[] {
  if (!isJsonObject(step)) return [];
  const inner = step[list];
  return step.type === "Sequence" && Array.isArray(inner) ? inner.flatMap((each) => flattened(each, list)) : [step];
}

function canonical(step: JsonObject): Json {
  if (step.type === "Digits" && step.individual_digits === true) return ["split", "\\p{N}"];
  // What matches stands alone; where the pattern matches every character, what does not can as well be thrown away.
  const isolates = step.invert === true ? step.behavior === "Removed" : step.behavior === "Isolated";
  if (step.type === "Split" && isJsonObject(step.pattern) && isolates) {
    return ["split", step.pattern.Regex ?? step.pattern];
  }
  if (step.type === "ByteLevel") return ["bytes", step.add_prefix_space === true, step.use_regex !== false];
  return step;
}

function specialTokens(
  { config }: TokenizerFiles,
  { leadingIds, bosId }: Tokenizer,
  ids: ReadonlyMap<string, number>,
): [string, GgufEntry][] {
  if (leadingIds.length > 1 || (leadingIds.length === 1 && leadingIds[0] !== bosId)) {
    throw new CheckpointError(
      "GGUF: the tokenizer puts something else than its begin token before a text, which GGUF can't express. Use --format hf.",
    );
  }
  const named = [
    ["bos", "bos_token"],
    ["eos", "eos_token"],
    ["unknown", "unk_token"],
    ["padding", "pad_token"],
  ].flatMap(([name, key]): [string, GgufEntry][] => {
    const id = ids.get(tokenText(config[key!]) ?? "");
    return id === undefined ? [] : [[`tokenizer.ggml.${name}_token_id`, naturalEntry(id)]];
  });
  return [
    ...named,
    ["tokenizer.ggml.add_bos_token", flagEntry(leadingIds.length === 1)],
    ["tokenizer.ggml.add_eos_token", flagEntry(config.add_eos_token === true)],
  ];
}

/** tokenizer_config.json writes a special token as text or as an object with `content`. */
function tokenText(value: Json | undefined): string | undefined {
  if (typeof value === "string") return value;
  return isJsonObject(value) && typeof value.content === "string" ? value.content : undefined;
}

/** Reads the metadata as a tokenizer and refuses one that is another. */
function refuseOther(tokenizer: Tokenizer, entries: GgufEntries, chatTemplate: string | undefined): void {
  const values = new Map([...entries].map(([key, { value }]) => [key, value]));
  const again = tokenizerFromFiles(ggufTokenizer(new GgufMetadata("GGUF", values)));
  for (const text of [...PROBE_TEXTS, ...(chatTemplate === undefined ? [] : [chatTemplate])]) {
    if (tokenizer.encode(text).join() === again.encode(text).join()) continue;
    throw new CheckpointError(
      `GGUF: the tokenizer can't be expressed: ${JSON.stringify(text.slice(0, 60))} would get other token ids. Use --format hf.`,
    );
  }
}
