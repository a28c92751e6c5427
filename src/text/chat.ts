/**
 * Conversations to text through a model's own chat template (Jinja), as transformers' `apply_chat_template` renders it:
 * `messages`, `add_generation_prompt`, the names of the special tokens that exist, `raise_exception` and `strftime_now`.
 */

import { Template } from "@huggingface/jinja";
import { CheckpointError, DataError } from "../errors.ts";

export interface Message {
  readonly role: string;
  readonly content: string;
}

/** Text as it stands, or a conversation that goes through the model's chat template. */
export type Content = string | readonly Message[];

/** A conversation that the chat template refuses, or writes in a way that leaves no boundary between prompt and completion. */
export class ConversationError extends DataError {}

export class ChatTemplate {
  private readonly template: Template;
  private readonly tokens: Record<string, string>;

  /** Throws CheckpointError when the template is not Jinja that can be parsed. */
  constructor(source: string, tokens: { bos?: string | undefined; eos?: string | undefined }) {
    try {
      this.template = new Template(source);
    } catch (error) {
      throw new CheckpointError(`The model's chat template can't be parsed: ${(error as Error).message}`, {
        cause: error,
      });
    }
    // A token that the model lacks stays undefined: the template then writes nothing for it.
    this.tokens = {
      ...(tokens.bos === undefined ? {} : { bos_token: tokens.bos }),
      ...(tokens.eos === undefined ? {} : { eos_token: tokens.eos }),
    };
  }

  /** The conversation's text; with `addGenerationPrompt` it ends where the assistant begins to speak. Throws ConversationError. */
  render(messages: readonly Message[], options: { addGenerationPrompt: boolean }): string {
    try {
      return this.template.render({
        ...this.tokens,
        messages: messages.map(({ role, content }) => ({ role, content })),
        add_generation_prompt: options.addGenerationPrompt,
      });
    } catch (error) {
      throw new ConversationError(`the chat template refuses this conversation: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }
}
