/**
 * Conversations to text through a model's own chat template (Jinja), as transformers' `apply_chat_template` renders it:
 * `messages`, `tools`, `add_generation_prompt`, the names of the special tokens that exist, `raise_exception` and `strftime_now`.
 */

import { CheckpointError, DataError } from "../errors.ts";
import { BoundedTemplate } from "./bounded-template.ts";

/** A turn of a conversation, its fields named as chat templates read them. */
export interface Message {
  readonly role: string;
  readonly content: string;
  /** The functions that the assistant calls. */
  readonly tool_calls?: readonly ToolCall[];
  /** Of a message that is a tool's result: the call that it answers, and the tool. */
  readonly tool_call_id?: string;
  readonly name?: string;
}

export interface ToolCall {
  readonly id?: string;
  readonly type: "function";
  /** Arguments are an object, or text where they are none. */
  readonly function: { readonly name: string; readonly arguments: unknown };
}

/** Descriptions of functions that the assistant may call, as JSON schemas, the way a chat template writes them. */
export type Tools = readonly Readonly<Record<string, unknown>>[];

interface RenderOptions {
  /** End where the assistant begins to speak. */
  readonly addGenerationPrompt: boolean;
  readonly tools?: Tools | undefined;
}

/** Text as it stands, or a conversation that goes through the model's chat template. */
export type Content = string | readonly Message[];

/** A conversation that the chat template refuses, or writes in a way that leaves no boundary between prompt and completion. */
export class ConversationError extends DataError {}

/** A part of a rendered conversation, and whether it is what the assistant generates. */
export interface Passage {
  readonly text: string;
  readonly generated: boolean;
}

/** Stand around what the assistant generates. Unicode keeps these two for a program's own use: they are no characters of a text. */
const MARKS = { begin: "\ufdd0", end: "\ufdd1" } as const;

/** A name that no template has of its own. */
const PROBE = "probe_of_tools";
const QUESTION: Message = { role: "user", content: "?" };

export class ChatTemplate {
  private readonly template: BoundedTemplate;
  /** The template with its `{% generation %}` blocks as marks in the text; absent where it has none. */
  private readonly marked: BoundedTemplate | undefined;
  private readonly tokens: Record<string, string>;
  private toolsWritten: boolean | undefined;
  private callsWritten: boolean | undefined;

  /** Throws CheckpointError, which names the file `from`, when the template is not Jinja that can be parsed. */
  constructor(source: string, tokens: { bos?: string | undefined; eos?: string | undefined }, from?: string) {
    try {
      this.template = new BoundedTemplate(source);
      const marked = markGeneration(source);
      this.marked = marked === source ? undefined : new BoundedTemplate(marked);
    } catch (error) {
      const which = from === undefined ? "The model's chat template" : `${from}: the chat template`;
      throw new CheckpointError(`${which} can't be parsed: ${(error as Error).message}`, { cause: error });
    }
    // A token that the model lacks stays undefined: the template then writes nothing for it.
    this.tokens = {
      ...(tokens.bos === undefined ? {} : { bos_token: tokens.bos }),
      ...(tokens.eos === undefined ? {} : { eos_token: tokens.eos }),
    };
  }

  /** Whether it writes the tools that an assistant may call. */
  get writesTools(): boolean {
    this.toolsWritten ??= this.isWritten(
      [QUESTION],
      [
        {
          type: "function",
          function: { name: PROBE, description: PROBE, parameters: { type: "object", properties: {} } },
        },
      ],
    );
    return this.toolsWritten;
  }

  /** Whether it writes what an assistant calls. */
  get writesCalls(): boolean {
    const call = { id: "call00001", type: "function", function: { name: PROBE, arguments: { a: 1 } } } as const;
    this.callsWritten ??= this.isWritten([QUESTION, { role: "assistant", content: "", tool_calls: [call] }]);
    return this.callsWritten;
  }

  /** A template that refuses the probe may write others. */
  private isWritten(messages: readonly Message[], tools?: Tools): boolean {
    try {
      return this.render(messages, { addGenerationPrompt: false, tools }).includes(PROBE);
    } catch {
      return true;
    }
  }

  /** The conversation's text. Throws ConversationError. */
  render(messages: readonly Message[], options: RenderOptions): string {
    return this.renderBy(this.template, messages, options);
  }

  /**
   * The conversation's text in the passages that the template's own `{% generation %}` blocks make of it, as transformers'
   * `return_assistant_tokens_mask` has them; undefined for a template without such blocks. Throws ConversationError.
   */
  generationPassages(messages: readonly Message[], tools?: Tools): Passage[] | undefined {
    if (this.marked === undefined) return undefined;
    const text = this.renderBy(this.marked, messages, { addGenerationPrompt: false, tools });
    const passages = text.split(MARKS.begin).flatMap((part, i) => {
      if (i === 0) return [{ text: part, generated: false }];
      const end = part.indexOf(MARKS.end);
      return [
        { text: part.slice(0, end), generated: true },
        { text: part.slice(end + 1), generated: false },
      ];
    });
    const plain = this.render(messages, { addGenerationPrompt: false, tools });
    if (passages.map((passage) => passage.text).join("") === plain) return passages.filter(({ text }) => text !== "");
    throw new ConversationError(
      "the chat template's {% generation %} blocks can't be followed: they overlap, or the text depends on what is in them",
    );
  }

  private renderBy(
    template: BoundedTemplate,
    messages: readonly Message[],
    { addGenerationPrompt, tools }: RenderOptions,
  ): string {
    try {
      return template.render({
        ...this.tokens,
        messages: messages.map((message) => ({ ...message })),
        ...(tools && { tools }),
        add_generation_prompt: addGenerationPrompt,
      });
    } catch (error) {
      throw new ConversationError(`the chat template refuses this conversation: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }
}

/** Puts marks into the text where the template's `{% generation %}` and `{% endgeneration %}` stand, with their control of white space. */
function markGeneration(source: string): string {
  return source.replace(
    /\{%(-?)\s*(end)?generation\s*(-?)%\}/g,
    (_, left: string, end: string | undefined, right: string) =>
      `{%${left} if true %}{{ '${end ? MARKS.end : MARKS.begin}' }}{% endif ${right}%}`,
  );
}
