/**
 * The shapes that preference rows come in, one function a shape, from a parsed row to an Example:
 * - `prompt`, `chosen`, `rejected`, each a string or a list of messages;
 * - `chosen`, `rejected` as whole conversations (lists of messages), the prompt being the turns they share;
 * - `chosen`, `rejected` as HH's raw text with `\n\nHuman:` and `\n\nAssistant:` turns, the prompt being their common beginning up to
 *   and with its last `\n\nAssistant:` (as the official DPO code has it: the answer keeps its leading space).
 * A prompt is cut where a turn begins, never within one. Functions throw RowProblem for rows that can't be read or used.
 */

import type { Content, Example, Message, RowOrigin } from "./example.ts";
import { asRow, completionOf, contentField, isEmpty, sameContent, sharedTurns, wrongField } from "./fields.ts";
import { excerpt, RowProblem } from "./problem.ts";

const assistantMark = "\n\nAssistant:";

/** The preference pair that a parsed row holds, chosen first. Throws RowProblem. */
export function preferenceExample(value: unknown, origin: RowOrigin): Example {
  const row = asRow(value);
  const chosen = contentField(row, "chosen");
  const rejected = contentField(row, "rejected");
  if (typeof chosen !== typeof rejected) {
    throw new RowProblem(
      "missing or wrong field",
      "the fields `chosen` and `rejected` are of different kinds: give both as strings or both as lists of messages",
    );
  }
  const pair = { origin, ...splitPair(row, chosen, rejected) };
  const [first, second] = pair.completions as readonly [Content, Content];
  if (isEmpty(first)) throw new RowProblem("empty completion", "the chosen completion is empty");
  if (isEmpty(second)) throw new RowProblem("empty completion", "the rejected completion is empty");
  if (sameContent(first, second)) throw new RowProblem("identical completions", "chosen and rejected are identical");
  return pair;
}

/** The prompt alone of a row: its `prompt`, or the one that `chosen` and `rejected` imply. Throws RowProblem. */
export function promptExample(value: unknown, origin: RowOrigin): Example {
  const row = asRow(value);
  if (row.prompt == null && row.chosen != null) return { ...preferenceExample(value, origin), completions: [] };
  return { origin, prompt: contentField(row, "prompt"), completions: [] };
}

type Pair = Pick<Example, "prompt" | "completions">;

function splitPair(row: Record<string, unknown>, chosen: Content, rejected: Content): Pair {
  if (row.prompt == null) {
    return typeof chosen === "string"
      ? splitRawText(chosen, rejected as string, Object.keys(row))
      : splitConversations(chosen, rejected as readonly Message[]);
  }
  const prompt = contentField(row, "prompt");
  if (typeof prompt === "string" && typeof chosen !== "string") {
    return answerTo(prompt, chosen, rejected as readonly Message[]);
  }
  return { prompt, completions: [completionOf(prompt, chosen, "chosen"), completionOf(prompt, rejected, "rejected")] };
}

/** A string prompt beside message lists: the lists are the answers to it, or whole conversations in which it is a turn. */
function answerTo(prompt: string, chosen: readonly Message[], rejected: readonly Message[]): Pair {
  if (chosen[0]?.role === "assistant" && rejected[0]?.role === "assistant") {
    return { prompt: [{ role: "user", content: prompt }], completions: [chosen, rejected] };
  }
  const pair = splitConversations(chosen, rejected);
  const isTurn = (message: Message) => message.content.trim() === prompt.trim();
  if (!(pair.prompt as readonly Message[]).some(isTurn)) {
    throw wrongField(
      "prompt",
      "is not a turn of the conversations in `chosen` and `rejected`: give the answers alone, or leave out `prompt`",
    );
  }
  return pair;
}

/** Two conversations share their first turns; both go on with an answer of the assistant's. */
function splitConversations(chosen: readonly Message[], rejected: readonly Message[]): Pair {
  if (chosen.length === 0 || rejected.length === 0) {
    throw new RowProblem("empty completion", `\`${chosen.length === 0 ? "chosen" : "rejected"}\` has no messages`);
  }
  let turns = sharedTurns(chosen, rejected);
  if (turns === chosen.length && turns === rejected.length) {
    throw new RowProblem("identical completions", "chosen and rejected are identical");
  }
  const answers = (at: number) => chosen[at]?.role === "assistant" && rejected[at]?.role === "assistant";
  while (turns > 0 && !answers(turns)) turns--;
  if (turns === 0) {
    throw new RowProblem("no common prompt", "chosen and rejected share no turn before an answer of the assistant's");
  }
  return { prompt: chosen.slice(0, turns), completions: [chosen.slice(turns), rejected.slice(turns)] };
}

/** HH's raw text. */
function splitRawText(chosen: string, rejected: string, fields: readonly string[]): Pair {
  if (chosen === rejected) throw new RowProblem("identical completions", "chosen and rejected are identical");
  let shared = 0;
  while (shared < chosen.length && chosen[shared] === rejected[shared]) shared++;
  const mark = chosen.slice(0, shared).lastIndexOf(assistantMark);
  if (mark < 0) {
    throw new RowProblem(
      "no common prompt",
      `the row has no \`prompt\` (it has ${excerpt(fields.join(", "), 120)}), and chosen and rejected share no beginning that ends with an \`Assistant:\` turn`,
    );
  }
  const end = mark + assistantMark.length;
  return { prompt: chosen.slice(0, end), completions: [chosen.slice(end), rejected.slice(end)] };
}
