/**
 * The one rule for where a prompt ends and a completion begins, in token ids. Training, scoring and generation all use it.
 *
 * Prompt ids are the prompt tokenized as at inference:
 * - A plain string is text as it stands. The tokenizer's leading ids (BOS, for models that have one) stand before it, once:
 *   they are not added when the text begins with them.
 * - A conversation is rendered by the model's chat template with the generation prompt, which ends the prompt. The template alone
 *   writes the special tokens, as in transformers' `apply_chat_template`; none are added after it.
 *
 * A completion is what follows:
 * - After a plain prompt: the completion's text. After a conversation: what the rendered conversation with the completion's
 *   messages adds to the rendered prompt. Prompt and addition must make the rendered conversation to the letter, else the row
 *   is refused.
 * - It is tokenized in the context of its prompt: ids(prompt + completion) without ids(prompt) when those are a prefix. Where the
 *   boundary's characters merge into one token they are not; the completion is then tokenized on its own, and `merged` says so.
 * - It ends with exactly one end token, and nothing after it, since generation stops there. The end token of a plain text is the
 *   tokenizer's end-of-text token; of a conversation, the last special token that the template writes after the answer (many
 *   templates write a newline behind it, which the next turn's prompt brings along again). Where none is written, the
 *   end-of-text token is appended.
 *
 * Special tokens are recognised wherever they stand, so a user's text can contain `<|im_end|>` and mean it or not:
 * `injected` lists those found in the texts themselves, for the ledger.
 */

import { CheckpointError, ConfigError } from "../errors.ts";
import { type Content, ConversationError, type Message } from "./chat.ts";
import type { Tokenizer } from "./tokenizer.ts";

export interface TokenizedText {
  readonly prompt: Int32Array;
  /** Completions exclude the prompt and include their end token. */
  readonly completions: readonly Int32Array[];
  /** 1 for each token of a completion that is scored, else 0; all are where absent (turns.ts). */
  readonly scored?: readonly Uint8Array[];
  /** True where a completion was tokenized on its own because its first characters merge with the prompt's last. */
  readonly merged: boolean;
  /** Special tokens found in the texts themselves. */
  readonly injected: readonly string[];
  /** The tokens at the prompt's two ends that truncation keeps: BOS and system turn, and the generation prompt. */
  fixed(): { readonly head: number; readonly tail: number };
}

export interface PromptOptions {
  /** Wrap a plain string as one user message. Message lists always go through the chat template. */
  readonly chat?: boolean | undefined;
  /** A system message for a conversation, in the place of its own. */
  readonly system?: string | undefined;
}

/** Token ids of a prompt alone, as at inference. Throws CheckpointError without a chat template where one is needed. */
export function promptIds(tokenizer: Tokenizer, prompt: Content, options: PromptOptions = {}): Int32Array {
  const content = asConversation(prompt, "user", options);
  if (typeof content === "string") return tokenizer.encode(content);
  return tokenizer.encode(tokenizer.chat.render(content, { addGenerationPrompt: true }), { addSpecialTokens: false });
}

/**
 * Tokenizes a prompt and its completions; with `chat`, a string prompt is one user message and string completions are the
 * assistant's. Throws ConversationError for a conversation that the chat template refuses, CheckpointError for a model without
 * the chat template or the end-of-text token that is needed.
 */
export function tokenizeCompletions(
  tokenizer: Tokenizer,
  prompt: Content,
  completions: readonly Content[],
  options: { readonly chat?: boolean | undefined } = {},
): TokenizedText {
  const opening = asConversation(prompt, "user", options);
  const injected = injectedTokens(tokenizer, [prompt, ...completions]);
  if (typeof opening === "string") return tokenizePlain(tokenizer, opening, completions, injected);
  const answers = completions.map((completion) => asMessages(completion, "assistant"));
  return tokenizeConversation(tokenizer, opening, answers, injected);
}

function tokenizePlain(
  tokenizer: Tokenizer,
  prompt: string,
  completions: readonly Content[],
  injected: readonly string[],
): TokenizedText {
  const bareIds = tokenizer.encode(prompt, { addSpecialTokens: false });
  const ids = tokenizer.withLeadingIds(bareIds);
  const isEnd = (id: number) => id === tokenizer.eosId;
  const continuation = inContextOf(tokenizer, prompt, bareIds);
  const parts = completions.map((completion) => {
    if (typeof completion !== "string")
      throw new ConversationError("a plain prompt has a list of messages as completion");
    const { addition, merged } = continuation(completion);
    return { ids: endOnce(tokenizer, addition, isEnd), merged };
  });
  return {
    prompt: ids,
    completions: parts.map((part) => part.ids),
    merged: parts.some((part) => part.merged),
    injected,
    fixed: () => ({ head: leadingLength(tokenizer, ids), tail: 0 }),
  };
}

function tokenizeConversation(
  tokenizer: Tokenizer,
  opening: readonly Message[],
  answers: readonly (readonly Message[])[],
  injected: readonly string[],
): TokenizedText {
  const template = tokenizer.chat;
  const prompt = template.render(opening, { addGenerationPrompt: true });
  const ids = tokenizer.encode(prompt, { addSpecialTokens: false });
  const isEnd = (id: number) => tokenizer.specialIds.has(id);
  const continuation = inContextOf(tokenizer, prompt, ids);
  const parts = answers.map((answer) => {
    const whole = template.render([...opening, ...answer], { addGenerationPrompt: false });
    if (!whole.startsWith(prompt)) throw new ConversationError(mismatch(prompt, whole));
    const { addition, merged } = continuation(whole.slice(prompt.length));
    return { ids: endOnce(tokenizer, addition, isEnd), merged };
  });
  return {
    prompt: ids,
    completions: parts.map((part) => part.ids),
    merged: parts.some((part) => part.merged),
    injected,
    fixed: () => fixedEnds(tokenizer, opening, prompt, ids),
  };
}

