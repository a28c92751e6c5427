/**
 * The value of every objective on one pair, log pi = (-12, -20), log pi_ref = (-13.5, -18), 6 and 5 tokens, so that a = 1.5,
 * c = -2 and z = 0.35 at beta 0.1; worked out by hand from the papers' formulas, to six decimals. docs/objectives.md shows them.
 */

import { describe, expect, it } from "vitest";
import { lossesOnGoldenPair } from "../../src/cli/golden-pair.ts";
import { definitions, type Objective } from "../../src/objectives/index.ts";

type Options = Readonly<Record<string, unknown>>;

/** Method and name, options that differ from their defaults, and the loss: of both completions, where each has one. */
const golden: [name: string, options: Options, ...losses: number[]][] = [
  ["dpo sigmoid", {}, 0.533382],
  ["dpo sigmoid", { labelSmoothing: 0.1 }, 0.568382],
  ["dpo sigmoid", { fDivergence: "forward_kl" }, 0.397711],
  ["dpo sigmoid", { fDivergence: "js_divergence" }, 0.601499],
  ["dpo sigmoid", { fDivergence: "alpha_divergence" }, 0.493567],
  ["dpo hinge", {}, 0.65],
  ["dpo ipo", {}, 18.9225],
  ["dpo ipo", { ipoSum: true }, 2.25],
  ["dpo robust", { labelSmoothing: 0.1 }, 0.489632],
  ["dpo exo_pair", {}, 2.178066],
  ["dpo nca_pair", {}, 1.305505],
  ["dpo bco_pair", {}, 1.219096],
  ["dpo sppo_hard", {}, 21.25],
  ["dpo aot", {}, 0.533382],
  ["dpo aot_unpaired", {}, 0.533382],
  ["dpo apo_zero", {}, 0.912736],
  ["dpo apo_down", {}, 0.950812],
  ["dpo discopop", {}, 0.704532],
  ["dpo sigmoid_norm", {}, 0.661175],
  ["dpo sft", {}, 2],
  ["dpo plackett_luce", {}, 0.533382],
  ["simpo simpo", {}, 0.02975],
  ["orpo orpo", {}, 2 + 0.1 * 0.112617],
  ["cpo sigmoid", {}, 2 + 0.371101],
  ["kto kto", {}, 0.467546, 0.445221],
  ["sft nll", {}, 2],
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
