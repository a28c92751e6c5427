/** The examples of a row in token ids, within the limits of length, and what the ledger has to know of them. */

import { DataError } from "../errors.ts";
import { type TokenizedText, tokenizeCompletions } from "../text/boundary.ts";
import { ConversationError } from "../text/chat.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { tokenizeText } from "../text/turns.ts";
import type { DeriveOptions, Needs } from "./derive.ts";
import { type Content, describeOrigin, type Example, type RowOrigin, type TokenizedExample } from "./example.ts";
import type { Ledger } from "./ledger.ts";
import { type Cause, RowProblem } from "./problem.ts";
import { wordsOf } from "./repeats.ts";
import { type LengthLimits, shorten, type Truncation, tooLong } from "./truncate.ts";

/** Which tokens are learned: of a text (texts.ts), or of a completion of several turns (boundary.ts). */
type ScoreOption = DeriveOptions["score"] | "last";

export interface TokenizeOptions extends LengthLimits {
  readonly tokenizer: Tokenizer;
  /** Wrap string prompts as one user message and string completions as the assistant's. Default false. */
  readonly chat?: boolean | undefined;
  readonly score?: ScoreOption | undefined;
  /** What happens to an example longer than `maxLength` tokens. */
  readonly truncation: Truncation;
}

/** An example with what became of it. */
export interface VisitedExample {
  readonly example: Example;
  /** All of its tokens. */
  readonly text: TokenizedText;
  /** Its tokens within the limits, and for what it was cut. */
  readonly tokenized: TokenizedExample;
  readonly cut: readonly Cause[];
}

/**
 * Characters of a text that are tokenized. A tokenizer takes up to a kilobyte and some microseconds a character, so that a file which
 * has become one row would take all memory; a context of 131,072 tokens is about half of this.
 */
const MOST_CHARACTERS = 2 ** 20;

/** Throws RowProblem for a text that is too long for a tokenizer. */
export function refuseEndless(content: Content, cause: "prompt too long" | "completion too long"): void {
  const { length } = wordsOf(content);
  if (length <= MOST_CHARACTERS) return;
  const which = cause === "prompt too long" ? "the prompt" : "a completion";
  throw new RowProblem(
    cause,
    `${which} has ${length} characters, of at most ${MOST_CHARACTERS}: part it into several rows`,
  );
}

/** The examples of one row in token ids: all of them, or none with the reason. */
export function tokenizeRow(
  examples: readonly Example[],
  origin: RowOrigin,
  { rows }: Needs,
  options: TokenizeOptions,
  ledger: Ledger,
): VisitedExample[] {
  const texts = examples.map((example) => tokenizeExample(example, rows, options));
  refuseIdentical(texts, "two completions have the same tokens");
  const fitted = texts.map((text) => fitToLimits(text, origin, options));
  const cut = new Set(fitted.flatMap((each) => each.cut));
  if (cut.has("completion too long")) refuseIdentical(fitted, "two completions have the same tokens once shortened");
  if (cut.size > 0) ledger.shorten([...cut], origin);
  if (texts.some(({ merged }) => merged)) ledger.noteMerged(origin);
  const unwritten = examples.map((example) => unwrittenTools(example, options)).find((what) => what !== undefined);
  if (unwritten !== undefined) ledger.noteUnwrittenTools(origin, unwritten);
  const injected = new Set(texts.flatMap((text) => text.injected));
  if (injected.size > 0) ledger.noteSpecialTokens([...injected], origin);
  return examples.map((example, i) => {
    const { values } = example;
    if (values?.label !== undefined) ledger.noteLabel(values.label === 1);
    const { prompt, completions, scored, cut: causes } = fitted[i]!;
    const tokenized = { origin, ...(values && { values }), prompt, completions, ...(scored && { scored }) };
    return { example, text: texts[i]!, tokenized, cut: causes };
  });
}

