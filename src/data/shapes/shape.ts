/**
 * What a shape of rows is: the fields that rows of it have, and what they hold, in terms that don't depend on the fields. What a
 * method of training makes of it is told in one place (../derive.ts).
 */

import type { Tools } from "../../text/chat.ts";
import type { Content, Message } from "../example.ts";
import type { Row } from "../fields.ts";

/** One prompt and completions that were compared. */
export interface Compared {
  readonly kind: "compared";
  readonly prompt: Content;
  readonly completions: readonly Content[];
  /** Each completion's place: 1 is the best, equal ones are ties. */
  readonly ranks: readonly number[];
  /** What each was scored, more being better, where the row says so. */
  readonly scores?: readonly number[];
  /** What completions are called in messages; their fields. */
  readonly names: readonly string[];
}

/** One prompt and one completion, which may be labelled desirable (1) or not (0). */
export interface Answer {
  readonly kind: "answer";
  readonly prompt: Content;
  readonly completion: Content;
  readonly label?: 0 | 1;
}

/** A conversation that stands for itself. */
interface Conversation {
  readonly kind: "conversation";
  readonly messages: readonly Message[];
}

/** A text that stands for itself. */
interface PlainText {
  readonly kind: "text";
  readonly text: string;
}

/** A prompt that nobody has answered. */
interface Question {
  readonly kind: "prompt";
  readonly prompt: Content;
}

/** What a row holds. */
export type Reading = (Compared | Answer | Conversation | PlainText | Question) & {
  /** What the assistant may call. */
  readonly tools?: Tools | undefined;
};

export interface ReadOptions {
  /** Texts are wrapped as messages later. */
  readonly chat?: boolean | undefined;
}

export interface Shape {
  /** Its name in `--format` and in the ledger. */
  readonly name: string;
  /** Its fields, in a line. */
  readonly summary: string;
  /** Whether a row has the fields that tell this shape from others. */
  matches(row: Row): boolean;
  /** Throws RowProblem for a row that can't be read. */
  read(row: Row, options: ReadOptions): Reading;
}
