/**
 * What an objective knows of a whole optimizer step (objective.ts, StepContext), computed once a step and handed to each
 * micro-batch; and the state that goes from step to step.
 */

import type { TokenizedExample } from "../../data/example.ts";
import { longestSequence, scoredLengths, scoreInMicroBatches } from "../../data/microbatch.ts";
import type { Objective, StepContext, StepScores, StepValues } from "../../objectives/index.ts";
import type { CompletionScore } from "./engine.ts";
import { columnOf } from "./objective-inputs.ts";

type Sequence = Pick<TokenizedExample, "prompt" | "completions" | "scored">;

/** Scores completions without gradient, in order of the examples. */
export interface Scorers {
  policy(examples: readonly Sequence[]): Promise<readonly CompletionScore[]>;
  reference(examples: readonly Sequence[]): Promise<readonly CompletionScore[]>;
}

/** What is known of one step before the gradient of any of its examples. */
export class ContextValues {
  static readonly none = new ContextValues([], {}, []);
  /** Where each example's completions begin. */
  private readonly starts: readonly number[];

  constructor(
    private readonly counts: readonly number[],
    private readonly values: StepValues["values"],
    /** The state for the next step. */
    readonly state: readonly number[],
    private readonly ownReference?: readonly (readonly CompletionScore[])[] | undefined,
  ) {
    let start = 0;
    this.starts = counts.map((count) => {
      start += count;
      return start - count;
    });
  }

  /** The values for some of the step's examples, by their places in it. */
  of(examples: readonly number[]): StepValues["values"] {
    const pick = (list: readonly number[]) =>
      examples.flatMap((e) => list.slice(this.starts[e]!, this.starts[e]! + this.counts[e]!));
    const entries = Object.entries(this.values);
    return Object.fromEntries(entries.map(([name, value]) => [name, typeof value === "number" ? value : pick(value)]));
  }

  /** The reference's scores of their completions, where the context has had them computed: nobody needs to do it again. */
  reference(examples: readonly number[]): CompletionScore[] | undefined {
    return this.ownReference && examples.flatMap((e) => this.ownReference![e]!);
  }
}

interface ContextOptions {
  /** What the steps before have left. */
  readonly state: readonly number[];
  /** Tokens of one engine run. */
  readonly budget: number;
  /** The longest sequence that can be run. */
  readonly maxPositions?: number;
  /** Whether the examples are held out from training. */
  readonly heldOut?: boolean;
}

/** Computes what the objective must know of the examples of a step. */
export async function contextOf(
  objective: Objective,
  examples: readonly TokenizedExample[],
  scorers: Scorers,
  { state, budget, maxPositions, heldOut = false }: ContextOptions,
): Promise<ContextValues> {
  const { context } = objective;
  if (!context) return ContextValues.none;
  const { own, policy, reference } = await scoresFor(context, objective, examples, {
    policy: (sequences) => scoreInMicroBatches(sequences, budget, scorers.policy),
    reference: (sequences) => scoreInMicroBatches(sequences, budget, scorers.reference),
    maxPositions,
  });
  const counts = examples.map(({ completions }) => completions.length);
  const step: StepScores = {
    heldOut,
    policy: policy.map(({ logp }) => logp),
    reference: reference.map(({ logp }) => logp),
    tokens: { policy: policy.map(({ tokens }) => tokens), reference: reference.map(({ tokens }) => tokens) },
    lengths: examples.flatMap(scoredLengths),
    counts,
    columns: Object.fromEntries(
      Object.keys(objective.columns ?? {}).map((name) => [name, columnOf(examples, name)] as const),
    ),
  };
  const { values, state: next = state } = context.compute(step, state);
  return new ContextValues(counts, values, next, own);
}

/** The scores of each of some sequences, computed in the groups in which a step of the same examples has its micro-batches. */
type ScoreAll = (sequences: readonly Sequence[]) => Promise<readonly (readonly CompletionScore[])[]>;

interface ContextScores {
  /** The reference's scores of each example's own completions, where they were computed. */
  readonly own?: readonly (readonly CompletionScore[])[];
  /** Of what the context looks at. */
  readonly policy: readonly CompletionScore[];
  readonly reference: readonly CompletionScore[];
}

