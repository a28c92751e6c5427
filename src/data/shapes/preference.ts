/**
 * `prompt`, `chosen`, `rejected`, each a string or a list of messages; or `chosen` and `rejected` as whole conversations, the prompt
 * being the turns they share. UltraFeedback (binarized) is such a data set, whose prompt is a turn of both conversations.
 */

import type { Content, Message } from "../example.ts";
import { completionOf, contentField, type Row, sharedTurns } from "../fields.ts";
import { excerpt, RowProblem, wrongField } from "../problem.ts";
import type { Compared, Shape } from "./shape.ts";

export const preference: Shape = {
  name: "preference",
  summary: "prompt, chosen, rejected; or chosen and rejected as conversations that share their first turns",
  matches: (row) => row.chosen != null || row.rejected != null,
  read: (row) => pairOf(row.prompt == null ? undefined : contentField(row, "prompt"), row),
};

/** The pair in a row's `chosen` and `rejected`, after a prompt or with the one that they share. Throws RowProblem. */
function pairOf(prompt: Content | undefined, row: Row): Compared {
  const chosen = contentField(row, "chosen");
  const rejected = contentField(row, "rejected");
  if (typeof chosen !== typeof rejected) {
    throw new RowProblem(
      "missing or wrong field",
      "the fields `chosen` and `rejected` are of different kinds: give both as strings or both as lists of messages",
    );
  }
  return chosenBefore(splitPair(prompt, chosen, rejected, row));
}

type Pair = Pick<Compared, "prompt" | "completions">;

/** A pair, the chosen completion first. */
export function chosenBefore({ prompt, completions }: Pair): Compared {
  const names = ["the chosen completion", "the rejected completion"];
  return { kind: "compared", prompt, completions, ranks: [1, 2], names };
}

function splitPair(prompt: Content | undefined, chosen: Content, rejected: Content, row: Row): Pair {
  if (prompt === undefined) {
    if (typeof chosen !== "string") return splitConversations(chosen, rejected as readonly Message[]);
    throw new RowProblem(
      "no common prompt",
      "prompt" in row
        ? "the field `prompt` is null, and `chosen` and `rejected` are texts, which share no turns"
        : `the row has no \`prompt\` (it has ${excerpt(Object.keys(row).join(", "), 120)}): if another column is, name it, as in --columns prompt=question`,
    );
  }
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
export function splitConversations(chosen: readonly Message[], rejected: readonly Message[]): Pair {
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
