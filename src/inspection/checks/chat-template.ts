/** Rows and the model's chat template: plain text for a model that has one, and turns that are marked in the text as well. */

import { type Check, Tally } from "../check.ts";

/** Marks of turns that data sets write into their texts. */
const TURN = /(?:^|\n)(?:Human|Assistant|User|### (?:Instruction|Response|Human|Assistant)):/;

export function chatTemplate(named: number): Check {
  const plain = new Tally(named);
  const marked = new Tally(named);
  let rows = 0;
  return {
    see({ origin, isConversation, prompt }) {
      rows++;
      if (!isConversation) plain.add(origin);
      else if (TURN.test(prompt)) marked.add(origin, TURN.exec(prompt)![0].trim());
    },
    findings: () => [
      ...plain.finding(
        {
          name: "plain text for a chat model",
          level: "warning",
          why: "The model has a chat template, but these rows are trained on as they stand: what is learned may not show in a chat, where turns are marked.",
          remedy:
            "--chat wraps prompts as the user's message and completions as the assistant's; HH's turns become messages.",
        },
        rows,
      ),
      ...marked.finding(
        {
          name: "turns marked in the text of a message",
          level: "warning",
          why: "The text says who speaks in words of its own, within a message that the model's template marks already: the model learns two ways of taking turns.",
          remedy: "Give conversations as lists of messages; leave out --chat to train on the text as it stands.",
        },
        rows,
      ),
    ],
  };
}
