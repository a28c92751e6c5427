/**
 * What an objective knows of a whole optimizer step (objective.ts, StepContext), computed once a step and handed to each
 * micro-batch; and the state that goes from step to step.
 */

import type { TokenizedExample } from "../data/example.ts";
import { packedLength, planMicroBatches, scoredLengths } from "../data/microbatch.ts";
import type { Objective, StepContext, StepScores, StepValues } from "../objectives/index.ts";
import type { CompletionScore } from "./engine.ts";
import { columnOf } from "./objective-inputs.ts";

type Sequence = Pick<TokenizedExample, "prompt" | "completions" | "scored">;

/** Scores completions without gradient, in order of the examples. */
export interface Scorers {
  policy(examples: readonly Sequence[]): Promise<readonly CompletionScore[]>;
  reference(examples: readonly Sequence[]): Promise<readonly CompletionScore[]>;
}

/** The values of one step's context. */
export class ContextValues {
  static readonly none = new ContextValues([], {}, []);
  /** Where each example's completions begin. */
  private readonly starts: readonly number[];

  constructor(
    private readonly counts: readonly number[],
    private readonly values: StepValues["values"],
    /** The state for the next step. */
    readonly state: readonly number[],
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
}

/** Computes what the objective must know of the examples of a step, with the state that the steps before have left. */
export async function contextOf(
  objective: Objective,
  examples: readonly TokenizedExample[],
  scorers: Scorers,
  { state, budget }: { state: readonly number[]; budget: number },
): Promise<ContextValues> {
  const { context } = objective;
  if (!context) return ContextValues.none;
  const scores = await scoresFor(context, objective, examples, scorers, budget);
  const counts = examples.map(({ completions }) => completions.length);
  const step: StepScores = {
    ...scores,
    lengths: examples.flatMap(scoredLengths),
    counts,
    columns: Object.fromEntries(
      Object.keys(objective.columns ?? {}).map((name) => [name, columnOf(examples, name)] as const),
    ),
  };
  const { values, state: next = state } = context.compute(step, state);
  return new ContextValues(counts, values, next);
}

async function scoresFor(
  context: StepContext,
  objective: Objective,
  examples: readonly TokenizedExample[],
  scorers: Scorers,
  budget: number,
): Promise<Pick<StepScores, "policy" | "reference" | "tokens">> {
  if (context.scores === "none") return { policy: [], reference: [], tokens: { policy: [], reference: [] } };
  const sequences = context.scores === "own" ? examples : mismatched(examples);
  const policy: CompletionScore[][] = [];
  const reference: CompletionScore[][] = [];
  for (const indices of planMicroBatches(sequences.map(packedLength), budget)) {
    const group = indices.map((i) => sequences[i]!);
    place(policy, indices, group, await scorers.policy(group));
    if (objective.needsReference) place(reference, indices, group, await scorers.reference(group));
  }
  const logps = (scores: CompletionScore[][]) => scores.flat().map(({ logp }) => logp);
  const tokens = (scores: CompletionScore[][]) => scores.flat().map((score) => score.tokens);
  return {
    policy: logps(policy),
    reference: logps(reference),
    tokens: { policy: tokens(policy), reference: tokens(reference) },
  };
}

function place(
  into: CompletionScore[][],
  indices: readonly number[],
  group: readonly Sequence[],
  scores: readonly CompletionScore[],
): void {
  let start = 0;
  group.forEach(({ completions }, i) => {
    into[indices[i]!] = scores.slice(start, start + completions.length);
    start += completions.length;
  });
}

/**
 * Every prompt with the completions of the next example that has another prompt (the first comes after the last). Nothing
 * where all prompts are the same.
 */
export function mismatched(examples: readonly TokenizedExample[]): Sequence[] {
  const prompts = examples.map(({ prompt }) => prompt.join());
  return examples.flatMap(({ prompt }, i) => {
    const shift = examples.findIndex((_, k) => prompts[(i + k) % examples.length] !== prompts[i]);
    if (shift < 0) return [];
    const { completions, scored } = examples[(i + shift) % examples.length]!;
    return [{ prompt, completions, scored }];
  });
}
