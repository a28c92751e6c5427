/**
 * Texts that are learned from themselves, without a prompt apart: every token of a text, or the assistant's turns of a
 * conversation, each with its end token. A token is scored where the assistant would write it:
 *
 *   <|user|> Hi <|end|> \n <|assistant|> Hello! <|end|> \n <|user|> Bye <|end|> \n <|assistant|> Bye. <|end|>
 *                                        ^^^^^^ ^^^^^^^                                           ^^^^ ^^^^^^^
 *
 * Where a turn of the assistant's begins and ends:
 * - In a template with `{% generation %}` blocks, where these say.
 * - Else where passages.ts finds them; a conversation in which they can't be found is refused.
 * A last turn after which the template writes no end token gets the end-of-text token.
 *
 * A text is tokenized passage by passage, each in the context of all before it by the rule of boundary.ts.
 */

import { fixedEnds, injectedTokens, leadingLength, type TokenizedText } from "./boundary.ts";
import type { Content, Message, Tools } from "./chat.ts";
import { encodePassages, endOnce } from "./continuation.ts";
import { turnPassages } from "./passages.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Which tokens are scored: all that something stands before, or those of the assistant's turns. */
export type ScoredPart = "all" | "assistant";

/**
 * Tokenizes a text or a conversation, as the one completion after as much of it as stands before its first scored token (at
 * least one token: nothing predicts the first). Throws ConversationError for a conversation that the chat template refuses or
 * in which no turns can be told apart, CheckpointError as tokenizeCompletions.
 */
export function tokenizeText(
  tokenizer: Tokenizer,
  content: Content,
  part: ScoredPart,
  tools?: Tools | undefined,
): TokenizedText {
  const { ids, scored, merged, fixed } =
    part === "all" || typeof content === "string"
      ? tokenizeWhole(tokenizer, content, tools)
      : tokenizeTurns(tokenizer, content, tools);
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

function tokenizeWhole(tokenizer: Tokenizer, content: Content, tools: Tools | undefined): ScoredText {
  const isText = typeof content === "string";
  const text = isText ? content : tokenizer.chat.render(content, { addGenerationPrompt: false, tools });
  const isEnd = (id: number) => (isText ? id === tokenizer.eosId : tokenizer.specialIds.has(id));
  const ids = endOnce(tokenizer, tokenizer.encode(text, { addSpecialTokens: isText }), isEnd);
  const scored = new Uint8Array(ids.length).fill(1);
  return { ids, scored, merged: false, fixed: () => ({ head: leadingLength(tokenizer, ids), tail: 0 }) };
}

function tokenizeTurns(tokenizer: Tokenizer, messages: readonly Message[], tools: Tools | undefined): ScoredText {
  const marked = tokenizer.chat.generationPassages(messages, tools);
  const passages = marked ?? turnPassages(tokenizer, messages, { tools });
  const nothing = { text: "", ids: new Int32Array(0) };
  const { ids, scored, merged } = encodePassages(tokenizer, nothing, passages, !marked);
  const first = messages.findIndex(({ role }) => role === "assistant");
  const prompt = passages[0]?.generated === false ? passages[0].text : "";
  const promptIds = ids.slice(0, scored.indexOf(1));
  return {
    ids,
    scored,
    merged,
    fixed: () => fixedEnds(tokenizer, messages.slice(0, first), prompt, promptIds, tools),
  };
}
