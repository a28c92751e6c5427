/** Several objectives over the same completions as one: the weighted sum of their losses. */

import { add, mul, type Tensor } from "../tensor/index.ts";
import type { Objective, ScoredCompletions, StepContext, StepScores } from "./objective.ts";

/**
 * The sum over objectives of weight times loss; each loss is also a metric, `loss/NAME`. Their roles and scores must be the same.
 * Each objective sees of the step what its own context says, and nothing of the others'.
 */
export function combine(objectives: readonly Objective[], weights: readonly number[]): Objective {
  const [first, ...others] = objectives;
  if (others.length === 0 && weights[0] === 1) return first!;
  const context = combinedContext(objectives);
  return {
    name: objectives.map(({ name }) => name).join("+"),
    roles: first!.roles,
    ...(first!.scores && { scores: first!.scores }),
    needsReference: objectives.some(({ needsReference }) => needsReference),
    columns: Object.assign({}, ...objectives.map(({ columns }) => columns)),
    ...(context && { context }),
    rowStatistics: [...new Set(objectives.flatMap(({ rowStatistics = [] }) => rowStatistics))],
    build(completions) {
      const parts = objectives.map((objective) =>
        objective.build({ ...completions, step: ownOf(completions.step, objective) }),
      );
      const losses = parts.map((part, i) => mul(weights[i]!, part.losses)).reduce((a, b) => add(a, b));
      const each = parts.map((part, i) => [`loss/${objectives[i]!.name}`, part.losses] as const);
      const metrics: Record<string, Tensor> = Object.assign({}, ...parts.map((part) => part.metrics));
      return { losses, metrics: { ...metrics, ...Object.fromEntries(each) } };
    },
  };
}

function ownOf(step: ScoredCompletions["step"], { context }: Objective): ScoredCompletions["step"] {
  return Object.fromEntries(Object.entries(step).filter(([name]) => name in (context?.values ?? {})));
}

/** Contexts side by side: each keeps its own values and its own part of the state. Names are the objectives' own, so they must differ. */
function combinedContext(objectives: readonly Objective[]): StepContext | undefined {
  const contexts = objectives.flatMap(({ context }) => context ?? []);
  if (contexts.length < 2) return contexts[0];
  const kinds = new Set(contexts.map(({ scores }) => scores).filter((scores) => scores !== "none"));
  if (kinds.size > 1) throw new Error("objectives whose contexts score different completions can't be combined");
  const names = contexts.flatMap(({ values }) => Object.keys(values));
  if (new Set(names).size < names.length)
    throw new Error(`two objectives call a value of their context the same: ${names}`);
  return {
    values: Object.assign({}, ...contexts.map(({ values }) => values)),
    scores: [...kinds][0] ?? "none",
    initialState: contexts.flatMap(({ initialState = [] }) => initialState),
    compute(step: StepScores, state) {
      let start = 0;
      const parts = contexts.map((context) => {
        const end = start + (context.initialState?.length ?? 0);
        const part = context.compute(step, state.slice(start, end));
        start = end;
        return part;
      });
      return {
        values: Object.assign({}, ...parts.map(({ values }) => values)),
        state: parts.flatMap(({ state: next = [] }) => next),
      };
    },
  };
}
