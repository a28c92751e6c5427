/** A row as the model will see it: text again from the tokens that it is trained on, with what is special and what is scored. */

import { describeOrigin, type RowOrigin } from "../data/example.ts";
import { scoredLengths } from "../data/microbatch.ts";
import type { Cause } from "../data/problem.ts";
import type { VisitedExample } from "../data/tokenize.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { type Role, rolesOf } from "./row.ts";

export interface PreviewRow {
  readonly origin: RowOrigin;
  /** The prompt, then each completion. */
  readonly parts: readonly PreviewPart[];
  readonly cut: readonly Cause[];
}

export interface PreviewPart {
  readonly role: "prompt" | Role;
  readonly tokens: number;
  /** How many of them the loss is taken over. */
  readonly scored: number;
  readonly pieces: readonly Piece[];
}

/** Neighbouring tokens of one kind. */
export interface Piece {
  readonly text: string;
  readonly special: boolean;
  readonly scored: boolean;
}

export function previewRow({ example, tokenized, cut }: VisitedExample, tokenizer: Tokenizer): PreviewRow {
  const { origin, prompt, completions, scored } = tokenized;
  const lengths = scoredLengths(tokenized);
  const roles = rolesOf(example);
  return {
    origin,
    cut,
    parts: [
      {
        role: "prompt",
        tokens: prompt.length,
        scored: 0,
        pieces: pieces(tokenizer, new Int32Array(0), prompt, () => false),
      },
      ...completions.map((ids, i) => ({
        role: roles[i]!,
        tokens: ids.length,
        scored: lengths[i]!,
        pieces: pieces(tokenizer, prompt, ids, (at) => scored === undefined || scored[i]![at] === 1),
      })),
    ],
  };
}

function pieces(tokenizer: Tokenizer, before: Int32Array, ids: Int32Array, isScored: (at: number) => boolean): Piece[] {
  const list: Piece[] = [];
  const kind = (at: number) => ({ special: tokenizer.specialIds.has(ids[at]!), scored: isScored(at) });
  for (let start = 0; start < ids.length; ) {
    const { special, scored } = kind(start);
    let end = start + 1;
    // Special tokens stand alone: two of them in a row are two.
    while (!special && end < ids.length && !kind(end).special && kind(end).scored === scored) end++;
    const context = [...before, ...ids.subarray(0, start)];
    const own = ids.subarray(start, end);
    list.push({ text: special ? tokenizer.decode(own) : tokenizer.decodeAfter(context, own), special, scored });
    start = end;
  }
  return list;
}

/** A row's place as editors read it, `file:line`; of elements and rows in words. */
export function placeOf(origin: RowOrigin): string {
  return origin.unit === undefined ? `${origin.file}:${origin.line}` : describeOrigin(origin);
}
