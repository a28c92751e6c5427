/**
 * From preference files to token ids: read, adapt, tokenize, fit, and account for every row.
 *
 * Rows that can't be read (not JSON, a missing or wrong field) stop the load at the first of them, so that nothing is computed on a
 * file that is not what it seems; `onBadRow: "drop"` drops them. Rows that can be read but not used are dropped and named in the
 * ledger; `onBadRow: "error"` stops at the first of them too.
 */

import { ConfigError, DataError } from "../errors.ts";
import { promptIds, type TokenizedText, tokenizeCompletions } from "../text/boundary.ts";
import { ConversationError } from "../text/chat.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { tokenizeText } from "../text/turns.ts";
import { type Content, describeOrigin, type Example, type RowOrigin, type TokenizedExample } from "./example.ts";
import { Ledger } from "./ledger.ts";
import { preferenceExample, promptExample } from "./preferences.ts";
import { type Cause, RowProblem, rowError } from "./problem.ts";
import { type Row, readRows } from "./read.ts";
import type { TextOptions } from "./texts.ts";
import { type LengthLimits, shorten, type Truncation, tooLong } from "./truncate.ts";

export interface LoadOptions {
  /** Preference files, read one after the other. */
  readonly files: string | readonly string[];
  readonly tokenizer: Tokenizer;
  /** Wrap string prompts as one user message and string completions as the assistant's. Default false. */
  readonly chat?: boolean | undefined;
  /** Rows that can't be used stop the load (`error`), rows that can't be read are dropped too (`drop`); see above. */
  readonly onBadRow?: "error" | "drop" | undefined;
  /** The first N usable rows; all by default. */
  readonly limit?: number | undefined;
}

export interface PreferenceOptions extends LoadOptions, LengthLimits, TextOptions {
  /** What happens to an example longer than `maxLength` tokens. */
  readonly truncation: Truncation;
}

export interface LoadedPreferences {
  readonly examples: TokenizedExample[];
  readonly ledger: Ledger;
}

/** From a parsed row to the examples that it holds, one or several. Throws RowProblem. */
export type RowAdapter = (value: unknown, origin: RowOrigin, options: TextOptions) => Example | readonly Example[];

/** Loads preference pairs as token ids. Throws DataError for rows as said above, and when no row can be used. */
export async function loadPreferences(options: PreferenceOptions): Promise<LoadedPreferences> {
  return loadExamples(preferenceExample, options);
}

/** Loads the examples that the adapter finds in each row, as token ids. Throws as loadPreferences. */
export async function loadExamples(adapt: RowAdapter, options: PreferenceOptions): Promise<LoadedPreferences> {
  checkLimits(options);
  const ledger = new Ledger(fileList(options.files));
  const rows = await collect(options, ledger, (value, origin) =>
    tokenizeRow([adapt(value, origin, options)].flat(), origin, options, ledger),
  );
  return { examples: rows.flat(), ledger };
}

export interface LoadedPrompt {
  readonly origin: RowOrigin;
  readonly content: Content;
  readonly prompt: Int32Array;
}

/** Loads prompts alone, for generation; `system` takes the place of a conversation's own system message. Throws as loadPreferences. */
export async function loadPrompts(
  options: LoadOptions & { readonly system?: string | undefined },
): Promise<{ prompts: LoadedPrompt[]; ledger: Ledger }> {
  const ledger = new Ledger(fileList(options.files));
  const prompts = await collect(options, ledger, (value, origin) => {
    const { prompt: content } = promptExample(value, origin);
    const prompt = conversationally(() => promptIds(options.tokenizer, content, options));
    if (prompt.length === 0) throw new RowProblem("empty prompt", "the prompt has no tokens");
    return { origin, content, prompt };
  });
  return { prompts, ledger };
}

