/** The golden settings of tests/reference/objectives_pairwise.py: objectives over pairs, and what PyTorch says of each. */

import { readFileSync } from "node:fs";
import { combine, type Objective, objectivesOf } from "../../src/objectives/index.ts";
import { type Pair, pairOfTokens, type Two, type TwoLists } from "./pairs.ts";

export interface GoldenSetting extends Readonly<Record<string, unknown>> {
  /** Names of objectives, with commas. */
  readonly loss: string;
  readonly lossWeights?: readonly number[];
}

interface Golden<Gradient> {
  readonly setting: GoldenSetting;
  readonly losses: readonly number[];
  /** Of the mean of the losses. */
  readonly gradient: readonly Gradient[];
}

interface File {
  readonly summed: {
    readonly policy: readonly Two[];
    readonly reference: readonly Two[];
    readonly lengths: readonly Two[];
    readonly margins: readonly number[];
    readonly results: readonly Golden<Two>[];
  };
  readonly tokens: {
    readonly policy: readonly TwoLists[];
    readonly reference: readonly TwoLists[];
    readonly results: readonly Golden<TwoLists>[];
  };
}

const file = JSON.parse(readFileSync(new URL("../golden/objectives/pairwise.json", import.meta.url), "utf8")) as File;

/** One optimizer step of pairs by their sums, with margins, and what each setting makes of it. */
export const summed = {
  pairs: file.summed.policy.map((policy, i): Pair => {
    const margin = file.summed.margins[i]!;
    const values = { margin, logMargin: Math.log(margin) };
    return { policy, reference: file.summed.reference[i]!, lengths: file.summed.lengths[i]!, values };
  }),
  results: file.summed.results,
};

/** One of pairs by their tokens. */
export const byToken = {
  pairs: file.tokens.policy.map((policy, i) => pairOfTokens(policy, file.tokens.reference[i]!)),
  results: file.tokens.results,
};

/** The objective of a setting: each of its losses with those of the options that it has. */
export function objectiveFor({ loss, lossWeights, ...options }: GoldenSetting): Objective {
  const chosen = loss.split(",").map((name) => objectivesOf("dpo").find((definition) => definition.name === name)!);
  const objectives = chosen.map((definition) => {
    const own = Object.entries(options).filter(([key]) => key in definition.options);
    return definition.create(Object.fromEntries(own));
  });
  return combine(objectives, lossWeights ?? objectives.map(() => 1));
}

/** A setting in a line, for a test's name. */
export function inWords({ loss, ...options }: GoldenSetting): string {
  return [loss, ...Object.entries(options).map(([key, value]) => `${key} ${value}`)].join(", ");
}

/** Every golden setting with its objective, by its name. */
export const everySetting: readonly (readonly [string, Objective, GoldenSetting])[] = [
  ...summed.results,
  ...byToken.results,
].map(({ setting }) => [inWords(setting), objectiveFor(setting), setting] as const);
