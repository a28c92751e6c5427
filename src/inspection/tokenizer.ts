/** What a model's tokenizer does to a text and to a conversation. */

import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import { promptIds } from "../text/boundary.ts";
import { ConversationError, type Message } from "../text/chat.ts";
import { type Tokenizer, tokenizerFromFiles } from "../text/tokenizer.ts";

export interface TokenizerFacts {
  readonly vocabulary: number;
  /** Tokens by their text; null where the tokenizer has none. */
  readonly bos: string | null;
  readonly eos: string | null;
  readonly pad: string | null;
  /** What stands before every plain text. */
  readonly before: string;
  readonly special: number;
  /** Null without a chat template. */
  readonly chat: ChatFacts | null;
}

interface ChatFacts {
  /** The conversation that was written. */
  readonly messages: readonly Message[];
  /** As the template writes it before the assistant's answer; what it objects to where it refuses. */
  readonly text: string;
  readonly tokens: number;
  /** How many of them are the messages' own words. */
  readonly words: number;
}

const sample: readonly Message[] = [
  { role: "user", content: "What is the capital of France?" },
  { role: "assistant", content: "Paris." },
  { role: "user", content: "And of Italy?" },
];

export function tokenizerFacts({ tokenizer: files }: Pick<Checkpoint, "tokenizer">): TokenizerFacts {
  const tokenizer = tokenizerFromFiles(files);
  const textOf = (id: number | undefined) => (id === undefined ? null : tokenizer.decode([id]));
  const { pad_token: pad } = files.config;
  const padText = typeof pad === "object" && pad !== null && "content" in pad ? pad.content : pad;
  return {
    vocabulary: tokenizer.vocabSize,
    bos: textOf(tokenizer.bosId),
    eos: textOf(tokenizer.eosId),
    pad: typeof padText === "string" ? padText : null,
    before: tokenizer.decode(tokenizer.leadingIds),
    special: tokenizer.specialIds.size,
    chat: tokenizer.hasChatTemplate ? chatFacts(tokenizer) : null,
  };
}

function chatFacts(tokenizer: Tokenizer): ChatFacts {
  const words = sample.reduce((n, { content }) => n + tokenizer.encode(content, { addSpecialTokens: false }).length, 0);
  try {
    const text = tokenizer.chat.render(sample, { addGenerationPrompt: true });
    return { messages: sample, text, tokens: promptIds(tokenizer, sample).length, words };
  } catch (error) {
    if (!(error instanceof ConversationError)) throw error;
    return { messages: sample, text: error.message, tokens: 0, words };
  }
}
