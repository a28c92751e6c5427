/**
 * A person's question and answers to it, where a data set has the bare texts. With `--chat` they are messages; without it they are
 * put as HH's raw text has them and as the official DPO code puts Stack Exchange and SHP, since a question and an answer written
 * one behind the other would be one text:
 *
 *   prompt "\n\nHuman: " question "\n\nAssistant:"    completion " " answer
 */

import type { Content } from "../example.ts";
import type { ReadOptions } from "./shape.ts";

export const humanMark = "\n\nHuman:";
export const assistantMark = "\n\nAssistant:";

export function exchange(
  question: string,
  answers: readonly string[],
  { chat }: ReadOptions,
): { readonly prompt: Content; readonly completions: readonly Content[] } {
  if (chat) return { prompt: question, completions: answers };
  return {
    prompt: `${humanMark} ${question}${assistantMark}`,
    // An answer that is empty stays so.
    completions: answers.map((answer) => (answer === "" ? "" : ` ${answer}`)),
  };
}