function tokenizeExample(
  { prompt, completions, scored, tools }: Example,
  rows: Needs["rows"],
  { tokenizer, chat, score }: TokenizeOptions,
): TokenizedText {
  if (typeof prompt !== "string" && prompt.length === 0 && scored === undefined) {
    throw new RowProblem("empty prompt", "the prompt has no messages");
  }
  refuseEndless(prompt, "prompt too long");
  for (const completion of completions) refuseEndless(completion, "completion too long");
  // Of texts, `score` says which example is made of a row.
  const turns = rows !== "texts" && score === "last" ? "last" : "all";
  const text = conversationally(() =>
    scored
      ? tokenizeText(tokenizer, completions[0]!, scored, tools)
      : tokenizeCompletions(tokenizer, prompt, completions, { chat, tools, score: turns }),
  );
  if (text.prompt.length === 0) throw new RowProblem("empty prompt", "the prompt has no tokens");
  const empty = text.completions.findIndex(
    (ids) => ids.length === 0 || (ids.length === 1 && tokenizer.specialIds.has(ids[0]!)),
  );
  if (empty >= 0) {
    if (callsTools(completions[empty]!) && !tokenizer.chat.writesCalls) {
      throw new RowProblem(
        "refused by the chat template",
        "the chat template writes no tool calls, and a completion is nothing else",
      );
    }
    throw new RowProblem("empty completion", "a completion has nothing but its end token");
  }
  return text;
}

/** What the chat template leaves out of an example's tools, in words; undefined for nothing. */
function unwrittenTools({ prompt, completions, tools }: Example, { tokenizer }: TokenizeOptions): string | undefined {
  if (tools !== undefined && !tokenizer.chat.writesTools) return "the chat template writes no list of tools";
  const calls = [prompt, ...completions].some(callsTools) && !tokenizer.chat.writesCalls;
  return calls ? "the chat template writes no tool calls" : undefined;
}

function callsTools(content: Content): boolean {
  return typeof content !== "string" && content.some((message) => message.tool_calls !== undefined);
}

/** The example within its limits, and what was cut for it. */
function fitToLimits(text: TokenizedText, origin: RowOrigin, options: TokenizeOptions) {
  const problem = tooLong(text, options);
  if (problem !== undefined && options.truncation === "drop") throw problem;
  if (problem !== undefined && options.truncation === "error") {
    throw new DataError(
      `${describeOrigin(origin)}: ${problem.message}. Raise --max-length, or let --truncation shorten or drop such rows.`,
    );
  }
  const { prompt, completions, promptCut, completionsCut } = shorten(text, options);
  const cut: Cause[] = [];
  if (promptCut) cut.push("prompt too long");
  if (completionsCut) cut.push("completion too long");
  const scored = text.scored?.map((flags, i) => flags.subarray(0, completions[i]!.length));
  return { prompt, completions, scored, cut };
}

/**
 * Two completions of the same tokens after one prompt prefer nothing, whatever the model: their margin is 0, or one and the same
 * completion is labelled desirable and not.
 */
function refuseIdentical(examples: readonly Pick<TokenizedExample, "prompt" | "completions">[], message: string): void {
  // Several pairs of one row have completions in common; labelled ones are each an example.
  const together = examples.every(({ completions }) => completions.length === 1);
  const groups = together
    ? [examples.map(({ prompt, completions }) => [prompt, ...completions])]
    : examples.map(({ completions }) => completions.map((ids) => [ids]));
  if (groups.some(hasCopies)) throw new RowProblem("identical completions", message);
}

function hasCopies(texts: readonly (readonly Int32Array[])[]): boolean {
  const [first, second] = texts;
  if (first && second && texts.length === 2) return first.every((ids, i) => sameIds(ids, second[i]!));
  return new Set(texts.map((parts) => parts.map((ids) => ids.join()).join(";"))).size < texts.length;
}

function sameIds(a: Int32Array, b: Int32Array): boolean {
  return a.length === b.length && a.every((id, i) => id === b[i]);
}

/** A conversation that the chat template refuses is a row that can't be used. */
export function conversationally<T>(tokenize: () => T): T {
  try {
    return tokenize();
  } catch (error) {
    if (error instanceof ConversationError) throw new RowProblem("refused by the chat template", error.message);
    throw error;
  }
}
