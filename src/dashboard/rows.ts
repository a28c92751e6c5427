/** The texts of a run, a page at a time: samples, held-out rows, suspects. Lines that are not of their kind are left out. */

import { join } from "node:path";
import type { Suspect } from "../diagnostics/suspects.ts";
import { isObject, openFile } from "./files.ts";
import { type Entry, jsonLines, LineIndex, readEntries } from "./json-lines.ts";
import type {
  AnswerTokens,
  EvalCompletion,
  EvalRow,
  EvalRowPage,
  EvalRowSort,
  Sample,
  SamplePage,
  SuspectPage,
} from "./protocol.ts";
import { finite } from "./summary.ts";

interface Page {
  readonly offset: number;
  readonly limit: number;
}

interface RunTexts {
  readonly path: string;
  readonly config: Readonly<Record<string, unknown>>;
}

interface EvalKey {
  readonly step: number;
  readonly file: string;
  readonly line: number;
  readonly loss: number;
  readonly margin: number | undefined;
}

export class RowReader {
  private readonly samplesOf = new LineIndex(({ step, prompt }) =>
    typeof prompt === "string" && finite(step) !== undefined ? { step: step as number, prompt } : undefined,
  );
  private readonly evalRowsOf = new LineIndex<EvalKey>((line) => asEvalRow(line) && keyOf(line));
  private readonly suspectsOf = new LineIndex((line) => asSuspect(line) && {});

  /** Samples of one prompt, or of all. */
  async samples(
    { path, config }: RunTexts,
    page: Page & { readonly prompt?: number | undefined },
  ): Promise<SamplePage> {
    const file = join(path, "samples.jsonl");
    const entries = await this.samplesOf.entries(file);
    const prompts = [...new Set(entries.map(({ prompt }) => prompt))];
    const asked = page.prompt === undefined ? undefined : (prompts[page.prompt] ?? null);
    const fitting = asked === undefined ? entries : entries.filter(({ prompt }) => prompt === asked);
    const lines = await readEntries(file, pageOf(fitting, page));
    return {
      prompts,
      steps: [...new Set(entries.map(({ step }) => step))],
      beta: finite(config.beta),
      total: fitting.length,
      offset: page.offset,
      samples: lines.map((line) => asSample(line, prompts)),
    };
  }

  /** Rows of the last evaluation. `search` is looked for in prompts and completions, whatever its case. */
  async evalRows(
    { path, config }: RunTexts,
    page: Page & { readonly sort: EvalRowSort; readonly search: string },
  ): Promise<EvalRowPage> {
    const file = join(path, "eval-rows.jsonl");
    const entries = await this.evalRowsOf.entries(file);
    const fitting = page.search === "" ? entries : await entriesWith(file, entries, page.search);
    const sorted = fitting.toSorted(ORDERS[page.sort]);
    const ranked = entries.filter(({ margin }) => margin !== undefined);
    return {
      step: entries[0]?.step,
      beta: finite(config.beta),
      total: fitting.length,
      right: ranked.filter(({ margin }) => margin! > 0).length,
      ranked: ranked.length,
      offset: page.offset,
      rows: (await readEntries(file, pageOf(sorted, page))).flatMap((line) => asEvalRow(line) ?? []),
    };
  }

  async suspects({ path }: Pick<RunTexts, "path">, page: Page): Promise<SuspectPage> {
    const file = join(path, "suspects.jsonl");
    const entries = await this.suspectsOf.entries(file);
    const rows = await readEntries(file, pageOf(entries, page));
    return { total: entries.length, offset: page.offset, rows: rows.flatMap((line) => asSuspect(line) ?? []) };
  }
}

function pageOf<T>(entries: readonly T[], { offset, limit }: Page): readonly T[] {
  return entries.slice(offset, offset + limit);
}

/** How right a row is: its margin, or the less the greater its loss. */
const rightness = ({ margin, loss }: EvalKey) => margin ?? -loss;

const ORDERS: Readonly<Record<EvalRowSort, (a: EvalKey, b: EvalKey) => number>> = {
  wrong: (a, b) => rightness(a) - rightness(b),
  right: (a, b) => rightness(b) - rightness(a),
  loss: (a, b) => b.loss - a.loss,
  file: (a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : a.line - b.line),
};

async function entriesWith(
  path: string,
  entries: readonly Entry<EvalKey>[],
  search: string,
): Promise<readonly Entry<EvalKey>[]> {
  await using file = await openFile(path);
  if (file === undefined) return [];
  const wanted = search.toLowerCase();
  const found = new Set<number>();
  for await (const { value, start } of jsonLines(file)) {
    const row = asEvalRow(value);
    const texts = row === undefined ? [] : [row.prompt, ...row.completions.map(({ text }) => text)];
    if (texts.some((text) => text.toLowerCase().includes(wanted))) found.add(start);
  }
  return entries.filter(({ start }) => found.has(start));
}

function keyOf({ step, file, line, loss, margin }: Record<string, unknown>): EvalKey {
  const numbers = { step: finite(step) ?? 0, line: finite(line) ?? 0, loss: finite(loss) ?? 0 };
  return { ...numbers, file: typeof file === "string" ? file : "", margin: finite(margin) };
}

function asEvalRow(line: Record<string, unknown>): EvalRow | undefined {
  const { prompt, completions, unit } = line;
  if (typeof prompt !== "string" || !Array.isArray(completions)) return undefined;
  return {
    ...keyOf(line),
    ...asUnit(unit),
    prompt,
    completions: completions.filter(isObject).map(asCompletion),
  };
}

function asCompletion({ role, text, logp, reference_logp, reward, tokens }: Record<string, unknown>): EvalCompletion {
  return {
    role: textOf(role),
    text: textOf(text),
    logp: finite(logp),
    reference_logp: finite(reference_logp),
    reward: finite(reward),
    tokens: asTokens(tokens),
  };
}

function asSample(line: Record<string, unknown>, prompts: readonly string[]): Sample {
  return {
    step: finite(line.step) ?? 0,
    prompt: prompts.indexOf(textOf(line.prompt)),
    reference: textOf(line.reference),
    policy: textOf(line.policy),
    reference_tokens: asTokens(line.reference_tokens),
    policy_tokens: asTokens(line.policy_tokens),
    reference_step: finite(line.reference_step),
  };
}

function asSuspect(value: Record<string, unknown>): Suspect | undefined {
  const { file, unit, line, seen, mean_weight, last_step, last_margin } = value;
  const numbers = { line, seen, mean_weight, last_step, last_margin };
  if (typeof file !== "string" || !Object.values(numbers).every(Number.isFinite)) return undefined;
  return { file, ...asUnit(unit), ...(numbers as Omit<Suspect, "file" | "unit">) };
}

/** What a line number counts where it is not lines. */
function asUnit(unit: unknown): Pick<Suspect, "unit"> {
  return unit === "element" || unit === "row" ? { unit } : {};
}

/** Tokens with a number for each, as they are drawn one by one. */
function asTokens(value: unknown): AnswerTokens | undefined {
  if (!isObject(value)) return undefined;
  const { text, policy, reference } = value;
  const fits = (list: unknown): list is number[] =>
    Array.isArray(list) && Array.isArray(text) && list.length === text.length;
  if (!fits(text) || !fits(policy)) return undefined;
  return { text: text.map(textOf), policy, ...(fits(reference) && { reference }) };
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
