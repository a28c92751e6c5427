/**
 * The text of each of a row of tokens: pieces that join to the text of all of them, to the letter. Tokens are not texts by
 * themselves: a byte-level token may be a part of a character, and decoders treat a text's first word by its own rule. So a
 * token gets its usual piece where the text goes on with just that, and else is decoded together with its neighbours until
 * the text does; the last of them gets what they say together, as the one that completes the character.
 */

import type { Tokenizer } from "./tokenizer.ts";

/** What stands for bytes that are no character. */
const REPLACEMENT = "\ufffd";

export class TokenPieces {
  /** What a token adds in the middle of a text, of those that were met. */
  private readonly usual = new Map<number, string>();

  constructor(private readonly tokenizer: Tokenizer) {}

  /** Pieces of `text`, which is what the tokens decode to without special tokens, after a context maybe. A special token's is empty. */
  of(ids: ArrayLike<number>, text: string): string[] {
    const pieces: string[] = [];
    let at = 0;
    while (pieces.length < ids.length) {
      const { tokens, length } = this.next(ids, pieces.length, text, at);
      for (let i = 1; i < tokens; i++) pieces.push("");
      pieces.push(text.slice(at, at + length));
      at += length;
    }
    return pieces;
  }

  /** How many tokens from `start` on have a piece of the text together, from `at` on, and how long it is. */
  private next(ids: ArrayLike<number>, start: number, text: string, at: number): { tokens: number; length: number } {
    const usual = this.usualOf(ids[start]!);
    const isLast = start === ids.length - 1;
    if (!isLast && !usual.endsWith(REPLACEMENT) && text.startsWith(usual, at)) {
      return { tokens: 1, length: usual.length };
    }
    for (let end = start + 1; end < ids.length; end++) {
      const together = this.decode(Array.prototype.slice.call(ids, start, end));
      if (!together.endsWith(REPLACEMENT) && text.startsWith(together, at)) {
        return { tokens: end - start, length: together.length };
      }
    }
    return { tokens: ids.length - start, length: text.length - at };
  }

  private usualOf(id: number): string {
    const known = this.usual.get(id);
    if (known !== undefined) return known;
    // After itself it is not the first of a text, before which decoders strip a space.
    const [once, twice] = [this.decode([id]), this.decode([id, id])];
    const piece = twice.startsWith(once) ? twice.slice(once.length) : once;
    this.usual.set(id, piece);
    return piece;
  }

  private decode(ids: readonly number[]): string {
    return this.tokenizer.decode(ids, { skipSpecialTokens: true });
  }
}

/** The pieces of a text without the white space around it, as many as there were. */
export function trimPieces(pieces: readonly string[]): string[] {
  const text = pieces.join("");
  const end = text.trimEnd().length;
  const start = Math.min(end, text.length - text.trimStart().length);
  let at = 0;
  return pieces.map((piece) => {
    const from = Math.max(at, start);
    at += piece.length;
    return text.slice(from, Math.max(from, Math.min(at, end)));
  });
}
