/** The reference of all objectives, `docs/objectives.md`, from the definitions that flags and settings are made of. */

import { z } from "zod";
import { type MethodName, type Objective, type ObjectiveDefinition, objectivesOf } from "../objectives/index.ts";
import { trainingShape } from "../training/config.ts";
import { methods, rowUnits } from "../training/methods.ts";
import { type Flag, flagsOf } from "./flags.ts";
import { lossesOnGoldenPair } from "./golden-pair.ts";
import { code, table } from "./markdown.ts";

/** How far preftune's losses were from TRL's in 20 steps: the largest relative distance of a case. */
export interface ParityCase {
  readonly name: string;
  readonly method: MethodName;
  /** Names of its objectives. */
  readonly loss: readonly string[];
  /** What differs from the defaults. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly distance: number;
}

/** The reference as Markdown. */
export async function objectivesReference(parity: readonly ParityCase[]): Promise<string> {
  const sections: string[] = [];
  for (const name of Object.keys(methods) as MethodName[]) sections.push(await methodSection(name, parity));
  return `${[introduction, ...sections, paritySection(parity)].join("\n\n")}\n`;
}

const introduction = `# Objectives

<!-- Written by \`npm run docs\` from the definitions in src/objectives. Change those. -->

Every objective is one file in \`src/objectives/\` that reads like its equation, with where it differs from the paper or from
TRL and why. Tables here, flags, help and the schema of settings are made from the same definitions.

## Notation

Log-probabilities are in nats, summed over a completion's tokens given its prompt.

${table(
  ["", ""],
  [
    ["x, y_w, y_l", "prompt, chosen and rejected completion"],
    ["n_w, n_l", "their lengths in tokens"],
    ["pi, pi_ref", "the policy that is trained, and its frozen reference"],
    ["a", "log pi(y_w|x) - log pi_ref(y_w|x), the log-ratio of the chosen completion"],
    ["c", "log pi(y_l|x) - log pi_ref(y_l|x), the log-ratio of the rejected completion"],
    ["r", "beta a or beta c, the implicit reward"],
    ["z", "the scaled margin"],
    ["s(x)", "1 / (1 + e^-x)"],
    ["e", "the share of labels that are taken to be wrong, `--label-smoothing`"],
    ["pi_w, pi_l", "pi(y_w|x) and pi(y_l|x)"],
    ["NLL", "the negative log-likelihood a token"],
    ["x_(i)", "the i-th smallest of the optimizer step's x"],
    ["sg(x)", "x, taken for a number by the gradient"],
    ["D_w, D_l", "the sequential KL of both completions, summed over their tokens"],
    ["delta, z0", "the reference point of rewards: their running mean, and an estimate of KL(pi || pi_ref)"],
    ["m", "a row's own margin; in DiscoPOP s(z / tau)"],
    ["w", "the weight of desirable or of undesirable completions"],
  ],
)}

The loss of an optimizer step is the mean over its examples, whatever the micro-batches. What an objective must know of the
whole step (an order, a mean, a count of tokens) is computed before, and is a constant to the gradient.

## The shared form

Most objectives over pairs are a function of one number, the scaled margin

    z = beta (A - C) - offset,   A = a and C = c, or what another f-divergence makes of them

and are written as such (\`marginObjective\` in \`src/objectives/margin.ts\`), so that f-divergences, DPO-positive and offsets
serve all of them at once. The others see both sides (\`pairObjective\` in \`src/objectives/pairwise.ts\`). All of them are added up
by \`--loss sigmoid,bco_pair,sft --loss-weights 0.8,0.2,1\`.

## How to read the tables

- **loss** is that of one example, in the notation above.
- **on the pair** is the loss with default options on one pair: log pi = -12 and -20, log pi_ref = -13.5 and -18, 6 and 5 tokens; that
  is a = 1.5 and c = -2. Objectives over single completions have two values, the chosen completion's and the rejected one's,
  with 0.2 for the log-ratio of mismatched completions; a reward model gives the pair the rewards 1.5 and -2. At the start, where
  the policy is the reference, DPO's is ln 2.
- **from TRL** is the largest relative distance of the loss from TRL's in any of 20 steps: below, under Parity. "not in TRL" where TRL
  has no such objective.`;

async function methodSection(method: MethodName, parity: readonly ParityCase[]): Promise<string> {
  const { summary, schema, settings = {} } = methods[method]!;
  const objectives = objectivesOf(method);
  const own = Object.keys(settings).filter((key) => !(key in trainingShape));
  const names = new Set([...objectives.flatMap(({ options }) => Object.keys(options)), ...own]);
  const flags = flagsOf(schema).filter(({ key }) => names.has(key));
  const rows = await Promise.all(
    objectives.map(async (definition) => [
      `${code(definition.name)} ${definition.title}`,
      code(definition.formula),
      (await valuesOnPair(definition)).join(", "),
      distanceText(definition, parity),
      optionsText(definition, objectives),
      definition.use,
      definition.source,
    ]),
  );
  const heads = ["objective", "loss", "on the pair", "from TRL", "options", "when to use it", "source"];
  const kinds = [...new Set(objectives.map(({ rows: kind }) => rowUnits[kind]))].join(", ");
  const optionRows = flags.map((flag) => [code(withDefault(flag)), ownersText(flag, objectives), flag.description]);
  const tables = [table(heads, rows), ...(flags.length === 0 ? [] : [table(["option", "of", ""], optionRows)])];
  return [`## preftune ${method}`, `${summary}. Learns from ${kinds}.`, ...tables].join("\n\n");
}

function owners(key: string, objectives: readonly ObjectiveDefinition[]): ObjectiveDefinition[] {
  return objectives.filter(({ options }) => key in options);
}

/** An objective's options with its own defaults, but for those that most others of several have too. */
function optionsText({ options }: ObjectiveDefinition, objectives: readonly ObjectiveDefinition[]): string {
  const isUsual = (key: string) => objectives.length > 1 && owners(key, objectives).length > objectives.length / 2;
  const own = flagsOf(z.object(options)).filter(({ key }) => !isUsual(key));
  return own.map((flag) => code(withDefault(flag))).join(", ");
}

function ownersText({ key }: Flag, objectives: readonly ObjectiveDefinition[]): string {
  const names = (list: readonly ObjectiveDefinition[]) => list.map(({ name }) => code(name)).join(", ");
  const having = owners(key, objectives);
  const others = objectives.filter((definition) => !having.includes(definition));
  if (others.length === 0 || having.length === 0) return "all"; // None has it: it is the method's own.
  return others.length < having.length ? `all but ${names(others)}` : names(having);
}

function withDefault({ name, kind, default: value }: Flag): string {
  if (kind === "boolean") return value === true ? `--no-${name}` : `--${name}`;
  return value === undefined ? `--${name}` : `--${name} ${value}`;
}

async function valuesOnPair({ create, method }: ObjectiveDefinition): Promise<string[]> {
  const losses = await lossesOnGoldenPair((create as () => Objective)(), method);
  return losses.map((loss) => loss.toFixed(6));
}

function distanceText({ method, name }: ObjectiveDefinition, parity: readonly ParityCase[]): string {
  const own = parity.filter((one) => one.method === method && one.loss.length === 1 && one.loss[0] === name);
  return own.length === 0 ? "not in TRL" : Math.max(...own.map(({ distance }) => distance)).toExponential(1);
}

function paritySection(parity: readonly ParityCase[]): string {
  const rows = parity.map(({ name, method, options, distance }) => [
    name,
    command(method, options),
    distance.toExponential(1),
  ]);
  return `## Parity

\`npm run parity\` trains all weights of a small Llama (stories260K) for 20 steps by every objective that TRL 1.13 has, from the
same start, on the same HH rows in the same order, and compares the loss of every step with what TRL's trainers logged
(\`tests/reference/trl_objectives.py\`, whose header says what is peculiar to TRL, \`trl_sft.py\` and \`trl_reward.py\`). The test suite demands 1e-3; float32's
rounding is 6e-8 an operation.

${table(["case", "", "largest relative distance of the loss"], rows)}`;
}

function command(method: MethodName, options: Readonly<Record<string, unknown>>): string {
  const flags = flagsOf(methods[method]!.schema);
  const words = Object.entries(options).map(([key, value]) => {
    const { name } = flags.find((flag) => flag.key === key)!;
    return value === true ? `--${name}` : `--${name} ${value}`;
  });
  return code(["preftune", method, ...words].join(" "));
}
