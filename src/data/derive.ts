/**
 * What a method of training learns from, derived from what a row holds, in one place for all shapes of rows:
 *
 *             completions that were compared                 a labelled completion    a completion, conversation, text
 *   pairs     the best before the worst, or every pair       -                        -
 *   ranked    all in their order                             -                        -
 *   labelled  the best is desirable, the worst is not        as it is                 -
 *   texts     the best                                       if it is desirable       as it is
 */

import { type Context, withContext } from "./context.ts";
import type { Content, Example, RowOrigin, RowValues } from "./example.ts";
import { isEmpty, type Row, requiredField, sameContent } from "./fields.ts";
import { type MarginName, marginValue } from "./margin.ts";
import { RowProblem } from "./problem.ts";
import type { Compared, Reading } from "./shapes/shape.ts";
import { type TextOptions, textOf } from "./texts.ts";

/** What is learned from. */
export interface Needs {
  readonly rows: "pairs" | "ranked" | "labelled" | "texts";
  /** How strongly each pair prefers its chosen completion, under the name that an objective reads. */
  readonly margin?: MarginName | undefined;
}

/** Which pairs are made of more than two completions. */
export const pairings = ["best-worst", "all"] as const;

export interface DeriveOptions extends TextOptions {
  readonly pairs?: (typeof pairings)[number] | undefined;
}

/** What an example has besides where it came from and the tools of its row. */
type Derived = Omit<Example, "origin" | "tools">;

/** The examples that a row holds, one or several. Throws RowProblem for a row that can't be used so. */
export function examplesFrom(
  reading: Reading,
  row: Row,
  origin: RowOrigin,
  needs: Needs,
  options: DeriveOptions = {},
): Example[] {
  const { tools, ...given } = withContext(reading, row, options);
  return derived(given, row, needs, options).map((example) => ({ origin, ...example, ...(tools && { tools }) }));
}

/** The prompt alone that a row holds, to be answered. Throws RowProblem. */
export function promptFrom(reading: Reading, row: Row, options: DeriveOptions): Context & { readonly prompt: Content } {
  const { tools, ...given } = withContext(reading, row, options);
  return { prompt: promptOf(given, row), ...(tools && { tools }) };
}

function promptOf(given: Reading, row: Row): Content {
  if (given.kind === "text") return requiredField(row, "prompt") as Content;
  if (given.kind !== "conversation") return given.prompt;
  const asked = given.messages.findLastIndex(({ role }) => role !== "assistant");
  if (asked < 0) throw new RowProblem("empty prompt", "the conversation has nothing but what the assistant says");
  return given.messages.slice(0, asked + 1);
}

/** What a row without a completion would have to have. */
const missing = { pairs: "chosen", ranked: "ranked", labelled: "completion", texts: "completion" } as const;

function derived(given: Reading, row: Row, { rows, margin }: Needs, options: DeriveOptions): Derived[] {
  if (given.kind === "prompt") requiredField(row, missing[rows]);
  if (rows === "texts") return [textOf(given.kind === "compared" ? bestOf(given) : given, options)];
  if (given.kind === "compared") {
    if (rows === "pairs") return pairsOf(given, options.pairs).map((pair) => withMargin(pair, row, margin));
    return rows === "ranked" ? [rankingOf(given)] : labelledOf(given);
  }
  if (rows === "labelled" && given.kind === "answer") {
    const label = given.label ?? (requiredField(row, "label") as never);
    if (isEmpty(given.completion)) throw new RowProblem("empty completion", "the completion is empty");
    return [{ values: { label }, prompt: given.prompt, completions: [given.completion] }];
  }
  const wanted = rows === "labelled" ? "completions that are labelled or compared" : "completions that were compared";
  throw new RowProblem(
    "missing or wrong field",
    `the row holds ${describe(given)}, and what is learned from here are ${wanted}; ${learner(given)} learns from such rows`,
  );
}

function learner(given: Exclude<Reading, Compared>): string {
  return given.kind === "answer" && given.label !== undefined ? "preftune kto" : "preftune sft";
}

function describe(given: Exclude<Reading, Compared>): string {
  if (given.kind !== "answer") return `a ${given.kind}`;
  return given.label === undefined ? "one completion" : "one completion that is labelled";
}

interface Pair extends Derived {
  /** By how much the chosen completion was scored higher. */
  readonly difference?: number | undefined;
}

function pairsOf(compared: Compared, pairing: DeriveOptions["pairs"] = "best-worst"): Pair[] {
  const { prompt, completions, ranks, scores } = compared;
  const order = orderOf(compared);
  const every = order.flatMap((i) => order.filter((j) => ranks[i]! < ranks[j]!).map((j) => [i, j] as const));
  const chosen = pairing === "all" ? every : [[order[0]!, order.at(-1)!] as const];
  return chosen.map(([better, worse]) => {
    refuseEmpty(compared, [better, worse]);
    const pair = [completions[better]!, completions[worse]!] as const;
    if (sameContent(...pair)) throw new RowProblem("identical completions", "chosen and rejected are identical");
    return { prompt, completions: pair, difference: scores && scores[better]! - scores[worse]! };
  });
}

function withMargin({ difference, ...pair }: Pair, row: Row, name: MarginName | undefined): Derived {
  if (name === undefined) return pair;
  const values: RowValues = { [name]: marginValue(row, difference, name) };
  return { ...pair, values };
}

function rankingOf(compared: Compared): Derived {
  const { prompt, completions, ranks } = compared;
  const order = orderOf(compared);
  refuseEmpty(
    compared,
    order.toSorted((a, b) => a - b),
  );
  if (order.some((i, place) => order.slice(0, place).some((j) => sameContent(completions[i]!, completions[j]!)))) {
    throw new RowProblem("identical completions", "two completions are identical");
  }
  return { values: { rank: order.map((i) => ranks[i]!) }, prompt, completions: order.map((i) => completions[i]!) };
}

function labelledOf(compared: Compared): Derived[] {
  return pairsOf(compared).flatMap(({ prompt, completions }) =>
    completions.map((completion, i) => ({ values: { label: i === 0 ? 1 : 0 }, prompt, completions: [completion] })),
  );
}

/** The better of two, the best of several. */
function bestOf(compared: Compared) {
  const [{ prompt, completions }] = pairsOf(compared) as [Pair];
  return { kind: "answer", prompt, completion: completions[0]! } as const;
}

/** The completions' places from the best to the worst. Throws RowProblem where none is better than another. */
function orderOf({ ranks }: Compared): number[] {
  if (new Set(ranks).size < 2) {
    const reason = ranks.length < 2 ? "there are not two completions to compare" : "all completions are tied";
    throw new RowProblem("no preference", reason);
  }
  return ranks.map((_, i) => i).sort((a, b) => ranks[a]! - ranks[b]!);
}

function refuseEmpty({ completions, names }: Compared, indices: readonly number[]): void {
  const empty = indices.find((i) => isEmpty(completions[i]!));
  if (empty !== undefined) throw new RowProblem("empty completion", `${names[empty]} is empty`);
}
