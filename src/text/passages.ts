/**
 * Where the assistant's turns begin and end in a rendered conversation whose template does not mark them: a turn begins where the
 * conversation before it, rendered with the generation prompt, ends, and goes up to the last special token that the template
 * writes after it (white space behind that token belongs to what follows, as in boundary.ts). For that the template must write
 * every conversation as a beginning of the longer ones; one that writes an earlier turn differently once others follow (without
 * its thoughts, for instance) has no such places.
 */

import { ConversationError, type Message, type Passage, type Tools } from "./chat.ts";
import type { Tokenizer } from "./tokenizer.ts";

interface TurnOptions {
  readonly tools?: Tools | undefined;
  /** Messages before this one make one passage that nobody generates; default 0. */
  readonly from?: number;
}

/** The passages of a conversation. Throws ConversationError where no turns can be told apart. */
export function turnPassages(
  tokenizer: Tokenizer,
  messages: readonly Message[],
  { tools, from = 0 }: TurnOptions = {},
): Passage[] {
  const template = tokenizer.chat;
  const whole = template.render(messages, { addGenerationPrompt: false, tools });
  const passages: Passage[] = [];
  let at = 0;
  messages.forEach(({ role }, i) => {
    if (role !== "assistant" || i < from) return;
    const before = template.render(messages.slice(0, i), { addGenerationPrompt: true, tools });
    const after = template.render(messages.slice(0, i + 1), { addGenerationPrompt: false, tools });
    if (!after.startsWith(before)) throw new ConversationError(mismatch(before, after));
    const turn = upToEndToken(tokenizer, after.slice(before.length));
    const end = before.length + turn.length;
    if (before.length < at || !whole.startsWith(after.slice(0, end))) {
      throw new ConversationError(
        `the chat template writes turn ${i + 1} of the conversation differently once others follow it, so its tokens can't be found in the whole: ` +
          "give each answer as a row of its own, as prompt and completion",
      );
    }
    passages.push({ text: whole.slice(at, before.length), generated: false }, { text: turn, generated: true });
    at = end;
  });
  return passages.filter(({ text }) => text !== "");
}

/** A turn as it is rendered, up to and with its end token; all of it where none is written. */
function upToEndToken(tokenizer: Tokenizer, turn: string): string {
  let text = turn.trimEnd();
  const end = tokenizer.specialTokensIn(text).find((token) => text.endsWith(token));
  if (end === undefined) return turn;
  while (text.slice(0, -end.length).endsWith(end)) text = text.slice(0, -end.length);
  return text;
}

/** Why there is no boundary between a prompt and a conversation that does not begin with it. */
export function mismatch(prompt: string, whole: string): string {
  let at = 0;
  while (prompt[at] === whole[at]) at++;
  const show = (text: string) => JSON.stringify(text.slice(Math.max(0, at - 20), at + 30));
  return (
    "the chat template writes the prompt differently once the answer follows, so there is no boundary between them " +
    `(the prompt has ${show(prompt)}, the conversation ${show(whole)})`
  );
}
