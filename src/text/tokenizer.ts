/**
 * Text to token ids and back, as Hugging Face's Rust tokenizers do it, over @huggingface/tokenizers.
 *
 * Special tokens come from the tokenizer's own settings. What stands before a text (BOS, for the models that have one) is what
 * the post-processor in tokenizer.json puts there; where tokenizer.json has no post-processor, `add_bos_token` in
 * tokenizer_config.json decides. What a post-processor would put after a text is never added: a prompt goes on.
 */

import { Tokenizer as HubTokenizer } from "@huggingface/tokenizers";
import type { Json, JsonObject, TokenizerFiles } from "../checkpoints/checkpoint.ts";
import { CheckpointError } from "../errors.ts";
import { ChatTemplate } from "./chat.ts";
import { exactPreTokenizer } from "./pretokenizer.ts";
import { canExplode } from "./repetition.ts";
import { findOpenings, WordCache } from "./word-cache.ts";

/** What is used of @huggingface/tokenizers, whose own types don't resolve under Node's module rules. */
interface HubEngine {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[] };
  decode(ids: number[], options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean }): string;
  token_to_id(token: string): number | undefined;
  readonly pre_tokenizer: ((text: string) => string[]) | null;
}

export class Tokenizer {
  /** One more than the highest token id. */
  readonly vocabSize: number;
  readonly bosId: number | undefined;
  /** The token that ends a text (or, for a chat model, a turn). */
  readonly eosId: number | undefined;
  /** Ids of the added tokens that are marked special: they stand for structure, never for a user's words. */
  readonly specialIds: ReadonlySet<number>;
  /** What stands before every text: the BOS token for models that have one, else nothing. */
  readonly leadingIds: Int32Array;

  private readonly hub: HubEngine;
  private readonly specialPattern: RegExp | undefined;
  private readonly templateSource: string | undefined;
  /** The folder or file that the tokenizer is from, for messages. */
  private readonly source: string | undefined;
  private readonly tokens: { bos: string | undefined; eos: string | undefined };
  private template: ChatTemplate | undefined;
  /** Where a space between two letters always begins a new piece. */
  private readonly words: WordCache | undefined;

  /** Use tokenizerFromFiles. */
  constructor(files: TokenizerFiles) {
    const { tokens, addedTokens, tokenizer } = settle(files);
    this.hub = new HubTokenizer(tokenizer, files.config);
    const ids = [...vocabulary(tokenizer).values(), ...addedTokens.map((token) => token.id)];
    this.vocabSize = 1 + ids.reduce((highest, id) => Math.max(highest, id), -1);
    this.tokens = tokens;
    this.bosId = tokens.bos === undefined ? undefined : this.hub.token_to_id(tokens.bos);
    this.eosId = tokens.eos === undefined ? undefined : this.hub.token_to_id(tokens.eos);
    const special = addedTokens.filter((token) => token.special);
    this.specialIds = new Set(special.map((token) => token.id));
    this.specialPattern = alternatives(special.map((token) => token.content));
    this.leadingIds = this.findLeadingIds(tokenizer.post_processor ?? null, files.config);
    this.templateSource = files.chatTemplate;
    this.source = files.source;
    const contents = addedTokens.map((token) => token.content);
    const splitsWords = this.findWhetherWordsSplit(tokenizer, contents);
    // An added token that takes the space behind it, or has one within, parts words from what the pre-tokenizer would see.
    const isPlain = !addedTokens.some(({ content, takesSpace }) => takesSpace || / \p{L}|\n/u.test(content));
    const openings = splitsWords && isPlain ? findOpenings((text) => this.hub.pre_tokenizer?.(text) ?? []) : undefined;
    this.words = splitsWords ? new WordCache((text) => this.bareIds(text), openings) : undefined;
  }

  get hasChatTemplate(): boolean {
    return this.templateSource !== undefined;
  }

  /** The model's chat template, parsed on first use. Throws CheckpointError where there is none or it can't be parsed. */
  get chat(): ChatTemplate {
    if (this.templateSource === undefined) {
      throw new CheckpointError(
        "This model has no chat template, so messages can't be turned into its text. Use a chat (instruct) model, or give prompts and completions as plain strings and leave out --chat.",
      );
    }
    this.template ??= new ChatTemplate(this.templateSource, this.tokens, this.source);
    return this.template;
  }

