/**
 * Rows for supervised fine-tuning: an Example of one completion from a prompt and its completion, a conversation, or a text. Which
 * of its tokens are scored is `score`, see there. Functions throw RowProblem.
 */

import type { Content, Example, Message } from "./example.ts";
import { isEmpty } from "./fields.ts";
import { RowProblem } from "./problem.ts";
import type { Answer, Compared, Reading } from "./shapes/shape.ts";

/**
 * Which tokens of a row are learned: its completion's (of a conversation its last message's), all of them, or those of every
 * message of the assistant's. If not given, the completion where a row has one, the assistant's messages of a conversation,
 * all of a text.
 */
export const scores = ["completion", "all", "assistant"] as const;
export type Score = (typeof scores)[number];

export interface TextOptions {
  readonly score?: Score | undefined;
  /** Takes a prompt in plain text for a user's message, and its completion for the assistant's. */
  readonly chat?: boolean | undefined;
}

type Text = Omit<Example, "origin" | "tools">;

/** The text, conversation or completion to be learned. Throws RowProblem. */
export function textOf(given: Exclude<Reading, Compared>, { score, chat = false }: TextOptions = {}): Text {
  switch (given.kind) {
    case "answer":
      if (given.label === 0)
        throw new RowProblem("not desirable", "the row is labelled false, so it is not to be learned");
      return answerText(given, score ?? "completion", chat);
    case "conversation":
      return conversationText(given.messages, score ?? "assistant");
    case "text":
      return plainText(given.text, score ?? "all");
    case "prompt":
      throw new RowProblem("no answer", "the row is a prompt without a completion");
  }
}

function answerText({ prompt, completion }: Pick<Answer, "prompt" | "completion">, score: Score, chat: boolean): Text {
  if (isEmpty(completion)) throw new RowProblem("empty completion", "the completion is empty");
  if (score === "completion") return { prompt, completions: [completion] };
  if (typeof prompt === "string" && !chat) {
    if (score === "all") return { prompt: "", completions: [`${prompt}${completion}`], scored: "all" };
    throw new RowProblem(
      "missing or wrong field",
      "the row is plain text, in which no message is the assistant's: give messages, or --chat, or another --score",
    );
  }
  const messages = [...asMessages(prompt, "user"), ...asMessages(completion, "assistant")];
  return conversationText(messages, score);
}

function asMessages(content: Content, role: string): readonly Message[] {
  return typeof content === "string" ? [{ role, content }] : content;
}

function conversationText(messages: readonly Message[], score: Score): Text {
  if (score === "completion") {
    const prompt = messages.slice(0, -1);
    const completion = messages.slice(-1);
    if (completion[0]?.role !== "assistant" || prompt.length === 0) {
      throw new RowProblem("no answer", "the conversation does not end with the assistant's answer to something");
    }
    return answerText({ prompt, completion }, score, false);
  }
  if (score === "assistant") {
    const answers = messages.filter(({ role }) => role === "assistant");
    if (answers.length === 0) throw new RowProblem("no answer", "no message of the conversation is the assistant's");
    if (answers.some((message) => isEmpty([message]))) {
      throw new RowProblem("empty completion", "a message of the assistant's is empty");
    }
  }
  if (isEmpty(messages)) throw new RowProblem("empty completion", "the conversation is empty");
  return { prompt: [], completions: [messages], scored: score };
}

function plainText(text: string, score: Score): Text {
  if (text === "") throw new RowProblem("empty completion", "the text is empty");
  if (score === "all") return { prompt: "", completions: [text], scored: "all" };
  throw new RowProblem(
    "missing or wrong field",
    `the row is one text, all of which is learned: --score ${score} needs rows with ${score === "completion" ? "a prompt and a completion" : "messages"}`,
  );
}