async function scoresFor(
  { scores }: StepContext,
  { needsReference }: Objective,
  examples: readonly TokenizedExample[],
  by: { policy: ScoreAll; reference: ScoreAll; maxPositions: number | undefined },
): Promise<ContextScores> {
  if (scores === "none") return { policy: [], reference: [] };
  if (scores === "own") {
    const policy = (await by.policy(examples)).flat();
    if (!needsReference) return { policy, reference: [] };
    const own = await by.reference(examples);
    return { own, policy, reference: own.flat() };
  }
  const others = mismatched(examples, by.maxPositions);
  const policy = (await by.policy(others.filter((other) => other !== undefined))).flat();
  if (!needsReference) return { policy, reference: [] };
  // The reference runs each prompt once for its own completions and the others.
  const both = await by.reference(examples.map((example, i) => withCompletionsOf(example, others[i])));
  const counts = examples.map(({ completions }) => completions.length);
  return {
    own: both.map((scores, i) => scores.slice(0, counts[i])),
    policy,
    reference: both.flatMap((scores, i) => scores.slice(counts[i])),
  };
}

/**
 * Each prompt with the completions of another example, as if they answered it: those of the example that stands `shift` places
 * further on, the first after the last, with the least shift at which no example meets its own prompt (data of pairs, unpaired, has
 * every prompt twice in a row). Where every shift has some that do, it is the first with the fewest, and these get nothing.
 * Completions are cut where prompt and completion are longer together than `most` tokens.
 */
export function mismatched(
  examples: readonly TokenizedExample[],
  most = Number.POSITIVE_INFINITY,
): (Sequence | undefined)[] {
  const prompts = numbered(examples.map(({ prompt }) => prompt.join()));
  const partner = (i: number, shift: number) => (i + shift) % examples.length;
  const meetings = (shift: number) => prompts.filter((id, i) => id === prompts[partner(i, shift)]).length;
  let best = { shift: 0, meetings: examples.length };
  for (let shift = 1; shift < examples.length && best.meetings > 0; shift++) {
    const count = meetings(shift);
    if (count < best.meetings) best = { shift, meetings: count };
  }
  return examples.map(({ prompt }, i) => {
    const j = partner(i, best.shift);
    if (prompts[i] === prompts[j]) return undefined;
    const { completions, scored } = examples[j]!;
    const cut = <Ids extends Int32Array | Uint8Array>(ids: Ids) => ids.subarray(0, most - prompt.length) as Ids;
    return { prompt, completions: completions.map(cut), ...(scored && { scored: scored.map(cut) }) };
  });
}

/** Equal texts as equal numbers. */
function numbered(texts: readonly string[]): number[] {
  const numbers = new Map<string, number>();
  return texts.map((text) => {
    const number = numbers.get(text) ?? numbers.size;
    numbers.set(text, number);
    return number;
  });
}

function withCompletionsOf(example: Sequence, other: Sequence | undefined): Sequence {
  if (!other) return example;
  const parts = [example, other];
  const { prompt } = example;
  const completions = parts.flatMap((part) => part.completions);
  if (parts.every(({ scored }) => scored === undefined)) return { prompt, completions };
  const flags = parts.flatMap(
    (part) => part.scored ?? part.completions.map((ids) => new Uint8Array(ids.length).fill(1)),
  );
  return { prompt, completions, scored: flags };
}

/**
 * Positions that the longest sequence of a run takes, of at most `most`: that of the examples, or of any prompt with any completion
 * where an objective scores them mismatched.
 */
export function positionsNeeded({ context }: Objective, examples: readonly TokenizedExample[], most: number): number {
  if (context?.scores !== "mismatched") return longestSequence(examples);
  const longest = (lengths: readonly number[]) => lengths.reduce((a, b) => Math.max(a, b), 0);
  const prompt = longest(examples.map((example) => example.prompt.length));
  const completion = longest(examples.flatMap(({ completions }) => completions.map((ids) => ids.length)));
  return Math.min(most, prompt + completion);
}
