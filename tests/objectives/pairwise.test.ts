/** Objectives over pairs: their golden numbers, and what each is alone in. */

import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { dpo, ipo, type Objective, objectivesOf } from "../../src/objectives/index.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { expectClose } from "../support/programs.ts";
import { byToken, everySetting, inWords, objectiveFor, summed } from "./golden-pairs.ts";
import { evaluatePairs, type Pair, type Two } from "./pairs.ts";

const create = (loss: string, options: Record<string, unknown> = {}): Objective => objectiveFor({ loss, ...options });

describe("golden numbers", () => {
  it.each(summed.results.map((golden) => [inWords(golden.setting), golden] as const))(
    "%s: losses and gradients equal PyTorch's",
    async (_, { setting, losses, gradient }) => {
      const result = await evaluatePairs(objectiveFor(setting), summed.pairs);
      expectClose(result.losses, losses, 1e-13);
      const mean = result.gradient.flat().map((x) => x / losses.length);
      expectClose(mean, gradient.flat(), 1e-13);
    },
  );

  it.each(byToken.results.map((golden) => [inWords(golden.setting), golden] as const))(
    "%s: losses and gradients for each token equal PyTorch's",
    async (_, { setting, losses, gradient }) => {
      const result = await evaluatePairs(objectiveFor(setting), byToken.pairs);
      expectClose(result.losses, losses, 1e-13);
      const mean = result.tokenGradient.flat().map((x) => x / losses.length);
      expectClose(mean, gradient.flat(2), 1e-13);
    },
  );

  it("are there for every objective over pairs of preftune dpo, and for each of its options", () => {
    const folder = new URL("../golden/objectives/", import.meta.url);
    const texts = readdirSync(folder).map((name) => readFileSync(new URL(name, folder), "utf8"));
    const isIn = (word: string) => texts.some((text) => text.includes(`"${word}"`));
    const here = everySetting.map(([, , setting]) => setting);
    const names = new Set(here.flatMap(({ loss }) => loss.split(",")));
    const overPairs = objectivesOf("dpo").filter(({ rows }) => rows === "pairs");
    const missing = overPairs.flatMap(({ name, options }) => {
      if (!names.has(name) && !isIn(name)) return [name];
      return Object.keys(options).filter((key) => !here.some((setting) => key in setting) && !isIn(key));
    });
    expect(missing).toEqual([]);
  });

  it("the worked example: loss 0.3711, rewards +0.4 and -0.4, gradient weight 0.3100", async () => {
    const pair: Pair = { policy: [-30, -35], reference: [-34, -31], lengths: [10, 10] };
    const { losses, metrics, gradient } = await evaluatePairs(dpo({ beta: 0.1 }), [pair]);
    expect(losses[0]).toBeCloseTo(0.3711, 4);
    expect(metrics["rewards/chosen"]![0]).toBeCloseTo(0.4, 12);
    expect(metrics["rewards/rejected"]![0]).toBeCloseTo(-0.4, 12);
    expect(metrics["rewards/margins"]![0]).toBeCloseTo(0.8, 12);
    expect(metrics["rewards/accuracies"]).toEqual([1]);
    const weight = 0.31;
    expect(gradient[0]![0]).toBeCloseTo(-0.1 * weight, 4);
    expect(gradient[0]![1]).toBeCloseTo(0.1 * weight, 4);
  });

  const onePair: Pair = { policy: [-12, -20], reference: [-13.5, -18], lengths: [6, 5] };

  it.each<[number, string, Record<string, unknown>]>([
    [0.533382, "sigmoid", {}],
    [0.568382, "sigmoid", { labelSmoothing: 0.1 }],
    [0.489632, "robust", { labelSmoothing: 0.1 }],
    [0.65, "hinge", {}],
    [18.9225, "ipo", {}],
    [2.25, "ipo", { ipoSum: true }],
    [2.178066, "exo_pair", {}],
    [1.305505, "nca_pair", {}],
    [1.219096, "bco_pair", {}],
    [21.25, "sppo_hard", {}],
    [0.533382, "aot", {}],
    [0.533382, "aot_unpaired", {}],
    [0.912736, "apo_zero", {}],
    [0.950812, "apo_down", {}],
    [0.704532, "discopop", {}],
    [0.661175, "sigmoid_norm", {}],
    [0.397711, "sigmoid", { fDivergence: "forward_kl" }],
    [0.601499, "sigmoid", { fDivergence: "js_divergence" }],
    [0.493567, "sigmoid", { fDivergence: "alpha_divergence" }],
    [2, "sft", {}],
  ])("one pair through every objective: %s of %s %j", async (expected, loss, options) => {
    expect((await evaluatePairs(create(loss, options), [onePair])).losses[0]).toBeCloseTo(expected, 6);
  });
});

