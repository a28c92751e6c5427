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
 * - Of a completion of several messages only the assistant's turns are scored, or only the last of them (`score`); what a user or a
 *   tool says between them is context (passages.ts says where turns begin and end).
 *
 * Special tokens are recognised wherever they stand, so a user's text can contain `<|im_end|>` and mean it or not:
 * `injected` lists those found in the texts themselves, for the ledger.
 */

import { ConfigError } from "../errors.ts";
import { type Content, ConversationError, type Message, type Tools } from "./chat.ts";
import { commonPrefixLength, encodePassages, endOnce, inContextOf } from "./continuation.ts";
import { mismatch, turnPassages } from "./passages.ts";
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
  /** What a conversation's assistant may call. */
  readonly tools?: Tools | undefined;
}

interface CompletionOptions extends Pick<PromptOptions, "chat" | "tools"> {
  /** Of a completion of several messages: the last of the assistant's turns alone, or all of them (the default). */
  readonly score?: "last" | "all" | undefined;
}

/** Token ids of a prompt alone, as at inference. Throws CheckpointError without a chat template where one is needed. */
export function promptIds(tokenizer: Tokenizer, prompt: Content, options: PromptOptions = {}): Int32Array {
  const content = asConversation(prompt, "user", options);
  if (typeof content === "string") return tokenizer.encode(content);
  const text = tokenizer.chat.render(content, { addGenerationPrompt: true, tools: options.tools });
  return tokenizer.encode(text, { addSpecialTokens: false });
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
  options: CompletionOptions = {},
): TokenizedText {
  const opening = asConversation(prompt, "user", options);
  const injected = injectedTokens(tokenizer, [prompt, ...completions]);
  if (typeof opening === "string") return { ...tokenizePlain(tokenizer, opening, completions), injected };
  const answers = completions.map((completion) => asMessages(completion, "assistant"));
  return { ...tokenizeConversation(tokenizer, opening, answers, options), injected };
}

function tokenizePlain(
  tokenizer: Tokenizer,
  prompt: string,
  completions: readonly Content[],
): Omit<TokenizedText, "injected"> {
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
    fixed: () => ({ head: leadingLength(tokenizer, ids), tail: 0 }),
  };
}

function tokenizeConversation(
  tokenizer: Tokenizer,
  opening: readonly Message[],
  answers: readonly (readonly Message[])[],
  { tools, score = "all" }: CompletionOptions,
): Omit<TokenizedText, "injected"> {
  const text = tokenizer.chat.render(opening, { addGenerationPrompt: true, tools });
  const ids = tokenizer.encode(text, { addSpecialTokens: false });
  const prompt = { messages: opening, text, ids, tools };
  const answerTo = answerAfter(tokenizer, prompt);
  const parts = answers.map((answer) =>
    answer.length === 1 ? answerTo(answer) : severalTurns(tokenizer, prompt, answer, score),
  );
  const masked = parts.some(({ scored }) => scored !== undefined);
  const mask = (part: TokenizedPart) => part.scored ?? new Uint8Array(part.ids.length).fill(1);
  return {
    prompt: ids,
    completions: parts.map((part) => part.ids),
    ...(masked && { scored: parts.map(mask) }),
    merged: parts.some((part) => part.merged),
    fixed: () => fixedEnds(tokenizer, opening, text, ids, tools),
  };
}

interface RenderedPrompt {
  readonly messages: readonly Message[];
  readonly text: string;
  readonly ids: Int32Array;
  readonly tools: Tools | undefined;
}

interface TokenizedPart {
  readonly ids: Int32Array;
  readonly scored?: Uint8Array;
  readonly merged: boolean;
}

function answerAfter(tokenizer: Tokenizer, { messages, text, ids, tools }: RenderedPrompt) {
  const isEnd = (id: number) => tokenizer.specialIds.has(id);
  const continuation = inContextOf(tokenizer, text, ids);
  return (answer: readonly Message[]): TokenizedPart => {
    const whole = tokenizer.chat.render([...messages, ...answer], { addGenerationPrompt: false, tools });
    if (!whole.startsWith(text)) throw new ConversationError(mismatch(text, whole));
    const { addition, merged } = continuation(whole.slice(text.length));
    return { ids: endOnce(tokenizer, addition, isEnd), merged };
  };
}

/** A completion in which others speak, or that goes on after its first message. */
function severalTurns(
  tokenizer: Tokenizer,
  { messages, text, ids, tools }: RenderedPrompt,
  answer: readonly Message[],
  score: "last" | "all",
): TokenizedPart {
  const passages = turnPassages(tokenizer, [...messages, ...answer], { from: messages.length, tools });
  const [before, ...turns] = passages;
  if (before?.text !== text) {
    throw new ConversationError(mismatch(text, passages.map((passage) => passage.text).join("")));
  }
  const last = turns.findLastIndex(({ generated }) => generated);
  const wanted = turns.map((turn, i) => ({ ...turn, generated: turn.generated && (score === "all" || i === last) }));
  return encodePassages(tokenizer, { text, ids }, wanted, true);
}

/** How many tokens of a conversation's prompt are BOS and system turn, and how many are the generation prompt. */
export function fixedEnds(
  tokenizer: Tokenizer,
  opening: readonly Message[],
  prompt: string,
  ids: Int32Array,
  tools: Tools | undefined,
) {
  const encode = (text: string) => tokenizer.encode(text, { addSpecialTokens: false });
  const preamble = preambleOf(tokenizer, opening, tools);
  const head = prompt.startsWith(preamble) ? commonPrefixLength(encode(preamble), ids) : 0;
  const turns = tokenizer.chat.render(opening, { addGenerationPrompt: false, tools });
  const tail = prompt.startsWith(turns) ? encode(prompt.slice(turns.length)).length : 0;
  return { head: Math.max(head, leadingLength(tokenizer, ids)), tail: Math.min(tail, ids.length - head) };
}

/**
 * What the template writes before the first user turn: BOS, the system turn (the template's default one included) and the tools. It is what
 * one exchange has before the text that a second, equal exchange adds. Empty where the template refuses the probe.
 */
function preambleOf(tokenizer: Tokenizer, opening: readonly Message[], tools: Tools | undefined): string {
  const turns = opening.findIndex((message) => message.role !== "system");
  const system = opening.slice(0, turns < 0 ? opening.length : turns);
  const exchange: Message[] = [
    { role: "user", content: "?" },
    { role: "assistant", content: "!" },
  ];
  try {
    const once = tokenizer.chat.render([...system, ...exchange], { addGenerationPrompt: false, tools });
    const twice = tokenizer.chat.render([...system, ...exchange, ...exchange], { addGenerationPrompt: false, tools });
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
  const texts = contents.flatMap((content) => (typeof content === "string" ? [content] : content.flatMap(wordsOf)));
  return [...new Set(texts.flatMap((text) => tokenizer.specialTokensIn(text)))];
}

/** What is said in a message, with what it calls. */
function wordsOf({ content, tool_calls: calls }: Message): string[] {
  return calls === undefined ? [content] : [content, JSON.stringify(calls)];
}
