/**
 * From rows to token ids: read, tell the shape, derive examples, tokenize, fit, and account for every row.
 *
 * Rows that can't be read (not JSON, a missing or wrong field) stop the load at the first of them, so that nothing is computed on a
 * file that is not what it seems; `onBadRow: "drop"` drops them. Rows that can be read but not used are dropped and named in the
 * ledger; `onBadRow: "error"` stops at the first of them too. Rows that are of use and not wanted are left out by `drop` (drop.ts).
 */

import { ConfigError, DataError } from "../errors.ts";
import { promptIds } from "../text/boundary.ts";
import { type Columns, withColumns } from "./columns.ts";
import { type DeriveOptions, examplesFrom, type Needs, promptFrom } from "./derive.ts";
import { DropFilter, type DropOptions, type KnownRows } from "./drop.ts";
import type { Content, Example, RowOrigin, TokenizedExample } from "./example.ts";
import type { Row } from "./fields.ts";
import { nameOf } from "./files/standard-input.ts";
import type { RawValue } from "./files/text-rows.ts";
import { Ledger } from "./ledger.ts";
import { type MixtureOptions, mix } from "./mixture.ts";
import { RowProblem, rowError } from "./problem.ts";
import { contradictions } from "./repeats.ts";
import { detectShape, ShapeReader } from "./shapes/registry.ts";
import type { Reading } from "./shapes/shape.ts";
import { conversationally, refuseEndless, type TokenizeOptions, tokenizeRow, type VisitedExample } from "./tokenize.ts";

/** Rows that are ready to be read. */
export interface OpenSource {
  /** What it is called in the ledger and in metrics: each another. */
  readonly name: string;
  readonly files: readonly string[];
  /** Its share of the mixture, in proportion to the others'. */
  readonly weight?: number;
  /** The shape of its rows, told from the first ones where it is not given. */
  readonly format?: string;
  readonly columns: Columns;
  /** The rows of one of its files. Throws DataError for a file that can't be read. */
  read(file: string): AsyncGenerator<RawValue>;
}

export interface RowOptions extends Pick<TokenizeOptions, "tokenizer" | "chat"> {
  /** Rows that can't be used stop the load (`error`), rows that can't be read are dropped too (`drop`); see above. */
  readonly onBadRow?: "error" | "drop" | undefined;
  /** The first N usable rows; all by default. */
  readonly limit?: number | undefined;
}

export interface ExampleOptions
  extends RowOptions,
    TokenizeOptions,
    DropOptions,
    Omit<MixtureOptions, "limit">,
    Omit<DeriveOptions, "score" | "chat"> {}

export interface LoadedPreferences {
  readonly examples: TokenizedExample[];
  readonly ledger: Ledger;
  /** The rows used, for held-out rows to be held against, where leaks are dropped. */
  readonly known?: KnownRows;
}

/** The examples that a method needs as token ids. Throws DataError for rows as said above, and when no row can be used. */
export async function examplesOf(
  needs: Needs,
  sources: readonly OpenSource[],
  options: ExampleOptions,
): Promise<LoadedPreferences> {
  const { ledger, known, tokenize } = await open(needs, sources, options);
  const use = (row: ReadRow) => tokenize(row).map(({ tokenized }) => tokenized);
  const perSource = await collect(sources, options, ledger, use);
  return { examples: mixed(sources, perSource, options, ledger), ledger, known };
}

/** Hands every example to `visit` in the order of the rows, keeping none; weights count for nothing. Throws as examplesOf. */
export async function visitEach(
  needs: Needs,
  sources: readonly OpenSource[],
  options: ExampleOptions,
  visit: (example: VisitedExample) => void,
): Promise<Omit<LoadedPreferences, "examples">> {
  const { ledger, known, tokenize } = await open(needs, sources, options);
  await collect(sources, options, ledger, (row) => tokenize(row).forEach(visit));
  return { ledger, known };
}

async function open(needs: Needs, sources: readonly OpenSource[], options: ExampleOptions) {
  const ledger = new Ledger(sources);
  const derive: DeriveOptions = { ...options, score: options.score === "last" ? undefined : options.score };
  const derived = ({ reading, row, origin }: ReadRow) => examplesFrom(reading, row, origin, needs, derive);
  const filter = new DropFilter(
    options,
    options.drop?.includes("opposites")
      ? await contradictions(everyExample(sources, options, derived))
      : new Set<number>(),
  );
  const tokenize = (row: ReadRow) => {
    const examples = derived(row);
    const keep = filter.check(examples, row.origin);
    const tokenized = tokenizeRow(examples, row.origin, needs, options, ledger);
    keep();
    return tokenized;
  };
  return { ledger, known: filter.known, tokenize };
}

/** What can be derived of all rows, none of them tokenized. */
async function* everyExample(
  sources: readonly OpenSource[],
  { chat }: RowOptions,
  derived: (row: ReadRow) => Example[],
): AsyncGenerator<Example> {
  for (const source of sources) {
    for (const file of source.files) {
      for await (const { raw, read } of shapedRows(file, source)) {
        if ("problem" in raw) continue;
        try {
          const { row, reading } = read(raw.value, chat);
          yield* withinStack(() => derived({ row, reading, origin: raw.origin }));
        } catch (error) {
          if (!(error instanceof RowProblem)) throw error;
        }
      }
    }
  }
}

