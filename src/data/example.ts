/** The shapes in which data travels from a file to the trainer. See docs/design.md, "The way of the data". */

import type { Content, Tools } from "../text/chat.ts";
import type { ScoredPart } from "../text/turns.ts";

export type { Content, Message } from "../text/chat.ts";

/** Where a row came from: the file, and its line (of text), element (of a JSON array) or row (of Parquet), counted from 1. */
export interface RowOrigin {
  readonly file: string;
  readonly line: number;
  /** What `line` counts where it is not lines. */
  readonly unit?: "element" | "row";
}

/** Numbers that a row carries besides its texts, by name: one of the row, or a list of one for each completion. */
export type RowValues = Readonly<Record<string, number | readonly number[]>>;

/** One prompt with its completions: two for a preference pair (chosen first), one for SFT, N for a ranking. */
export interface Example {
  readonly origin: RowOrigin;
  readonly values?: RowValues;
  readonly prompt: Content;
  readonly completions: readonly Content[];
  /** Given for a text or conversation that stands as the only completion, without a prompt: which of its tokens are scored. */
  readonly scored?: ScoredPart;
  /** What the assistant of a conversation may call. */
  readonly tools?: Tools;
}

/** An example in token ids. Completions exclude the prompt and include their end-of-turn or end-of-text token. */
export interface TokenizedExample {
  readonly origin: RowOrigin;
  /** The source that it came from, where there are several. */
  readonly source?: string;
  readonly values?: RowValues;
  readonly prompt: Int32Array;
  readonly completions: readonly Int32Array[];
  /** 1 for each token of a completion that is scored, 0 for one that is only context to those after it; all are where absent. */
  readonly scored?: readonly Uint8Array[];
}

/** `file line 12` or `file element 12`, for messages. */
export function describeOrigin({ file, line, unit }: RowOrigin): string {
  return `${file} ${unit ?? "line"} ${line}`;
}
