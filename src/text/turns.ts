/**
 * Texts that are learned from themselves, without a prompt apart: every token of a text, or the assistant's turns of a
 * conversation, each with its end token. A token is scored where the assistant would write it:
 *
 *   <|user|> Hi <|end|> \n <|assistant|> Hello! <|end|> \n <|user|> Bye <|end|> \n <|assistant|> Bye. <|end|>
 *                                        ^^^^^^ ^^^^^^^                                           ^^^^ ^^^^^^^
 *
 * Where a turn of the assistant's begins and ends:
 * - In a template with `{% generation %}` blocks, where these say.
 * - Else where the conversation before it, rendered with the generation prompt, ends; up to the last special token that the
 *   template writes after it (white space behind that token belongs to what follows, as in boundary.ts). For that the
 *   template must write every conversation as a beginning of the longer ones; one that writes an earlier turn differently once
 *   others follow (without its thoughts, for instance) has no such places, and the conversation is refused.
 * A last turn after which the template writes no end token gets the end-of-text token.
 *
 * A text is tokenized passage by passage, each in the context of all before it by the rule of boundary.ts.
 */

import {
  endOnce,
  fixedEnds,
  inContextOf,
  injectedTokens,
  leadingLength,
  mismatch,
  type TokenizedText,
} from "./boundary.ts";
import { type Content, ConversationError, type Message, type Passage } from "./chat.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Which tokens are scored: all that something stands before, or those of the assistant's turns. */
export type ScoredPart = "all" | "assistant";

/**
 * Tokenizes a text or a conversation, as the one completion after as much of it as stands before its first scored token (at
 * least one token: nothing predicts the first). Throws ConversationError for a conversation that the chat template refuses or
 * in which no turns can be told apart, CheckpointError as tokenizeCompletions.
 */
export function tokenizeText(tokenizer: Tokenizer, content: Content, part: ScoredPart): TokenizedText {
  const { ids, scored, merged, fixed } =
    part === "all" || typeof content === "string"
      ? tokenizeWhole(tokenizer, content)
      : tokenizeTurns(tokenizer, content);
  const start = Math.max(1, scored.indexOf(1));
  return {
    prompt: ids.subarray(0, start),
    completions: [ids.subarray(start)],
    ...(part === "assistant" && { scored: [scored.subarray(start)] }),
    merged,
    injected: injectedTokens(tokenizer, [content]),
    fixed,
  };
}

interface ScoredText extends Pick<TokenizedText, "merged" | "fixed"> {
  readonly ids: Int32Array;
  /** 1 for each token that is scored, else 0. */
  readonly scored: Uint8Array;
}

function tokenizeWhole(tokenizer: Tokenizer, content: Content): ScoredText {
  const isText = typeof content === "string";
  const text = isText ? content : tokenizer.chat.render(content, { addGenerationPrompt: false });
  const isEnd = (id: number) => (isText ? id === tokenizer.eosId : tokenizer.specialIds.has(id));
  const ids = endOnce(tokenizer, tokenizer.encode(text, { addSpecialTokens: isText }), isEnd);
  const scored = new Uint8Array(ids.length).fill(1);
  return { ids, scored, merged: false, fixed: () => ({ head: leadingLength(tokenizer, ids), tail: 0 }) };
}

function tokenizeTurns(tokenizer: Tokenizer, messages: readonly Message[]): ScoredText {
  const marked = tokenizer.chat.generationPassages(messages);
  const passages = marked ?? passagesByPrefix(tokenizer, messages);
  const last = passages.findLastIndex(({ generated }) => generated);
  const ids: number[] = [];
  const scored: number[] = [];
  let text = "";
  let merged = false;
  passages.slice(0, last + 1).forEach((passage, i) => {
    const before = merged ? tokenizer.encode(text, { addSpecialTokens: false }) : Int32Array.from(ids);
    const next = inContextOf(tokenizer, text, before)(passage.text);
    const isEnd = (id: number) => tokenizer.specialIds.has(id);
    const addition = i === last && !marked ? endOnce(tokenizer, next.addition, isEnd) : next.addition;
    for (const id of addition) {
      ids.push(id);
      scored.push(Number(passage.generated));
    }
    text += passage.text;
    merged ||= next.merged;
  });
  const opening = messages.slice(
    0,
    messages.findIndex(({ role }) => role === "assistant"),
  );
  const prompt = passages[0]?.generated === false ? passages[0].text : "";
  const promptIds = Int32Array.from(ids.slice(0, scored.indexOf(1)));
  return {
    ids: Int32Array.from(ids),
    scored: Uint8Array.from(scored),
    merged,
    fixed: () => fixedEnds(tokenizer, opening, prompt, promptIds),
  };
}

/** The passages of a conversation whose template does not mark them. */
function passagesByPrefix(tokenizer: Tokenizer, messages: readonly Message[]): Passage[] {
  const template = tokenizer.chat;
  const whole = template.render(messages, { addGenerationPrompt: false });
  const passages: Passage[] = [];
  let at = 0;
  messages.forEach(({ role }, i) => {
    if (role !== "assistant") return;
    const before = template.render(messages.slice(0, i), { addGenerationPrompt: true });
    const after = template.render(messages.slice(0, i + 1), { addGenerationPrompt: false });
    if (!after.startsWith(before)) throw new ConversationError(mismatch(before, after));
    const turn = upToEndToken(tokenizer, after.slice(before.length));
    const end = before.length + turn.length;
    if (before.length < at || !whole.startsWith(after.slice(0, end))) {
      throw new ConversationError(
        `the chat template writes turn ${i + 1} of the conversation differently once others follow it, so its tokens can't be found in the whole: ` +
          "give each answer as a row of its own, as prompt and completion",
      );
    }
    passages.push({ text: whole.slice(at, before.length), generated: false }, { text: turn, generated: true });
    at = end;
  });
  return passages.filter(({ text }) => text !== "");
}

/** A turn as it is rendered, up to and with its end token; all of it where none is written. */
function upToEndToken(tokenizer: Tokenizer, turn: string): string {
  let text = turn.trimEnd();
  const end = tokenizer.specialTokensIn(text).find((token) => text.endsWith(token));
  if (end === undefined) return turn;
  while (text.slice(0, -end.length).endsWith(end)) text = text.slice(0, -end.length);
  return text;
}