/** Runs `use` over the rows until `limit` are usable, and accounts for each. */
async function collect<T>(
  { files, limit = Number.POSITIVE_INFINITY, onBadRow }: LoadOptions,
  ledger: Ledger,
  use: (value: unknown, origin: RowOrigin) => T,
): Promise<T[]> {
  if (!(limit >= 1)) throw new ConfigError(`--limit ${limit} must be at least 1 row.`);
  const used: T[] = [];
  for await (const row of allRows(fileList(files))) {
    ledger.read++;
    try {
      if ("problem" in row) throw row.problem;
      used.push(use(row.value, row.origin));
      ledger.used++;
    } catch (error) {
      if (!(error instanceof RowProblem)) throw error;
      if (onBadRow === "error" || (error.unreadable && onBadRow !== "drop")) throw rowError(error, row.origin);
      ledger.drop(error.reason, row.origin, error.message);
    }
    if (used.length >= limit) break;
  }
  if (used.length === 0) {
    throw new DataError(`No row can be used. Mend the rows, or give another file:\n${ledger}`);
  }
  return used;
}

async function* allRows(files: readonly string[]): AsyncGenerator<Row> {
  for (const file of files) yield* readRows(file);
}

/** The examples of one row in token ids: all of them, or none with the reason. */
function tokenizeRow(
  examples: readonly Example[],
  origin: RowOrigin,
  options: PreferenceOptions,
  ledger: Ledger,
): TokenizedExample[] {
  const texts = examples.map((example) => tokenizeExample(example, options));
  refuseIdentical(texts, "two completions have the same tokens");
  const fitted = texts.map((text) => fitToLimits(text, origin, options));
  const cut = new Set(fitted.flatMap((each) => each.cut));
  if (cut.has("completion too long")) refuseIdentical(fitted, "two completions have the same tokens once shortened");
  if (cut.size > 0) ledger.shorten([...cut], origin);
  if (texts.some(({ merged }) => merged)) ledger.noteMerged(origin);
  const injected = new Set(texts.flatMap((text) => text.injected));
  if (injected.size > 0) ledger.noteSpecialTokens([...injected], origin);
  return examples.map(({ values }, i) => {
    if (values?.label !== undefined) ledger.noteLabel(values.label === 1);
    const { prompt, completions, scored } = fitted[i]!;
    return { origin, ...(values && { values }), prompt, completions, ...(scored && { scored }) };
  });
}

function tokenizeExample({ prompt, completions, scored }: Example, options: PreferenceOptions): TokenizedText {
  const { tokenizer } = options;
  const text = conversationally(() =>
    scored
      ? tokenizeText(tokenizer, completions[0]!, scored)
      : tokenizeCompletions(tokenizer, prompt, completions, options),
  );
  if (text.prompt.length === 0) throw new RowProblem("empty prompt", "the prompt has no tokens");
  if (text.completions.some((ids) => ids.length === 0 || (ids.length === 1 && tokenizer.specialIds.has(ids[0]!)))) {
    throw new RowProblem("empty completion", "a completion has nothing but its end token");
  }
  return text;
}

/** The example within its limits, and what was cut for it. */
function fitToLimits(text: TokenizedText, origin: RowOrigin, options: PreferenceOptions) {
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
  const keys = examples.flatMap(({ prompt, completions }) => {
    const start = examples.length > 1 ? prompt.join() : "";
    return completions.map((ids) => `${start};${ids.join()}`);
  });
  if (new Set(keys).size < keys.length) throw new RowProblem("identical completions", message);
}

/** A conversation that the chat template refuses is a row that can't be used. */
function conversationally<T>(tokenize: () => T): T {
  try {
    return tokenize();
  } catch (error) {
    if (error instanceof ConversationError) throw new RowProblem("refused by the chat template", error.message);
    throw error;
  }
}

function fileList(files: string | readonly string[]): readonly string[] {
  return typeof files === "string" ? [files] : files;
}

function checkLimits({ maxLength, maxPromptLength }: LengthLimits): void {
  if (!(Number.isInteger(maxLength) && maxLength >= 2)) {
    throw new ConfigError(
      `--max-length ${maxLength} must be a whole number of at least 2 tokens: one of the prompt, one to score.`,
    );
  }
  if (!(Number.isInteger(maxPromptLength) && maxPromptLength >= 1)) {
    throw new ConfigError(`--max-prompt-length ${maxPromptLength} must be a whole number of at least 1 token.`);
  }
}