describe("IPO", () => {
  it.each([true, false])("is least where the margin is 1 / (2 beta), summed: %s", async (sum) => {
    const beta = 0.25;
    const lengths: Two = [4, 8];
    const [perChosen, perRejected] = sum ? [1, 1] : lengths;
    const at = (margin: number): Pair => ({
      policy: [perChosen * (margin / 2) - 20, -perRejected * (margin / 2) - 30],
      reference: [-20, -30],
      lengths,
    });
    const { losses, gradient } = await evaluatePairs(ipo({ beta, ipoSum: sum }), [at(2), at(1), at(3)]);
    expectClose(losses, [0, 1, 1], 1e-12);
    expect(gradient.map(([chosen]) => Math.sign(Math.round(chosen * 1e9)))).toEqual([0, -1, 1]);
  });
});

describe("the hinge loss", () => {
  it("lets go of a pair once its margin is above 1", async () => {
    const at = (z: number): Pair => ({ policy: [10 * z, 0], reference: [0, 0], lengths: [1, 1] });
    const { losses, gradient } = await evaluatePairs(create("hinge", { beta: 0.1 }), [at(0.5), at(1), at(2)]);
    expectClose(losses, [0.5, 0, 0], 1e-12);
    expectClose(gradient.flat(), [-0.1, 0.1, 0, 0, 0, 0], 1e-12);
  });
});

describe("the robust loss", () => {
  it("keeps its digits in float32 as the share of flipped labels goes to a half", async () => {
    const start: Pair = { policy: [-12, -30], reference: [-12, -30], lengths: [4, 8] };
    for (const labelSmoothing of [0.3, 0.49, 0.4999, 0.499999]) {
      const { losses } = await evaluatePairs(create("robust", { labelSmoothing }), [start], nodeRuntime);
      expect(losses[0]).toBeCloseTo(Math.LN2, 6);
    }
  });
});

describe("metrics", () => {
  it("are beta times the log-ratio whatever the loss, and a tie is not accurate", async () => {
    const tied: Pair = { policy: [-10, -10], reference: [-12, -12], lengths: [5, 9] };
    for (const loss of ["sigmoid", "ipo", "sigmoid_norm", "aot", "bco_pair"]) {
      const { metrics } = await evaluatePairs(create(loss, { beta: 0.5 }), [tied]);
      expect(metrics).toEqual({
        "rewards/chosen": [1],
        "rewards/rejected": [1],
        "rewards/margins": [0],
        "rewards/accuracies": [0],
      });
    }
  });

  it("of a sum have the loss of each part too", async () => {
    const { losses, metrics } = await evaluatePairs(
      create("sigmoid,bco_pair,sft", { lossWeights: [0.8, 0.2, 1] }),
      summed.pairs,
    );
    const parts = ["sigmoid", "bco_pair", "sft"].map((name) => metrics[`loss/${name}`]!);
    expectClose(
      losses,
      losses.map((_, i) => 0.8 * parts[0]![i]! + 0.2 * parts[1]![i]! + parts[2]![i]!),
      1e-12,
    );
    expect(metrics["rewards/chosen"]).toHaveLength(summed.pairs.length);
  });
});

describe("on the engine", () => {
  const values = { margin: 0.7, logMargin: Math.log(0.7) };
  const extremes: Pair[] = [
    { policy: [0, -1e4], reference: [-1e4, 0], lengths: [1, 1], values },
    { policy: [-1e4, 0], reference: [0, -1e4], lengths: [1, 1], values },
    { policy: [-1e4, -1e4], reference: [-1e4, -1e4], lengths: [1000, 1], values },
    { policy: [-1e4, -1e4], reference: [0, 0], lengths: [1000, 1], values },
    { policy: [0, 0], reference: [-1e4, -1e4], lengths: [1000, 1], values },
    { policy: [0, -1e6], reference: [-1e6, 0], lengths: [1, 1], values },
    { policy: [-1e6, 0], reference: [0, -1e6], lengths: [1, 1], values },
  ];

  it.each(everySetting)(
    "%s stays finite with log-probabilities that differ by up to a million nats",
    async (_, objective) => {
      const fast = await evaluatePairs(objective, extremes, nodeRuntime);
      const exact = await evaluatePairs(objective, extremes);
      for (const found of [fast.losses, fast.gradient.flat(), ...Object.values(fast.metrics)]) {
        expect(found.every(Number.isFinite)).toBe(true);
      }
      expectClose(fast.losses, exact.losses, 1e-5);
      expectClose(fast.gradient.flat(), exact.gradient.flat(), 1e-5);
    },
  );
});
