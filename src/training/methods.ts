/**
 * The methods of training, one a command: what each learns from, its objectives and their options, its defaults. All of
 * them are runs of the same loop.
 */

import { z } from "zod";
import { type Needs, pairings } from "../data/derive.ts";
import { limitsOf } from "../data/truncate.ts";
import { ConfigError } from "../errors.ts";
import {
  combine,
  type MethodName,
  type Objective,
  type ObjectiveDefinition,
  type ObjectiveOptions,
  objectivesOf,
} from "../objectives/index.ts";
import { parseSettings } from "../parse-settings.ts";
import { type FlatConfig, type TrainingConfig, trainingShape } from "./config.ts";
import { type MovingReferenceSettings, movingReferenceSettings } from "./policy/moving-reference.ts";
import { regularizationSettings } from "./step/regularization.ts";
import { sftFirstSettings, supervisedLearningRate, supervisedSettings } from "./supervised.ts";

export interface Method {
  readonly name: MethodName;
  /** What it does, in a line. */
  readonly summary: string;
  /** What is usual for each kind of tuning: an adapter bears, and needs, far larger steps than the weights themselves. */
  readonly learningRate: Readonly<Record<"lora" | "full", number>>;
  readonly objectives: readonly ObjectiveDefinition[];
  /** Settings besides those of all runs and those of its objectives. */
  readonly settings?: z.ZodRawShape;
  /** All of its settings as a user may give them. */
  readonly schema: z.ZodObject;
}

function method(description: Omit<Method, "objectives" | "schema">): Method {
  const objectives = objectivesOf(description.name);
  const names = objectives.map(({ name }) => name) as [string, ...string[]];
  const loss = z.union([z.string().transform(commaSeparated), z.array(z.string())]).pipe(z.array(z.enum(names)).min(1));
  const weights = z
    .union([z.string().transform((text) => commaSeparated(text).map(Number)), z.array(z.number())])
    .pipe(z.array(z.number().min(0)).min(1));
  const choice = {
    loss: loss.default([names[0]]).describe(`the objective: ${names.join(", ")}; several with commas are added up`),
    lossWeights: weights.optional().describe("the weight of each of several objectives; 1 each if not given"),
  };
  const { lora, full } = description.learningRate;
  const usual = `${lora.toExponential()} for LoRA and ${full.toExponential()} for full tuning`;
  const learningRate = trainingShape.learningRate.describe(`peak learning rate; ${usual} if not given`);
  const schema = z.strictObject({
    ...trainingShape,
    learningRate,
    ...choice,
    ...optionShape(objectives),
    ...description.settings,
  });
  return { ...description, objectives, schema };
}

function commaSeparated(text: string): string[] {
  return text.split(",").map((part) => part.trim());
}

/** The options of all objectives together. Where their defaults differ, the description says so and the schema has none. */
function optionShape(objectives: readonly ObjectiveDefinition[]): z.ZodRawShape {
  const names = new Set(objectives.flatMap(({ options }) => Object.keys(options)));
  return Object.fromEntries(
    [...names].map((name) => {
      const having = objectives.filter(({ options }) => name in options);
      const types = having.map(({ options }) => options[name] as z.ZodType);
      const defaults = new Set(types.map((type) => type.safeParse(undefined).data));
      return [
        name,
        defaults.size === 1 ? types[0]! : z.optional(withoutDefault(types[0]!)).describe(differing(having, name)),
      ];
    }),
  );
}

function withoutDefault(type: z.ZodType): z.ZodType {
  return type instanceof z.ZodDefault ? (type.unwrap() as z.ZodType) : type;
}

/** The first one's default, and whose is another. */
function differing(having: readonly ObjectiveDefinition[], name: string): string {
  const defaultOf = ({ options }: ObjectiveDefinition) => (options[name] as z.ZodType).safeParse(undefined).data;
  const usual = defaultOf(having[0]!);
  const others = having.filter((one) => defaultOf(one) !== usual).map((one) => `${defaultOf(one)} for ${one.name}`);
  const { description } = having[0]!.options[name] as z.ZodType;
  return `${description} (default ${[usual, ...others].join(", ")})`;
}

/** Which tokens of a completion are learned from. */
const turnSettings = {
  score: z
    .enum(["last", "all"])
    .default("all")
    .describe("of a completion of several messages: the assistant's last turn, or all of the assistant's"),
};

