/** What an objective reads besides the policy's log-probabilities, as the inputs of a program on one group of examples. */

import type { TokenizedExample } from "../../data/example.ts";
import { scoredLengths } from "../../data/microbatch.ts";
import type { Objective, StepValues } from "../../objectives/index.ts";
import { columnInput, stepInput } from "../../objectives/index.ts";
import type { Value } from "../../runtime/runtime.ts";
import type { CompletionScore } from "./engine.ts";

/** The group's rows, its reference (none: zeros), and the values of the step's context, those of completions in the group's order. */
export function objectiveInputs(
  objective: Objective,
  group: readonly Pick<TokenizedExample, "completions" | "scored" | "values">[],
  reference: readonly CompletionScore[] | undefined,
  context: StepValues["values"],
): Record<string, Value> {
  const lengths = group.flatMap(scoredLengths);
  const tokens = lengths.reduce((a, b) => a + b, 0);
  return {
    reference: vector(reference ? reference.map(({ logp }) => logp) : new Array<number>(lengths.length).fill(0)),
    lengths: vector(lengths),
    owners: owners(group),
    referenceTokens: vector(
      reference ? reference.flatMap((score) => Array.from(score.tokens)) : new Float32Array(tokens),
    ),
    tokenIndex: vector(lengths.flatMap((length) => Array.from({ length }, (_, i) => i))),
    ...Object.fromEntries(
      Object.keys(objective.columns ?? {}).map((name) => [columnInput(name), vector(columnOf(group, name).flat())]),
    ),
    ...Object.fromEntries(
      Object.keys(objective.context?.values ?? {}).map((name) => {
        const value = context[name]!;
        return [stepInput(name), typeof value === "number" ? scalar(value) : vector(value)];
      }),
    ),
  };
}

/** One column's values of a group: a number an example, or a list of a number a completion. */
export function columnOf(
  group: readonly Pick<TokenizedExample, "values">[],
  name: string,
): (number | readonly number[])[] {
  return group.map(({ values }) => {
    const value = values?.[name];
    if (value === undefined) throw new Error(`the objective reads "${name}", which an example does not carry`);
    return value;
  });
}

/** 1 where a completion is an example's [E, C]. */
function owners(group: readonly Pick<TokenizedExample, "completions">[]): Value {
  const count = group.reduce((n, { completions }) => n + completions.length, 0);
  const data = new Float32Array(group.length * count);
  let start = 0;
  group.forEach(({ completions }, example) => {
    data.fill(1, example * count + start, example * count + start + completions.length);
    start += completions.length;
  });
  return { dims: [group.length, count], data };
}

export function vector(values: ArrayLike<number>): Value {
  return { dims: [values.length], data: Float32Array.from(values) };
}

function scalar(value: number): Value {
  return { dims: [], data: Float32Array.of(value) };
}
