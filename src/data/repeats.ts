/**
 * Rows that say again what another says, or the opposite, known by hashes of their words; and which of them a load leaves out:
 * - `duplicates`: rows that are an earlier one to the letter. The first stays.
 * - `opposites`: pairs that are preferred both ways round, answers that are labelled desirable and not. None of them stays, for
 *   nothing says which is right.
 * - `leaks`: held-out rows that are among those to train on, but for letter case, spaces and the order of completions.
 */

import { ConfigError } from "../errors.ts";
import { type Content, describeOrigin, type Example, type RowOrigin } from "./example.ts";
import { hashOf, hashOfHashes } from "./hash.ts";
import { RowProblem } from "./problem.ts";

export const repeats = ["duplicates", "opposites", "leaks"] as const;
type Repeat = (typeof repeats)[number];

/** All words of a text or of a list of messages. */
export function wordsOf(content: Content): string {
  return typeof content === "string" ? content : content.map((message) => message.content).join("\n\n");
}

/** Hashes of a row's texts to the letter. */
export interface TextHashes {
  readonly prompt: number;
  readonly completions: readonly number[];
}

export function hashesOf({ prompt, completions }: Pick<Example, "prompt" | "completions">): TextHashes {
  const exactly = (content: Content) => hashOf(typeof content === "string" ? content : JSON.stringify(content));
  return { prompt: exactly(prompt), completions: completions.map(exactly) };
}

/** The same for rows that are the same to the letter. */
export function exactKey({ values }: Pick<Example, "values">, { prompt, completions }: TextHashes): number {
  return hashOfHashes([prompt, ...completions, ...[values?.label ?? [], values?.rank ?? []].flat()]);
}

/** What a row says, and what the row would say that says the opposite; undefined where there is no opposite. */
export function opposingKeys({ prompt, completions, values }: Pick<Example, "prompt" | "completions" | "values">) {
  const label = values?.label;
  if (completions.length === 2 && values?.rank === undefined) {
    const [asked, chosen, rejected] = [prompt, ...completions].map(trimmed) as [number, number, number];
    return { own: hashOfHashes([asked, chosen, rejected]), opposite: hashOfHashes([asked, rejected, chosen]) };
  }
  if (completions.length !== 1 || typeof label !== "number") return undefined;
  const said = [prompt, ...completions].map(trimmed);
  return { own: hashOfHashes([...said, label]), opposite: hashOfHashes([...said, 1 - label]) };
}

function trimmed(content: Content): number {
  if (typeof content === "string") return hashOf(content.trim());
  return hashOf(JSON.stringify(content.map((message) => ({ ...message, content: message.content.trim() }))));
}

/** The same for rows that differ in letter case, spaces or the order of their completions. */
export function looseKey({ prompt, completions }: Pick<Example, "prompt" | "completions">): number {
  return hashOf(plain(prompt), ...completions.map(plain).sort());
}

/** A text without what letter case and spaces make different. */
export function plain(content: Content): string {
  return wordsOf(content).toLowerCase().replace(/\s+/g, " ").trim();
}

/** Rows to train on by their `looseKey`, each with its first place. */
export type KnownRows = ReadonlyMap<number, RowOrigin>;

export interface RepeatOptions {
  /** Which rows are left out; none by default. */
  readonly drop?: readonly Repeat[] | undefined;
  /** Rows to train on, where those that are loaded are held out. */
  readonly trainedOn?: KnownRows | undefined;
}

/** Throws ConfigError where leaks into nothing are to be left out. */
export function refuseDropWithoutUse(drop: readonly Repeat[] | undefined, evalData: unknown): void {
  if (evalData !== undefined || !drop?.includes("leaks")) return;
  throw new ConfigError(
    "--drop leaks leaves rows out of --eval-data, and there is none. Give held-out rows, or leave it out.",
  );
}

/** Leaves rows out as they come by. */
export class RepeatFilter {
  /** The rows that passed, for held-out rows to be held against; none unless leaks are dropped. */
  readonly known: KnownRows;
  private readonly options: RepeatOptions;
  private readonly contradicted: ReadonlySet<number>;
  private readonly exact = new Map<number, RowOrigin>();
  private readonly loose = new Map<number, RowOrigin>();

  /** `contradicted` are the `opposingKeys` of rows whose opposite is there too. */
  constructor(options: RepeatOptions, contradicted: ReadonlySet<number>) {
    this.options = options;
    this.contradicted = contradicted;
    this.known = this.loose;
  }

  /** Throws RowProblem for a row of which these are the examples and which is to be left out. */
  check(examples: readonly Example[], origin: RowOrigin): void {
    const { drop = [], trainedOn } = this.options;
    if (drop.includes("duplicates")) this.refuseDuplicate(examples, origin);
    if (examples.some((example) => this.contradicted.has(opposingKeys(example)?.own ?? Number.NaN))) {
      throw new RowProblem("opposite preference", "another row says the opposite");
    }
    if (!drop.includes("leaks")) return;
    const key = hashOfHashes(examples.map(looseKey));
    const trained = trainedOn?.get(key);
    if (trained) throw new RowProblem("trained on", `is ${describeOrigin(trained)}, which is trained on`);
    if (!this.loose.has(key)) this.loose.set(key, origin);
  }

  private refuseDuplicate(examples: readonly Example[], origin: RowOrigin): void {
    const key = hashOfHashes(examples.map((example) => exactKey(example, hashesOf(example))));
    const earlier = this.exact.get(key);
    if (earlier) throw new RowProblem("duplicate", `the same as ${describeOrigin(earlier)}`);
    this.exact.set(key, origin);
  }
}

/** The `opposingKeys` of those among examples whose opposite is among them too. */
export async function contradictions(examples: AsyncIterable<Example>): Promise<ReadonlySet<number>> {
  const said = new Set<number>();
  const contradicted = new Set<number>();
  for await (const example of examples) {
    const keys = opposingKeys(example);
    if (keys === undefined) continue;
    said.add(keys.own);
    if (said.has(keys.opposite)) contradicted.add(keys.own).add(keys.opposite);
  }
  return contradicted;
}
