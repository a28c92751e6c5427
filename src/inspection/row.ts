/** A row as the checks see it: its texts, and what became of it in tokens. */

import type { Example, RowOrigin } from "../data/example.ts";
import { signatureOf } from "../data/min-hash.ts";
import type { Cause } from "../data/problem.ts";
import { hashesOf, type TextHashes, wordsOf } from "../data/repeats.ts";
import type { VisitedExample } from "../data/tokenize.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

export interface InspectedRow {
  readonly origin: RowOrigin;
  readonly example: Example;
  readonly hashes: TextHashes;
  readonly prompt: string;
  readonly completions: readonly InspectedCompletion[];
  /** Tokens of the prompt, before anything is cut. */
  readonly promptTokens: number;
  readonly cut: readonly Cause[];
  /** Whether the prompt goes through the model's chat template. */
  readonly isConversation: boolean;
  /** The MinHash of all its texts; undefined where they are too short. */
  signature(): Int32Array | undefined;
}

interface InspectedCompletion {
  readonly role: Role;
  readonly text: string;
  /** Tokens before anything is cut, the end token among them. */
  readonly tokens: number;
  /** Tokens that are left of them. */
  readonly kept: number;
  /** Whether the tokens that are learned from end with an end token. */
  readonly ends: boolean;
}

/** What a completion is to its row. */
export type Role = "chosen" | "rejected" | "desirable" | "undesirable" | "best" | "other" | "text" | "completion";

export function inspectedRow(
  { example, text, tokenized, cut }: VisitedExample,
  tokenizer: Tokenizer,
  chat: boolean,
): InspectedRow {
  const roles = rolesOf(example);
  const prompt = wordsOf(example.prompt);
  const texts = example.completions.map(wordsOf);
  let signature: Int32Array | undefined;
  return {
    origin: example.origin,
    example,
    hashes: hashesOf(example),
    prompt,
    completions: texts.map((own, i) => ({
      role: roles[i]!,
      text: own,
      tokens: text.completions[i]!.length,
      kept: tokenized.completions[i]!.length,
      ends: isEnd(tokenized.completions[i]!.at(-1)!, tokenizer),
    })),
    promptTokens: text.prompt.length,
    cut,
    isConversation: chat || [example.prompt, ...example.completions].some((content) => typeof content !== "string"),
    signature: () => {
      signature ??= signatureOf([prompt, ...texts].join("\n"));
      return signature;
    },
  };
}

export function rolesOf({ completions, values, scored }: Pick<Example, "completions" | "values" | "scored">): Role[] {
  if (scored !== undefined) return ["text"];
  if (values?.label !== undefined) return [values.label === 1 ? "desirable" : "undesirable"];
  const ranks = values?.rank;
  if (typeof ranks === "object") return ranks.map((rank) => (rank === ranks[0] ? "best" : "other"));
  if (completions.length === 2) return ["chosen", "rejected"];
  return completions.map(() => "completion");
}

/** The pair's two completions, where the row is a pair. */
export function pairOf({ completions }: InspectedRow): readonly [InspectedCompletion, InspectedCompletion] | undefined {
  const [chosen, rejected] = completions;
  return chosen?.role === "chosen" && rejected ? [chosen, rejected] : undefined;
}

function isEnd(id: number, tokenizer: Tokenizer): boolean {
  return id === tokenizer.eosId || tokenizer.specialIds.has(id);
}
