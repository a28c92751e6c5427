/**
 * The value of every objective on one pair, log pi = (-12, -20), log pi_ref = (-13.5, -18), 6 and 5 tokens, so that a = 1.5,
 * c = -2 and z = 0.35 at beta 0.1, as docs/objectives.md shows it: objectives of every kind of rows, worked out by hand to six
 * decimals. Here it is tested that each kind gets the pair in its own form; formulas are tested beside.
 */

import { describe, expect, it } from "vitest";
import { lossesOnGoldenPair } from "../../src/cli/golden-pair.ts";
import { definitions, type Objective } from "../../src/objectives/index.ts";

type Options = Readonly<Record<string, unknown>>;

/** Method and name, options that differ from their defaults, and the loss: of both completions, where each has one. */
const golden: [name: string, options: Options, ...losses: number[]][] = [
  ["dpo sigmoid", {}, 0.533382],
  ["dpo sigmoid", { labelSmoothing: 0.1 }, 0.568382],
  ["dpo ipo", {}, 18.9225],
  ["dpo aot", {}, 0.533382],
  ["dpo tdpo2", {}, 0.533382],
  ["dpo plackett_luce", {}, 0.533382],
  ["simpo simpo", {}, 0.02975],
  ["orpo orpo", {}, 2 + 0.1 * 0.112617],
  ["cpo sigmoid", {}, 2 + 0.371101],
  ["mpo mpo", { perToken: true, regularizationWeight: 0 }, 1 / (1 + Math.exp(2))],
  ["kto kto", {}, 0.467546, 0.445221],
  ["sft nll", {}, 2],
  ["reward bradley_terry", {}, 0.02975],
];

describe("the golden pair", () => {
  it.each(golden.map(([name, options, ...losses]) => ({ name, options, losses })))("$name $options", async (one) => {
    const { name, options, losses } = one;
    const definition = definitions.find((one) => `${one.method} ${one.name}` === name)!;
    const create = definition.create as (options: Options) => Objective;
    const found = await lossesOnGoldenPair(create(options), definition.method);
    expect(found.map((loss) => Number(loss.toFixed(6)))).toEqual(losses.map((loss) => Number(loss.toFixed(6))));
  });
});