const pairSettings = {
  pairs: z.enum(pairings).default("best-worst").describe("pairs that are made of more than two completions"),
};

/** Settings of the methods that learn from completions. */
export type TurnSettings = z.input<z.ZodObject<typeof turnSettings>>;
/** And of those that compare them by pairs. */
export type PairSettings = z.input<z.ZodObject<typeof pairSettings>>;

/** A reward model writes no texts, so there is nothing to sample. */
const noSamples = z.number().int().min(0).max(0).default(0).describe("none: a reward model writes no texts");

export const methods: Readonly<Partial<Record<MethodName, Method>>> = {
  dpo: method({
    name: "dpo",
    summary: "Tune a model on preferences, by DPO and its family",
    learningRate: { lora: 5e-5, full: 1e-6 },
    settings: { ...pairSettings, ...turnSettings, ...movingReferenceSettings, ...sftFirstSettings },
  }),
  orpo: method({
    name: "orpo",
    summary: "Tune a base model on preferences in one stage, likelihood and odds ratio, without a reference",
    // It fine-tunes as well, so its authors take the larger steps of that: 8e-6 of all weights.
    learningRate: { lora: 1e-4, full: 8e-6 },
    settings: { ...pairSettings, ...turnSettings },
  }),
  simpo: method({
    name: "simpo",
    summary: "Tune a model on preferences by the likelihood a token, with a margin and without a reference",
    // Its authors warn of incoherent text above 1e-6.
    learningRate: { lora: 2e-5, full: 5e-7 },
    settings: { ...pairSettings, ...turnSettings },
  }),
  cpo: method({
    name: "cpo",
    summary: "Tune a model on preferences contrastively, kept near the chosen completions, without a reference",
    learningRate: { lora: 5e-5, full: 1e-6 },
    settings: { ...pairSettings, ...turnSettings },
  }),
  mpo: method({
    name: "mpo",
    summary: "Tune a model on preferences as the reward of a choice, near reference data instead of a reference (MPO)",
    learningRate: { lora: 5e-5, full: 1e-6 },
    settings: { ...pairSettings, ...turnSettings, ...regularizationSettings },
  }),
  kto: method({
    name: "kto",
    summary: "Tune a model on completions that are labelled good or bad, by KTO",
    learningRate: { lora: 5e-5, full: 1e-6 },
    settings: { ...turnSettings, ...movingReferenceSettings },
  }),
  bco: method({
    name: "bco",
    summary: "Tune a model on completions that are labelled good or bad, by a binary classifier (BCO)",
    learningRate: { lora: 5e-5, full: 5e-7 },
    settings: { ...turnSettings, ...movingReferenceSettings },
  }),
  sft: method({
    name: "sft",
    summary: "Fine-tune a model on texts, conversations or completions, by their likelihood",
    learningRate: supervisedLearningRate,
    settings: supervisedSettings,
  }),
  reward: method({
    name: "reward",
    summary: "Train a reward model on preferences: how good a completion is, as a number",
    // The head starts from nothing, so it needs larger steps than what only bends a model that is there.
    learningRate: { lora: 1e-4, full: 1e-5 },
    settings: { ...pairSettings, samplePrompts: noSamples, klSamples: noSamples },
  }),
};

/** What a run learns from: the kind of its examples, with the values of rows that its objective reads. */
export function rowNeeds(config: Pick<TrainingConfig, "method" | "loss">, { columns = {} }: Objective): Needs {
  const { rows } = chosenObjectives(config)[0]!;
  return { rows, margin: (["margin", "logMargin"] as const).find((name) => name in columns) };
}

/** What an example is called in messages, by the kind of its rows. */
export const rowUnits: Readonly<Record<ObjectiveDefinition["rows"], string>> = {
  pairs: "pairs",
  ranked: "rankings",
  labelled: "completions",
  texts: "texts",
};

/** Settings as a user may give them: those of all runs, and the objectives' options. */
export type TrainingOptions = z.input<z.ZodObject<typeof trainingShape>> &
  ObjectiveOptions &
  MovingReferenceSettings & {
    readonly loss?: string | readonly string[];
    readonly lossWeights?: string | readonly number[];
  };