/** The examples of all sources in order, each with the name of its own where there are several. */
function mixed(
  sources: readonly OpenSource[],
  perSource: readonly (readonly TokenizedExample[])[][],
  options: ExampleOptions,
  ledger: Ledger,
): TokenizedExample[] {
  const named = perSource.map((rows, i) => {
    const source = sources[i]!.name;
    return sources.length === 1 ? rows : rows.map((row) => row.map((example) => ({ ...example, source })));
  });
  if (sources[0]!.weight === undefined) return named.flat(2);
  const sizes = named.map((rows) => rows.length);
  const drawn = mix(
    sizes,
    sources.map(({ weight }) => weight!),
    options,
  );
  ledger.noteMixture(sizes.map((_, i) => drawn.filter(({ source }) => source === i).length));
  return drawn.flatMap(({ source, row }) => named[source]![row]!);
}

export interface LoadedPrompt {
  readonly origin: RowOrigin;
  readonly content: Content;
  readonly prompt: Int32Array;
}

/** Prompts alone, for generation; `system` takes the place of a conversation's own system message. Throws as examplesOf. */
export async function promptsOf(
  sources: readonly OpenSource[],
  options: RowOptions & { readonly system?: string | undefined },
): Promise<{ prompts: LoadedPrompt[]; ledger: Ledger }> {
  const ledger = new Ledger(sources);
  const found = await collect(sources, options, ledger, ({ reading, row, origin }) => {
    const { prompt: content, tools } = promptFrom(reading, row, options);
    refuseEndless(content, "prompt too long");
    const prompt = conversationally(() => promptIds(options.tokenizer, content, { ...options, tools }));
    if (prompt.length === 0) throw new RowProblem("empty prompt", "the prompt has no tokens");
    return { origin, content, prompt };
  });
  return { prompts: found.flat(), ledger };
}

/** What a row holds, and the row with its fields under their names. */
interface ReadRow {
  readonly reading: Reading;
  readonly row: Row;
  readonly origin: RowOrigin;
}

/** Runs `use` over the rows of each source until as many are usable as are wanted, and accounts for each. */
async function collect<T>(
  sources: readonly OpenSource[],
  options: RowOptions,
  ledger: Ledger,
  use: (row: ReadRow) => T,
): Promise<T[][]> {
  const { limit = Number.POSITIVE_INFINITY } = options;
  if (!(limit >= 1)) throw new ConfigError(`--limit ${limit} must be at least 1 row.`);
  const total = sources.reduce((sum, { weight = 0 }) => sum + weight, 0);
  const found: T[][] = [];
  for (const [index, source] of sources.entries()) {
    const { weight } = source;
    const most = weight === undefined ? limit - ledger.used : Math.ceil((limit * weight) / total);
    const used = most > 0 ? await collectSource(source, index, most, options, ledger, use) : [];
    if (used.length === 0 && weight !== undefined) throw noRows(`No row of ${source.name} can be used`, ledger);
    found.push(used);
  }
  if (ledger.used === 0) throw noRows("No row can be used", ledger);
  return found;
}

function noRows(what: string, ledger: Ledger): DataError {
  const { files, read, droppedBy } = ledger.toJSON();
  if (read === 0)
    return new DataError(`${what}: there are none in ${files.map(nameOf).join(", ")}. Give another file.`);
  const isText = droppedBy["not JSON"]?.count === read && !droppedBy["not JSON"].example?.includes("(it starts with {");
  const remedy = isText
    ? 'Make JSON of the lines, as in {"text": "..."} for preftune sft, or give another file'
    : "Mend the rows, or give another file";
  return new DataError(`${what}. ${remedy}:\n${ledger}`);
}

async function collectSource<T>(
  source: OpenSource,
  index: number,
  most: number,
  { onBadRow, chat }: RowOptions,
  ledger: Ledger,
  use: (row: ReadRow) => T,
): Promise<T[]> {
  const used: T[] = [];
  for (const file of source.files) {
    if (used.length >= most) break;
    for await (const { raw, read } of shapedRows(file, source)) {
      ledger.noteRead(index);
      try {
        if ("problem" in raw) throw raw.problem;
        const { row, reading, shape } = read(raw.value, chat);
        ledger.noteShape(index, shape);
        used.push(withinStack(() => use({ row, reading, origin: raw.origin })));
        ledger.noteUsed(index);
      } catch (error) {
        if (!(error instanceof RowProblem)) throw error;
        const isBad = error.unreadable ? onBadRow !== "drop" : onBadRow === "error" && !error.unwanted;
        if (isBad) throw rowError(error, raw.origin);
        ledger.drop(index, error.reason, raw.origin, error.message);
      }
      if (used.length >= most) break;
    }
  }
  return used;
}

/** How many of a file's first rows tell its shape. */
const FIRST_ROWS = 8;

/** A file's rows, and how each of them is read: by the shape that the first have. */
async function* shapedRows(file: string, { format, columns, read: open }: OpenSource) {
  const rows = open(file);
  try {
    const first: RawValue[] = [];
    let next = await rows.next();
    for (; !next.done && first.length < FIRST_ROWS; next = await rows.next()) first.push(next.value);
    const named = (value: unknown) => withinStack(() => withColumns(value, columns));
    const values = first.flatMap((row) => ("value" in row ? [row.value] : []));
    const reader = new ShapeReader(format ?? detectShape(values, named)?.name, format !== undefined);
    const read = (value: unknown, chat: boolean | undefined) => {
      const row = named(value);
      const reading = withinStack(() => reader.read(row, { chat }));
      return { row, reading, shape: reader.shape!.name };
    };
    for (const raw of first) yield { raw, read };
    for (; !next.done; next = await rows.next()) yield { raw: next.value, read };
  } finally {
    // Whoever has enough rows lets go of the file.
    await rows.return(undefined);
  }
}

/** A value that is nested deeper than any text or message is no row. */
function withinStack<T>(use: () => T): T {
  try {
    return use();
  } catch (error) {
    if (!(error instanceof RangeError && /call stack/i.test(error.message))) throw error;
    throw new RowProblem("missing or wrong field", "a field's value is nested too deeply");
  }
}
