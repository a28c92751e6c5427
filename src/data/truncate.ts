/**
 * What happens to an example that is longer than allowed, in tokens. The length of an example is its prompt and its longest
 * completion: a model never sees two completions in one row of positions.
 *
 * An example within `maxLength` is never touched. A longer one is shortened in this order:
 * 1. The prompt, by what the example is too long, but to no less than `maxPromptLength`. It is cut from the left, behind its
 *    fixed head (BOS and system turn); its fixed tail (the generation prompt) stays whole, with at least one token between.
 * 2. The completions, each to what the prompt leaves of `maxLength`. A cut completion loses its end token: it does not end there.
 * All completions keep the one prompt, and each keeps at least one token.
 */

import { ConfigError } from "../errors.ts";
import { RowProblem } from "./problem.ts";

export type Truncation = "shorten" | "drop" | "error";

export interface LengthLimits {
  /** Most tokens of prompt and one completion together. */
  readonly maxLength: number;
  /** The prompt is never cut below this; less than `maxLength`. */
  readonly maxPromptLength: number;
}

/** The most that a prompt keeps of a longer example where nothing else is said. */
const LONGEST_PROMPT = 512;

/** The limits where that of prompts may be left to that of whole examples. Throws ConfigError as `checkLimits`. */
export function limitsOf(given: {
  readonly maxLength: number;
  readonly maxPromptLength?: number | undefined;
}): LengthLimits {
  const { maxLength, maxPromptLength = Math.min(half(maxLength), LONGEST_PROMPT) } = given;
  checkLimits({ maxLength, maxPromptLength });
  return { maxLength, maxPromptLength };
}

/** The limits where a model has no more than `most` positions. Where these are fewer than asked for, a prompt keeps no more than half of them. */
export function limitsWithin(limits: LengthLimits, most: number): LengthLimits {
  if (limits.maxLength <= most) return limits;
  return { maxLength: most, maxPromptLength: Math.min(limits.maxPromptLength, half(most)) };
}

function half(length: number): number {
  return Math.max(1, Math.floor(length / 2));
}

/** Throws ConfigError for limits that leave no room for a prompt or for a completion. */
export function checkLimits({ maxLength, maxPromptLength }: LengthLimits): void {
  if (!(Number.isInteger(maxLength) && maxLength >= 2)) {
    throw new ConfigError(
      `--max-length ${maxLength} must be a whole number of at least 2 tokens: one of the prompt, one to score.`,
    );
  }
  if (!(Number.isInteger(maxPromptLength) && maxPromptLength >= 1)) {
    throw new ConfigError(`--max-prompt-length ${maxPromptLength} must be a whole number of at least 1 token.`);
  }
  if (maxPromptLength >= maxLength) {
    throw new ConfigError(
      `--max-prompt-length ${maxPromptLength} leaves a completion nothing of --max-length ${maxLength}. Give less, or leave it out for half of --max-length.`,
    );
  }
}

export interface Lengthy {
  readonly prompt: Int32Array;
  readonly completions: readonly Int32Array[];
  /** Tokens at the prompt's start and end that stay. */
  fixed(): { readonly head: number; readonly tail: number };
}

interface Fitted {
  readonly prompt: Int32Array;
  readonly completions: readonly Int32Array[];
  readonly promptCut: boolean;
  readonly completionsCut: boolean;
}

/** What makes an example too long, or undefined where it fits. */
export function tooLong(
  { prompt, completions }: Pick<Lengthy, "prompt" | "completions">,
  limits: LengthLimits,
): RowProblem | undefined {
  const longest = longestOf(completions);
  const length = prompt.length + longest;
  if (length <= limits.maxLength) return undefined;
  const sizes = `prompt ${prompt.length}, longest completion ${longest}, together ${length} of at most ${limits.maxLength} tokens`;
  return prompt.length > limits.maxPromptLength
    ? new RowProblem("prompt too long", `the prompt is too long: ${sizes}`)
    : new RowProblem("completion too long", `a completion is too long: ${sizes}`);
}

/** The example within its limits. Throws RowProblem when the prompt's fixed ends leave no room. */
export function shorten(example: Lengthy, limits: LengthLimits): Fitted {
  const { prompt, completions } = example;
  const excess = prompt.length + longestOf(completions) - limits.maxLength;
  if (excess <= 0) return { prompt, completions, promptCut: false, completionsCut: false };
  const shorter = cutPrompt(example, Math.max(limits.maxPromptLength, prompt.length - excess));
  const room = limits.maxLength - shorter.length;
  if (room < 1) {
    throw new RowProblem(
      "prompt too long",
      `the prompt can't be cut below ${shorter.length} tokens (its system turn and generation prompt stay), which leaves no room for a completion within ${limits.maxLength}`,
    );
  }
  return {
    prompt: shorter,
    completions: completions.map((completion) => (completion.length > room ? completion.slice(0, room) : completion)),
    promptCut: shorter.length < prompt.length,
    completionsCut: completions.some((completion) => completion.length > room),
  };
}

function cutPrompt({ prompt, fixed }: Lengthy, target: number): Int32Array {
  if (prompt.length <= target) return prompt;
  const { head, tail } = fixed();
  const length = Math.max(target, head + tail + 1);
  if (prompt.length <= length) return prompt;
  return Int32Array.from([...prompt.subarray(0, head), ...prompt.subarray(prompt.length - (length - head))]);
}

function longestOf(completions: readonly Int32Array[]): number {
  return Math.max(...completions.map((completion) => completion.length));
}