  /** Token ids of a text; `addSpecialTokens` (default true) puts the leading ids before it unless it has them already. */
  encode(text: string, options: { addSpecialTokens?: boolean } = {}): Int32Array {
    const ids = this.words?.idsOf(text) ?? Int32Array.from(this.bareIds(text));
    return options.addSpecialTokens === false ? ids : this.withLeadingIds(ids);
  }

  private bareIds(text: string): readonly number[] {
    return this.hub.encode(text, { add_special_tokens: false }).ids;
  }

  /** A text's ids with the leading ids before them, unless they are there already. */
  withLeadingIds(ids: Int32Array): Int32Array {
    const leading = this.leadingIds;
    return leading.every((id, i) => ids[i] === id) ? ids : Int32Array.from([...leading, ...ids]);
  }

  /** The text of token ids, to the letter (no clean-up of spaces); `skipSpecialTokens` (default false) leaves special tokens out. */
  decode(ids: Iterable<number>, options: { skipSpecialTokens?: boolean } = {}): string {
    const list = Array.from(ids);
    if (list.length === 0) return "";
    return this.hub.decode(list, {
      skip_special_tokens: options.skipSpecialTokens ?? false,
      clean_up_tokenization_spaces: false,
    });
  }

  /**
   * The text that token ids add after a context. Decoders strip the space before a text's first word, so a completion decoded
   * on its own may lose the space that parts it from its prompt.
   */
  decodeAfter(context: Iterable<number>, ids: Iterable<number>, options: { skipSpecialTokens?: boolean } = {}): string {
    const before = this.decode(context, options);
    const whole = this.decode([...context, ...ids], options);
    return whole.startsWith(before) ? whole.slice(before.length) : this.decode(ids, options);
  }

  /**
   * The last index of a text from which it is tokenized the same whatever stands before: ids(text) are ids(text before it) and then
   * ids(text from it on), and stay so whatever is appended. 0 where no such index is known.
   */
  restartIndex(text: string): number {
    if (!this.words) return 0;
    const wordStart = /^.*\p{L}(?= \p{L})/su.exec(text);
    return wordStart === null ? 0 : wordStart[0].length;
  }

  /** The special tokens that a text contains as words, each once, in order of appearance. */
  specialTokensIn(text: string): string[] {
    return this.specialPattern === undefined ? [] : [...new Set(text.match(this.specialPattern) ?? [])];
  }

  /** Whether a space between two letters always begins a new piece before any merge, as in every byte-level BPE. */
  private findWhetherWordsSplit(tokenizer: JsonObject, addedContents: readonly string[]): boolean {
    const normalizer = tokenizer.normalizer;
    const localNormalizer = normalizer === null || (isObject(normalizer) && normalizer.type === "NFC");
    const pieces = this.hub.pre_tokenizer?.("ab cd Ef") ?? [];
    const keepsWords = pieces.length === 3 && pieces.every((piece, i) => piece.length === [2, 3, 3][i]);
    return localNormalizer && keepsWords && !addedContents.some((content) => /\p{L} \p{L}/u.test(content));
  }

  private findLeadingIds(postProcessor: Json, config: JsonObject): Int32Array {
    if (postProcessor === null) {
      const wanted = config.add_bos_token === true && this.bosId !== undefined;
      return Int32Array.from(wanted ? [this.bosId as number] : []);
    }
    const probe = "a";
    const bare = this.hub.encode(probe, { add_special_tokens: false }).ids;
    const dressed = this.hub.encode(probe, { add_special_tokens: true }).ids;
    const start = dressed.findIndex((_, i) => bare.every((id, j) => dressed[i + j] === id));
    return Int32Array.from(dressed.slice(0, Math.max(0, start)));
  }
}

