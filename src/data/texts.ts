/**
 * The shapes that rows for supervised fine-tuning come in, from a parsed row to an Example of one completion:
 * - `prompt`, `completion`, each a string or a list of messages;
 * - `messages` or `conversations`, a conversation (messages with `role` and `content`, or ShareGPT's `from` and `value`);
 * - `text`, a string;
 * - a preference pair (preferences.ts) or a ranking (ranked.ts) in any of its shapes: its chosen or its best completion.
 * A row with `label: false` (labelled.ts) is not to be learned.
 * Which of its tokens are scored is `score`, see there. Functions throw RowProblem.
 */

import type { Content, Example, Message, RowOrigin } from "./example.ts";
import { answersTo, asContent, asRow, contentField, isEmpty, requiredField, wrongField } from "./fields.ts";
import { preferenceExample } from "./preferences.ts";
import { RowProblem } from "./problem.ts";
import { rankedExample, rankingFields } from "./ranked.ts";

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

/** The text, conversation or completion that a parsed row holds. Throws RowProblem. */
export function textExample(value: unknown, origin: RowOrigin, { score, chat = false }: TextOptions = {}): Example {
  const row = asRow(value);
  if (row.label === false)
    throw new RowProblem("not desirable", "the row is labelled false, so it is not to be learned");
  if (row.prompt != null && row.completion != null)
    return answerExample(answer(row), origin, score ?? "completion", chat);
  if (row.chosen != null)
    return answerExample(best(preferenceExample(row, origin)), origin, score ?? "completion", chat);
  if (rankingFields.some((name) => row[name] != null)) {
    return answerExample(best(rankedExample(row, origin)), origin, score ?? "completion", chat);
  }
  const field = ["messages", "conversations"].find((name) => row[name] != null);
  if (field !== undefined) return conversationExample(conversation(row, field), origin, score ?? "assistant");
  const missing = row.prompt != null ? "completion" : row.completion != null ? "prompt" : "text";
  return plainExample(row.text ?? requiredField(row, missing), origin, score ?? "all");
}

interface Answer {
  readonly prompt: Content;
  readonly completion: Content;
}

function answer(row: Record<string, unknown>): Answer {
  const given = contentField(row, "completion");
  const { prompt, completions } = answersTo(contentField(row, "prompt"), [given], ["completion"]);
  return { prompt, completion: completions[0]! };
}

/** The first of several completions is the one that is preferred. */
function best({ prompt, completions }: Example): Answer {
  return { prompt, completion: completions[0]! };
}

function answerExample({ prompt, completion }: Answer, origin: RowOrigin, score: Score, chat: boolean): Example {
  if (isEmpty(completion)) throw new RowProblem("empty completion", "the completion is empty");
  if (score === "completion") return { origin, prompt, completions: [completion] };
  if (typeof prompt === "string" && !chat) {
    if (score === "all") return { origin, prompt: "", completions: [`${prompt}${completion}`], scored: "all" };
    throw new RowProblem(
      "missing or wrong field",
      "the row is plain text, in which no message is the assistant's: give messages, or --chat, or another --score",
    );
  }
  const messages = [...asMessages(prompt, "user"), ...asMessages(completion, "assistant")];
  return conversationExample(messages, origin, score);
}

function asMessages(content: Content, role: string): readonly Message[] {
  return typeof content === "string" ? [{ role, content }] : content;
}

function conversationExample(messages: readonly Message[], origin: RowOrigin, score: Score): Example {
  if (score === "completion") {
    const prompt = messages.slice(0, -1);
    const completion = messages.slice(-1);
    if (completion[0]?.role !== "assistant" || prompt.length === 0) {
      throw new RowProblem("no answer", "the conversation does not end with the assistant's answer to something");
    }
    return answerExample({ prompt, completion }, origin, score, false);
  }
  if (score === "assistant") {
    const answers = messages.filter(({ role }) => role === "assistant");
    if (answers.length === 0) throw new RowProblem("no answer", "no message of the conversation is the assistant's");
    if (answers.some(({ content }) => content === "")) {
      throw new RowProblem("empty completion", "a message of the assistant's is empty");
    }
  }
  if (isEmpty(messages)) throw new RowProblem("empty completion", "the conversation is empty");
  return { origin, prompt: [], completions: [messages], scored: score };
}

function plainExample(text: unknown, origin: RowOrigin, score: Score): Example {
  if (typeof text !== "string") throw wrongField("text", "is not a string");
  if (text === "") throw new RowProblem("empty completion", "the text is empty");
  if (score === "all") return { origin, prompt: "", completions: [text], scored: "all" };
  throw new RowProblem(
    "missing or wrong field",
    `the row is one text, all of which is learned: --score ${score} needs rows with ${score === "completion" ? "a prompt and a completion" : "messages"}`,
  );
}

/** ShareGPT's names for what everybody calls role and content. */
const shareGptRoles: Readonly<Record<string, string>> = { human: "user", gpt: "assistant" };

function conversation(row: Record<string, unknown>, field: string): readonly Message[] {
  const value = row[field];
  const list = Array.isArray(value) ? value.map(fromShareGpt) : value;
  const messages = asContent(list, field);
  if (typeof messages === "string") throw wrongField(field, "is a string, not a list of messages");
  return messages;
}

function fromShareGpt(message: unknown): unknown {
  if (typeof message !== "object" || message === null || !("from" in message) || !("value" in message)) return message;
  const { from, value } = message;
  return { role: typeof from === "string" ? (shareGptRoles[from] ?? from) : from, content: value };
}
