/** Tokenizing a text that goes on from another: in the context of what stands before, up to its end token. */

import { CheckpointError } from "../errors.ts";
import type { Passage } from "./chat.ts";
import type { Tokenizer } from "./tokenizer.ts";

/**
 * Tokenizes completions in the context of one prompt (boundary.ts says by what rule). Only the prompt's end is tokenized again with
 * each completion, from where the tokenizer starts afresh.
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
  const ended = new Int32Array(ids.length + 1);
  ended.set(ids);
  ended[ids.length] = tokenizer.eosId;
  return ended;
}

interface TokenizedPassages {
  readonly ids: Int32Array;
  /** 1 for each token that is generated, else 0. */
  readonly scored: Uint8Array;
  readonly merged: boolean;
}

/**
 * Tokenizes the passages that follow a text, up to the last that is generated; `endsLast` sees to its end token. What follows
 * the last generated passage is left out: generation stops there.
 */
export function encodePassages(
  tokenizer: Tokenizer,
  before: { readonly text: string; readonly ids: Int32Array },
  passages: readonly Passage[],
  endsLast: boolean,
): TokenizedPassages {
  const last = passages.findLastIndex(({ generated }) => generated);
  const isEnd = (id: number) => tokenizer.specialIds.has(id);
  const ids: number[] = [];
  const scored: number[] = [];
  let { text } = before;
  let merged = false;
  passages.slice(0, last + 1).forEach((passage, i) => {
    const context = merged
      ? tokenizer.encode(text, { addSpecialTokens: false })
      : Int32Array.from([...before.ids, ...ids]);
    const next = inContextOf(tokenizer, text, context)(passage.text);
    const addition = i === last && endsLast ? endOnce(tokenizer, next.addition, isEnd) : next.addition;
    for (const id of addition) {
      ids.push(id);
      scored.push(Number(passage.generated));
    }
    text += passage.text;
    merged ||= next.merged;
  });
  return { ids: Int32Array.from(ids), scored: Uint8Array.from(scored), merged };
}

export function commonPrefixLength(a: Int32Array, b: Int32Array): number {
  const limit = Math.min(a.length, b.length);
  let length = 0;
  while (length < limit && a[length] === b[length]) length++;
  return length;
}