/** The tokenizer that a checkpoint's files describe. Throws CheckpointError naming what is missing or not supported. */
export function tokenizerFromFiles(files: TokenizerFiles): Tokenizer {
  const from = files.source === undefined ? "" : `${files.source}: `;
  try {
    const tokenizer = new Tokenizer(files);
    // What the library can't do shows when it is used.
    tokenizer.decode(tokenizer.encode("a b"));
    return tokenizer;
  } catch (error) {
    const { message } = error as Error;
    if (error instanceof CheckpointError) throw new CheckpointError(`${from}${message}`, { cause: error });
    throw new CheckpointError(
      `${from}${from === "" ? "The" : "the"} tokenizer is not supported: ${message} (in tokenizer.json). Supported are BPE, Unigram and WordPiece tokenizers.`,
      { cause: error },
    );
  }
}

interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  /** Whether white space behind it is part of it. */
  readonly takesSpace: boolean;
}

/** The files with every default filled in: named special tokens are special added tokens, as transformers makes them. */
function settle({ tokenizer, config }: TokenizerFiles) {
  for (const part of ["normalizer", "pre_tokenizer", "decoder"]) refuseExplosive(tokenizer[part]);
  const known = vocabulary(tokenizer);
  const added = new Map<string, JsonObject>();
  for (const token of Array.isArray(tokenizer.added_tokens) ? tokenizer.added_tokens : []) {
    if (isObject(token)) added.set(String(token.content), token);
  }
  for (const name of ["bos_token", "eos_token", "unk_token", "pad_token"]) {
    const content = tokenName(config[name]);
    if (content === undefined) continue;
    const id = added.get(content)?.id ?? known.get(content);
    if (id !== undefined) {
      const plain = { normalized: false, lstrip: false, rstrip: false, single_word: false };
      added.set(content, { ...plain, ...added.get(content), id, content, special: true });
    } else if (name === "bos_token" || name === "eos_token") {
      throw new CheckpointError(
        `tokenizer_config.json names ${JSON.stringify(content)} as ${name}, but tokenizer.json has no such token. Take both files from the same model.`,
      );
    }
  }
  return {
    tokens: { bos: tokenName(config.bos_token), eos: tokenName(config.eos_token) },
    addedTokens: [...added].map(
      ([content, { id, special, rstrip }]): AddedToken => ({
        id: Number(id),
        content,
        special: special === true,
        takesSpace: rstrip === true,
      }),
    ),
    tokenizer: {
      normalizer: null,
      post_processor: null,
      decoder: null,
      ...tokenizer,
      pre_tokenizer: exactPreTokenizer(tokenizer.pre_tokenizer ?? null),
      added_tokens: [...added.values()],
    } as JsonObject,
  };
}

/** A special token's text: tokenizer_config.json writes a string, an object with `content`, or null for none. */
function tokenName(value: Json | undefined): string | undefined {
  if (typeof value === "string") return value;
  return isObject(value) && typeof value.content === "string" ? value.content : undefined;
}

/** The model's own vocabulary: an object from token to id (BPE, WordPiece), or a list of token and score (Unigram). */
function vocabulary(tokenizer: JsonObject): Map<string, number> {
  const model = tokenizer.model;
  const vocab = isObject(model) ? model.vocab : undefined;
  if (Array.isArray(vocab))
    return new Map(vocab.map((entry, id) => [String(Array.isArray(entry) ? entry[0] : entry), id]));
  if (isObject(vocab)) return new Map(Object.entries(vocab).map(([token, id]) => [token, Number(id)]));
  throw new CheckpointError(
    "tokenizer.json has no model.vocab: it is not a tokenizer of the Hugging Face tokenizers library.",
  );
}

/** Expressions stand in normalizers, pre-tokenizers and decoders as `{ Regex }`. */
function refuseExplosive(value: Json | undefined): void {
  if (typeof value !== "object" || value === null) return;
  if (isObject(value) && typeof value.Regex === "string" && canExplode(value.Regex)) {
    throw new CheckpointError(
      `tokenizer.json has the regular expression ${JSON.stringify(value.Regex.slice(0, 200))}, which repeats a group that matches in several ways: a text can make it run for ever. Rewrite it without.`,
    );
  }
  for (const item of Object.values(value)) refuseExplosive(item);
}

function alternatives(contents: readonly string[]): RegExp | undefined {
  if (contents.length === 0) return undefined;
  const longestFirst = contents.toSorted((a, b) => b.length - a.length);
  return new RegExp(longestFirst.map((content) => content.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&")).join("|"), "g");
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
