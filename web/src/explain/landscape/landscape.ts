/**
 * What the figure of the loss landscape draws: any objective of the registry that pairs of log-probabilities are enough
 * for, as a function of what has become of the chosen and of the rejected completion.
 */

import { z } from "zod";
import {
  completionInputs,
  type Objective,
  type ObjectiveDefinition,
  objectivesOf,
} from "../../../../src/objectives/index.ts";
import { constant, programInputs } from "../../../../src/tensor/index.ts";
import { type Evaluated, PairEvaluator, readsPairsAlone } from "../../shared/objective.ts";

export type OptionValue = number | boolean | string;
export type Settings = Readonly<Record<string, OptionValue>>;

/** An option of an objective as something to set. */
export interface Option {
  readonly name: string;
  readonly description: string;
  readonly kind: "number" | "boolean" | "choice";
  readonly fallback: OptionValue;
  readonly min: number;
  readonly max: number;
  readonly logarithmic: boolean;
  readonly choices: readonly string[];
}

export interface Choice {
  /** What the page's address calls it. */
  readonly id: string;
  readonly definition: ObjectiveDefinition;
  readonly options: readonly Option[];
  /** What its axes are: log-ratios to a reference, log-probabilities from where they began, or rewards. */
  readonly axes: "log-ratio" | "change" | "reward";
  /** The file that defines it. */
  readonly source: string;
}

/** Options that read more than a pair's log-probabilities and lengths, or that another option here must be set for. */
const NOT_OF_A_PAIR = [
  "referenceFree",
  "ldAlpha",
  "wpo",
  "offsetAlpha",
  "offsetScale",
  "fAlpha",
  "marginWeight",
  "rewardShift",
];

/** A completion of few tokens: short enough for losses a token to have their valley within the plane. */
export const TOKENS = 4;

/** Where training is taken to begin, in nats: the rejected completion is the likelier one, as it often is. */
const BEGINNING = { chosen: -24, rejected: -22 } as const;
/** A reward model's rewards begin at 0. */
const NO_REWARD = { chosen: 0, rejected: 0 } as const;

/** What an axis reaches at most, in nats: log-probabilities stay below 0. */
export const FURTHEST = 20;

export const choices: readonly Choice[] = (["dpo", "orpo", "simpo", "cpo", "reward"] as const)
  .flatMap((method) => objectivesOf(method))
  .map((definition) => ({ definition, objective: ofOnePair(definition.create(), { chosen: 1, rejected: 1 }) }))
  .filter(({ objective }) => readsPairsAlone(objective))
  .map(({ definition, objective }) => ({
    id: [...new Set([definition.method, definition.name])].filter((part) => part !== "dpo").join("-"),
    definition,
    options: optionsOf(definition),
    axes: objective.scores === "reward" ? "reward" : objective.needsReference ? "log-ratio" : "change",
    source: `src/objectives/${fileOf(definition)}.ts`,
  }));

/** Files are named after their objectives, but for DPO's own loss and what has several in one file. */
function fileOf({ method, name }: ObjectiveDefinition): string {
  if (method === "dpo" && name === "sigmoid") return "dpo";
  if (name === "sft") return "chosen-likelihood";
  return method === "cpo" ? "cpo" : name.replaceAll("_", "-");
}

interface Schema {
  readonly type?: "number" | "boolean" | "string";
  readonly description?: string;
  readonly default: OptionValue;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly exclusiveMaximum?: number;
  readonly enum?: readonly string[];
}

function optionsOf({ options }: ObjectiveDefinition): Option[] {
  const { properties = {} } = z.toJSONSchema(z.object(options), { io: "input" });
  return Object.entries(properties as unknown as Readonly<Record<string, Schema>>)
    .filter(([name]) => !NOT_OF_A_PAIR.includes(name))
    .map(([name, schema]) => ({
      name,
      description: schema.description ?? "",
      kind: schema.enum ? "choice" : schema.type === "boolean" ? "boolean" : "number",
      fallback: schema.default,
      ...rangeOf(schema),
      choices: schema.enum ?? [],
    }));
}

/** A decade and a half about the default where an option is above 0, else from what it must at least be. */
function rangeOf({ default: fallback, minimum, exclusiveMinimum, maximum, exclusiveMaximum }: Schema) {
  const size = typeof fallback === "number" ? Math.abs(fallback) : 0;
  const most = maximum ?? (exclusiveMaximum === undefined ? Number.POSITIVE_INFINITY : 0.98 * exclusiveMaximum);
  if (exclusiveMinimum === 0) {
    return { min: size / 10 ** 1.5, max: Math.min(most, size * 10 ** 1.5), logarithmic: true };
  }
  const max = Math.min(most, Math.max(1, 4 * size));
  return { min: minimum ?? -max, max, logarithmic: false };
}

/** The objective where a pair is the whole optimizer step: what it asks to know of the step is known then. */
function ofOnePair(objective: Objective, tokens: { readonly chosen: number; readonly rejected: number }): Objective {
  const { context, ...own } = objective;
  if (context?.scores !== "none" || context.initialState) return objective;
  const lengths = [tokens.chosen, tokens.rejected];
  const { values } = context.compute(
    { policy: [], reference: [], tokens: { policy: [], reference: [] }, lengths, counts: [2], columns: {} },
    [],
  );
  if (Object.values(context.values).includes("completion")) return objective;
  const step = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, constant(value as number)]));
  return { ...own, build: (completions) => objective.build({ ...completions, step }) };
}

export interface Landscape {
  readonly objective: Objective;
  /** Whether the numbers of tokens matter. */
  readonly readsLengths: boolean;
  /** Where the axes are 0: log-probabilities, or rewards. */
  readonly beginning: { readonly chosen: number; readonly rejected: number };
  /** The objective where the chosen and the rejected completion have moved so far, in nats. */
  at(chosen: ArrayLike<number>, rejected: ArrayLike<number>): Promise<Evaluated>;
}

export async function landscapeOf(
  { definition }: Choice,
  settings: Settings,
  tokens: { readonly chosen: number; readonly rejected: number },
): Promise<Landscape> {
  const objective = ofOnePair(definition.create(settings), tokens);
  const evaluator = await PairEvaluator.create(objective);
  const { losses } = objective.build(completionInputs(objective));
  const beginning = objective.scores === "reward" ? NO_REWARD : BEGINNING;
  const all = (values: ArrayLike<number>, value: number) => new Float64Array(values.length).fill(value);
  const moved = (by: ArrayLike<number>, from: number) => Float64Array.from(by, (x) => from + x);
  return {
    objective,
    readsLengths: programInputs({ outputs: { losses } }).has("lengths"),
    beginning,
    at: (chosen, rejected) =>
      evaluator.evaluate({
        policyChosen: moved(chosen, beginning.chosen),
        policyRejected: moved(rejected, beginning.rejected),
        referenceChosen: all(chosen, beginning.chosen),
        referenceRejected: all(rejected, beginning.rejected),
        lengths: { chosen: all(chosen, tokens.chosen), rejected: all(rejected, tokens.rejected) },
      }),
  };
}
