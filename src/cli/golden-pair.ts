/**
 * The pair that docs/objectives.md shows every objective's value on: log pi(y_w|x) = -12, log pi(y_l|x) = -20,
 * log pi_ref(y_w|x) = -13.5, log pi_ref(y_l|x) = -18, in nats, with 6 and 5 tokens.
 */

import type { TokenizedExample } from "../data/example.ts";
import type { MethodName, Objective } from "../objectives/index.ts";
import { interpreter } from "../runtime/interpreter.ts";
import { ObjectiveEvaluator } from "../training/measurements/evaluate.ts";
import { contextOf, type Scorers } from "../training/step/context.ts";
import type { CompletionScore } from "../training/step/engine.ts";

const POLICY = [-12, -20] as const;
const REFERENCE = [-13.5, -18] as const;
const LENGTHS = [6, 5] as const;
/** A reward model gives the pair its log-ratios for rewards. */
const REWARDS = [1.5, -2] as const;
/** log pi - log pi_ref of a prompt with another's completion, where an objective asks for it. */
const MISMATCHED = 0.2;

const origin = { file: "the golden pair", line: 1 };
const completions = LENGTHS.map((length) => new Int32Array(length));
/** All that rows may carry: an objective reads the columns that it declares. */
const values = { label: 1, rank: [0, 1], preference: [1, -1], regularizes: [1, 0] };

/**
 * The objective's loss on the pair. An objective over single completions has one for each of them, as one step of two
 * examples; fine-tuning has no use for the rejected one.
 */
export async function lossesOnGoldenPair(objective: Objective, method: MethodName): Promise<number[]> {
  const examples = examplesOf(objective, method);
  const count = examples.flatMap((example) => example.completions).length;
  const logps = objective.scores === "reward" ? REWARDS : POLICY;
  const scores = (of: readonly number[]) =>
    of.slice(0, count).map((logp, i) => evenScore(logp, LENGTHS[i]!, objective));
  const [policy, reference] = [scores(logps), scores(REFERENCE)];
  const scorer = (own: readonly CompletionScore[], mismatched: number): Scorers["policy"] => {
    return async (group) =>
      group.every((sequence) => examples.includes(sequence as TokenizedExample))
        ? own
        : group.flatMap((sequence) =>
            sequence.completions.map(({ length }) => evenScore(mismatched, length, objective)),
          );
  };
  const context = await contextOf(
    objective,
    examples,
    { policy: scorer(policy, MISMATCHED), reference: scorer(reference, 0) },
    { state: objective.context?.initialState ?? [], budget: 1000 },
  );
  await using evaluator = await ObjectiveEvaluator.create(objective, interpreter);
  const known = context.of(examples.map((_, i) => i));
  const { losses } = await evaluator.evaluate(examples, policy, reference, known);
  return Array.from(losses);
}

/** The pair in the form that the objective's rows have it; single completions answer two prompts, so that they can be mismatched. */
function examplesOf({ roles }: Objective, method: MethodName): TokenizedExample[] {
  if (roles === "any" || roles.length === 2) {
    return [{ origin, values, prompt: Int32Array.of(1), completions }];
  }
  const single = completions.map((completion, i) => {
    return { origin, values: { ...values, label: 1 - i }, prompt: Int32Array.of(i), completions: [completion] };
  });
  return method === "sft" ? single.slice(0, 1) : single;
}

/** A log-probability spread evenly over the tokens; of the distributions nothing but that they are the reference's. */
function evenScore(logp: number, length: number, { rowStatistics = [] }: Objective): CompletionScore {
  const zeros = new Float32Array(length);
  return {
    logp,
    tokens: zeros.map(() => logp / length),
    statistics: Object.fromEntries(rowStatistics.map((name) => [name, zeros])),
  };
}