/** Fills in every default. Throws ConfigError that names the setting. */
export function resolveConfig(
  { name, objectives, settings: own = {}, schema, learningRate }: Method,
  given: FlatConfig,
): TrainingConfig {
  const { method: _, ...settings } = given;
  const {
    loss = [objectives[0]!.name],
    lossWeights,
    ...values
  } = parseSettings(schema, settings) as Record<string, unknown> & {
    loss?: readonly string[];
    lossWeights?: readonly number[];
  };
  if (lossWeights !== undefined && lossWeights.length !== loss.length) {
    throw new ConfigError(
      `--loss-weights has ${lossWeights.length} weights for ${loss.length} objectives (${loss.join(", ")}). Give one for each.`,
    );
  }
  if (lossWeights?.every((weight) => weight === 0)) {
    throw new ConfigError(
      "--loss-weights are all 0, so there would be nothing to learn. Give one of them more than 0.",
    );
  }
  const twice = loss.find((one, i) => loss.indexOf(one) < i);
  if (twice !== undefined) throw new ConfigError(`--loss names ${twice} twice. Give it once, with a weight.`);
  const chosen = loss.map((one) => objectives.find((definition) => definition.name === one)!);
  refuseIdle(objectives, chosen, settings);
  const common = z.object(trainingShape).parse(values);
  const config: TrainingConfig = {
    ...common,
    ...z.object(own).parse(values),
    ...limitsOf(common),
    method: name,
    learningRate: common.learningRate ?? learningRate[common.tuning],
    loss,
    lossWeights: lossWeights ?? loss.map(() => 1),
    objective: objectiveSettings(chosen, settings),
  };
  refuseLoneExamples(config);
  return config;
}

/** What is measured on the completions of a step's other examples needs others. */
function refuseLoneExamples(config: TrainingConfig): void {
  if (config.batchSize > 1 || objectiveOf(config).context?.scores !== "mismatched") return;
  throw new ConfigError(
    `--batch-size 1 is too small for --loss ${config.loss.join(",")}: it measures the policy on prompts with the completions of other examples in the step. Give 2 or more; its estimate is steadier with 8.`,
  );
}

/**
 * The options of the chosen objectives: those that were given, and the defaults on which all that have them agree. Each
 * objective adds its own where they don't. Throws ConfigError for one that is out of an objective's range.
 */
function objectiveSettings(chosen: readonly ObjectiveDefinition[], given: FlatConfig): Record<string, unknown> {
  const parsed = chosen.map(({ name, options }) => {
    const { data, error } = z.object(options).safeParse(given);
    if (data) return data as Record<string, unknown>;
    const [issue] = error.issues;
    throw new ConfigError(`${issue!.path.join(".")}: ${issue!.message} (--loss ${name})`);
  });
  const names = new Set(parsed.flatMap((own) => Object.keys(own)));
  const values = [...names].map((name) => [name, new Set(parsed.flatMap((own) => own[name] ?? []))] as const);
  return Object.fromEntries(values.flatMap(([name, all]) => (all.size === 1 ? [[name, [...all][0]]] : [])));
}

/** An option that no chosen objective has would be without effect. */
function refuseIdle(
  all: readonly ObjectiveDefinition[],
  chosen: readonly ObjectiveDefinition[],
  given: FlatConfig,
): void {
  for (const key of Object.keys(given)) {
    const having = all.filter(({ options }) => key in options).map((definition) => definition.name);
    if (given[key] === undefined || having.length === 0 || chosen.some(({ options }) => key in options)) continue;
    const flag = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    throw new ConfigError(
      `--${flag} has no effect with --loss ${chosen.map((one) => one.name).join(",")}. It is an option of ${having.join(", ")}: leave it out, or choose one of these.`,
    );
  }
}

/** The definitions that a configuration has chosen. Throws ConfigError where they learn from different rows. */
export function chosenObjectives({
  method: name,
  loss,
}: Pick<TrainingConfig, "method" | "loss">): ObjectiveDefinition[] {
  const { objectives } = methods[name]!;
  const chosen = loss.map((one) => objectives.find((definition) => definition.name === one)!);
  const kinds = new Set(chosen.map(({ rows }) => rows));
  if (kinds.size > 1) {
    throw new ConfigError(
      `--loss ${loss.join(",")}: these objectives learn from different rows (${[...kinds].join(", ")}).`,
    );
  }
  return chosen;
}

export function objectiveOf(config: TrainingConfig): Objective {
  const objectives = chosenObjectives(config).map(({ options, create }) => {
    const own = Object.entries(config.objective).filter(([key]) => key in options);
    return create(Object.fromEntries(own));
  });
  return combine(objectives, config.lossWeights);
}