/**
 * Tokenizes completions in the context of one prompt, see the rule above. Only the prompt's end is tokenized again with each
 * completion, from where the tokenizer starts afresh.
 */
export function inContextOf(tokenizer: Tokenizer, prompt: string, promptIds: Int32Array) {
  const bare = { addSpecialTokens: false };
  const restart = tokenizer.restartIndex(prompt);
  const context = prompt.slice(restart);
  const contextIds = restart === 0 ? promptIds : tokenizer.encode(context, bare);
  return (completion: string): { addition: Int32Array; merged: boolean } => {
    const whole = tokenizer.encode(context + completion, bare);
    const merged = commonPrefixLength(contextIds, whole) < contextIds.length;
    return { addition: merged ? tokenizer.encode(completion, bare) : whole.subarray(contextIds.length), merged };
  };
}

/** The completion up to its end token, which is there exactly once. */
export function endOnce(tokenizer: Tokenizer, ids: Int32Array, isEnd: (id: number) => boolean): Int32Array {
  let end = ids.findLastIndex(isEnd);
  if (end >= 0 && tokenizer.decode(ids.subarray(end + 1)).trim() === "") {
    while (end > 0 && ids[end - 1] === ids[end]) end--;
    return ids.slice(0, end + 1);
  }
  if (tokenizer.eosId === undefined) {
    throw new CheckpointError(
      "The tokenizer names no end-of-text token, so a completion can't be ended. Set eos_token in tokenizer_config.json.",
    );
  }
  return Int32Array.from([...ids, tokenizer.eosId]);
}

/** How many tokens of a conversation's prompt are BOS and system turn, and how many are the generation prompt. */
export function fixedEnds(tokenizer: Tokenizer, opening: readonly Message[], prompt: string, ids: Int32Array) {
  const encode = (text: string) => tokenizer.encode(text, { addSpecialTokens: false });
  const preamble = preambleOf(tokenizer, opening);
  const head = prompt.startsWith(preamble) ? commonPrefixLength(encode(preamble), ids) : 0;
  const turns = tokenizer.chat.render(opening, { addGenerationPrompt: false });
  const tail = prompt.startsWith(turns) ? encode(prompt.slice(turns.length)).length : 0;
  return { head: Math.max(head, leadingLength(tokenizer, ids)), tail: Math.min(tail, ids.length - head) };
}

/**
 * What the template writes before the first user turn: BOS and the system turn, the template's default one included. It is what
 * one exchange has before the text that a second, equal exchange adds. Empty where the template refuses the probe.
 */
function preambleOf(tokenizer: Tokenizer, opening: readonly Message[]): string {
  const turns = opening.findIndex((message) => message.role !== "system");
  const system = opening.slice(0, turns < 0 ? opening.length : turns);
  const exchange: Message[] = [
    { role: "user", content: "?" },
    { role: "assistant", content: "!" },
  ];
  try {
    const once = tokenizer.chat.render([...system, ...exchange], { addGenerationPrompt: false });
    const twice = tokenizer.chat.render([...system, ...exchange, ...exchange], { addGenerationPrompt: false });
    if (!twice.startsWith(once)) return "";
    const second = twice.slice(once.length);
    let shared = 0;
    while (shared < second.length && once.at(-1 - shared) === second.at(-1 - shared)) shared++;
    return once.slice(0, once.length - shared);
  } catch (error) {
    if (error instanceof ConversationError) return "";
    throw error;
  }
}

/** The number of ids at the start that stand before every text, if they do before this one. */
export function leadingLength(tokenizer: Tokenizer, ids: Int32Array): number {
  if (tokenizer.bosId !== undefined && ids[0] === tokenizer.bosId) return 1;
  const leading = tokenizer.leadingIds;
  return commonPrefixLength(leading, ids) === leading.length ? leading.length : 0;
}

function commonPrefixLength(a: Int32Array, b: Int32Array): number {
  const limit = Math.min(a.length, b.length);
  let length = 0;
  while (length < limit && a[length] === b[length]) length++;
  return length;
}

function asConversation(content: Content, role: string, options: PromptOptions): Content {
  const { chat = false, system } = options;
  if (typeof content === "string" && !chat) {
    if (system === undefined) return content;
    throw new ConfigError("A system message needs the model's chat template: it has no place before raw text.");
  }
  const messages = asMessages(content, role);
  if (system === undefined) return messages;
  return [{ role: "system", content: system }, ...messages.filter((message) => message.role !== "system")];
}

function asMessages(content: Content, role: string): readonly Message[] {
  return typeof content === "string" ? [{ role, content }] : content;
}

export function injectedTokens(tokenizer: Tokenizer, contents: readonly Content[]): string[] {
  const texts = contents.flatMap((content) =>
    typeof content === "string" ? [content] : content.map((message) => message.content),
  );
  return [...new Set(texts.flatMap((text) => tokenizer.specialTokensIn(text)))];
}

export function mismatch(prompt: string, whole: string): string {
  let at = 0;
  while (prompt[at] === whole[at]) at++;
  const show = (text: string) => JSON.stringify(text.slice(Math.max(0, at - 20), at + 30));
  return (
    "the chat template writes the prompt differently once the answer follows, so there is no boundary between them " +
    `(the prompt has ${show(prompt)}, the conversation ${show(whole)})`
  );
}
