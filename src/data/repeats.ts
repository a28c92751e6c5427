/** Rows that say again what another says, or the opposite, known by hashes of their words. */

import type { Content, Example } from "./example.ts";
import { hashOf, hashOfHashes } from "./hash.ts";

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
