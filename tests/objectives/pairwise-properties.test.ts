/** What is true of objectives over pairs whatever the pairs, by name where it is not true of all. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dpo, type Objective } from "../../src/objectives/index.ts";
import { expectClose } from "../support/programs.ts";
import { everySetting, type GoldenSetting, objectiveFor, summed } from "./golden-pairs.ts";
import { evaluatePairs, type Pair, type Two } from "./pairs.ts";

const sigma = (x: number): number => 1 / (1 + Math.exp(-x));
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

/** Multiples of 1/64, so that sums and differences of them are exact: a loss with a kink stays on its side of it. */
const dyadic = (least: number) => fc.integer({ min: 64 * least, max: 0 }).map((n) => n / 64);
const logProbability = dyadic(-300);
const two = <T>(each: fc.Arbitrary<T>) => fc.tuple(each, each);
const pairs: fc.Arbitrary<Pair> = fc.record({
  policy: two(logProbability),
  reference: two(logProbability),
  lengths: two(fc.integer({ min: 1, max: 200 })),
  values: fc.constant({ margin: 0.7, logMargin: Math.log(0.7) }),
});
const swapTwo = ([chosen, rejected]: Two): Two => [rejected, chosen];
const swap = (pair: Pair): Pair => ({
  ...pair,
  policy: swapTwo(pair.policy),
  reference: swapTwo(pair.reference),
  lengths: swapTwo(pair.lengths),
});
/** Both completions more or less likely by a factor that they share, as a prompt's is. */
const shifted = ([chosen, rejected]: Two, by: number): Two => [chosen + by, rejected + by];
const shift = dyadic(-50);

const create = (loss: string, options: Record<string, unknown> = {}): Objective => objectiveFor({ loss, ...options });

/** Whether a part of the loss is the chosen completion's likelihood itself, whatever the reference. */
const hasLikelihood = ({ loss, rpoAlpha }: GoldenSetting) => loss.split(",").includes("sft") || rpoAlpha !== undefined;

describe("while the policy is the reference", () => {
  const beta = 0.2;
  const [nw, nl] = [4, 8];
  const start: Pair = { policy: [-12, -30], reference: [-12, -30], lengths: [nw, nl] };

  // The loss, and its slopes for the chosen and for the rejected completion's log-probability.
  it.each<[string, Record<string, unknown>, number, Two]>([
    ["sigmoid", {}, Math.LN2, [-beta / 2, beta / 2]],
    ["sigmoid", { labelSmoothing: 0.2 }, Math.LN2, [-beta * 0.3, beta * 0.3]],
    ["hinge", {}, 1, [-beta, beta]],
    ["ipo", {}, 1 / (2 * beta) ** 2, [-1 / (beta * nw), 1 / (beta * nl)]],
    ["ipo", { ipoSum: true }, 1 / (2 * beta) ** 2, [-1 / beta, 1 / beta]],
    ["robust", { labelSmoothing: 0.2 }, Math.LN2, [-beta / 2 / 0.6, beta / 2 / 0.6]],
    ["exo_pair", { labelSmoothing: 0.2 }, -Math.log(2 * Math.sqrt(0.16)), [-beta * 0.3466, beta * 0.3466]],
    ["nca_pair", {}, 2 * Math.LN2, [-beta / 4, beta / 4]],
    ["bco_pair", {}, 2 * Math.LN2, [-beta / 2, beta / 2]],
    ["bco_pair", { rewardShift: true }, 2 * Math.LN2, [-beta / 2, beta / 2]],
    ["sppo_hard", {}, 2 / (2 * beta) ** 2, [-1 / beta, 1 / beta]],
    ["aot", {}, Math.LN2, [-beta / 2, beta / 2]],
    ["aot_unpaired", {}, Math.LN2, [-beta / 2, beta / 2]],
    ["apo_zero", {}, 1, [-beta / 4, beta / 4]],
    ["apo_down", {}, 1, [0, beta / 4]],
    // Its slope is above 0 here: see discopop.ts.
    ["discopop", {}, Math.LN2 / 2 + 1 / 2, [beta * (5 * (1 - Math.LN2) - 0.75), -beta * (5 * (1 - Math.LN2) - 0.75)]],
    ["sigmoid_norm", {}, Math.LN2, [-beta / 2 / nw, beta / 2 / nl]],
    ["sft", {}, 12 / nw, [-1 / nw, 0]],
  ])("%s %j starts at its loss and pulls chosen up, rejected down", async (loss, options, expected, slopes) => {
    const { losses, gradient, metrics } = await evaluatePairs(create(loss, { beta, ...options }), [start]);
    expect(losses[0]).toBeCloseTo(expected, 12);
    expectClose(gradient[0]!, slopes, 1e-4);
    for (const reward of Object.values(metrics)) expect(Math.abs(reward[0]!)).toBe(0);
  });

  it.each(everySetting.filter(([, objective, setting]) => objective.needsReference && !hasLikelihood(setting)))(
    "%s has one loss for all pairs, unless rows differ in their margins",
    async (_, objective) => {
      await fc.assert(
        fc.asyncProperty(fc.array(pairs, { minLength: 1, maxLength: 3 }), async (drawn) => {
          const { losses } = await evaluatePairs(
            objective,
            drawn.map((pair) => ({ ...pair, reference: pair.policy })),
          );
          expectClose(
            losses,
            losses.map(() => losses[0]!),
            1e-10,
          );
        }),
        { numRuns: 5 },
      );
    },
  );
});

describe("what the prompt alone does to log-probabilities changes nothing", () => {
  it.each(everySetting.filter(([, objective, setting]) => objective.needsReference && !hasLikelihood(setting)))(
    "%s, where policy and reference think so",
    async (_, objective) => {
      await fc.assert(
        fc.asyncProperty(pairs, shift, async (pair, by) => {
          const both = { ...pair, policy: shifted(pair.policy, by), reference: shifted(pair.reference, by) };
          const [before, after] = [await evaluatePairs(objective, [pair]), await evaluatePairs(objective, [both])];
          expectClose(after.losses, before.losses, 1e-9);
          expectClose(after.gradient[0]!, before.gradient[0]!, 1e-9);
        }),
        { numRuns: 5 },
      );
    },
  );

  it.each(["sigmoid", "hinge", "robust", "exo_pair", "discopop", "aot"])(
    "%s, where the policy alone does: it knows the margin alone",
    async (loss) => {
      for (const options of [{}, { referenceFree: true }]) {
        await fc.assert(
          fc.asyncProperty(pairs, shift, async (pair, by) => {
            const objective = create(loss, options);
            const before = await evaluatePairs(objective, [pair]);
            const after = await evaluatePairs(objective, [{ ...pair, policy: shifted(pair.policy, by) }]);
            expectClose(after.losses, before.losses, 1e-9);
          }),
          { numRuns: 5 },
        );
      }
    },
  );
});

describe("every pair is looked at by itself", () => {
  it.each(everySetting.filter(([, objective]) => !objective.context))("%s", async (_, objective) => {
    const together = await evaluatePairs(objective, summed.pairs);
    for (const [i, pair] of summed.pairs.entries()) {
      const alone = await evaluatePairs(objective, [pair]);
      expect(alone.losses).toEqual([together.losses[i]]);
      expect(alone.gradient).toEqual([together.gradient[i]]);
    }
  });
});

describe("when chosen and rejected change places", () => {
  const beta = 0.1;
  const ratios = ({ policy, reference }: Pair) => [policy[0] - reference[0], policy[1] - reference[1]] as const;
  const z = (pair: Pair) => beta * (ratios(pair)[0] - ratios(pair)[1]);

  // What the loss L of a pair and S of the swapped pair have to do with each other: the first equals the second.
  it.each<[string, string, Record<string, unknown>, (l: number, s: number, p: Pair) => [number, number]]>([
    ["S - L = z", "sigmoid", {}, (l, s, p) => [s - l, z(p)]],
    ["S - L = (1 - 2 e) z", "sigmoid", { labelSmoothing: 0.2 }, (l, s, p) => [s - l, 0.6 * z(p)]],
    ["S - L = z", "aot", {}, (l, s, p) => [s - l, z(p)]],
    ["S - L = z", "aot_unpaired", {}, (l, s, p) => [s - l, z(p)]],
    ["S - L = z / (1 - 2 e)", "robust", { labelSmoothing: 0.2 }, (l, s, p) => [s - l, z(p) / 0.6]],
    ["S + L = 2 + max(0, |z| - 1)", "hinge", {}, (l, s, p) => [s + l, 2 + Math.max(0, Math.abs(z(p)) - 1)]],
    ["S - L = (2 / beta) (a - c)", "sppo_hard", {}, (l, s, p) => [s - l, (2 / beta ** 2) * z(p)]],
    ["S - L = beta (a - c)", "bco_pair", {}, (l, s, p) => [s - l, z(p)]],
    ["S + L = 2", "apo_zero", {}, (l, s) => [s + l, 2]],
    [
      "S + L = 1 + s(beta a) + s(beta c)",
      "apo_down",
      {},
      (l, s, p) => [s + l, 1 + ratios(p).reduce((n, ratio) => n + sigma(beta * ratio), 0)],
    ],
    [
      "S - L = log s(beta a) - log s(beta c)",
      "nca_pair",
      {},
      (l, s, p) => [s - l, softplus(-beta * ratios(p)[1]) - softplus(-beta * ratios(p)[0])],
    ],
    [
      "S - L = (s(z) - s(-z)) log((1 - e) / e)",
      "exo_pair",
      { labelSmoothing: 0.2 },
      (l, s, p) => [s - l, (sigma(z(p)) - sigma(-z(p))) * Math.log(4)],
    ],
    [
      "S - L = beta (a / n_w - c / n_l)",
      "sigmoid_norm",
      {},
      (l, s, p) => [s - l, beta * (ratios(p)[0] / p.lengths[0] - ratios(p)[1] / p.lengths[1])],
    ],
  ])("%s: %s %j", async (_, loss, options, related) => {
    await fc.assert(
      fc.asyncProperty(pairs, async (pair) => {
        const objective = create(loss, { beta, ...options });
        const [{ losses }, swapped] = [
          await evaluatePairs(objective, [pair]),
          await evaluatePairs(objective, [swap(pair)]),
        ];
        const [actual, expected] = related(losses[0]!, swapped.losses[0]!, pair);
        expectClose([actual], [expected], 1e-9);
      }),
      { numRuns: 15 },
    );
  });

  it("the rewards change places too, and only one order is accurate", async () => {
    await fc.assert(
      fc.asyncProperty(pairs, async (pair) => {
        const { metrics } = await evaluatePairs(dpo({ beta }), [pair, swap(pair)]);
        expect(metrics["rewards/chosen"]![1]).toBe(metrics["rewards/rejected"]![0]);
        expect(metrics["rewards/accuracies"]!.reduce((a, b) => a + b)).toBe(
          metrics["rewards/margins"]![0] === 0 ? 0 : 1,
        );
      }),
      { numRuns: 30 },
    );
  });

  it("with smoothed labels the loss is the mean over both ways to label, weighted by their probability", async () => {
    await fc.assert(
      fc.asyncProperty(pairs, fc.double({ min: 0, max: 0.49, noNaN: true }), async (pair, labelSmoothing) => {
        const plain = await evaluatePairs(dpo({ beta }), [pair, swap(pair)]);
        const smoothed = await evaluatePairs(dpo({ beta, labelSmoothing }), [pair]);
        const expected = (1 - labelSmoothing) * plain.losses[0]! + labelSmoothing * plain.losses[1]!;
        expectClose(smoothed.losses, [expected], 1e-12);
      }),
      { numRuns: 30 },
    );
  });

  it("the robust loss, as its name says, has the clean loss as its mean over labels flipped with probability e", async () => {
    await fc.assert(
      fc.asyncProperty(pairs, fc.double({ min: 0, max: 0.49, noNaN: true }), async (pair, e) => {
        const clean = await evaluatePairs(dpo({ beta }), [pair]);
        const { losses } = await evaluatePairs(create("robust", { beta, labelSmoothing: e }), [pair, swap(pair)]);
        expectClose([(1 - e) * losses[0]! + e * losses[1]!], clean.losses, 1e-9);
      }),
      { numRuns: 30 },
    );
  });
});

describe("sigmoid DPO", () => {
  it("pulls the chosen up and the rejected down by beta sigma(-margin)", async () => {
    const beta = 0.1;
    await fc.assert(
      fc.asyncProperty(pairs, async (pair) => {
        const { gradient } = await evaluatePairs(dpo({ beta }), [pair]);
        const { policy, reference } = pair;
        const weight = beta * sigma(-beta * (policy[0] - reference[0] - (policy[1] - reference[1])));
        expectClose(gradient[0]!, [-weight, weight], 1e-12);
      }),
      { numRuns: 30 },
    );
  });
});

describe("without a reference", () => {
  const free = everySetting.filter(([, objective]) => !objective.needsReference);

  it("there are objectives here", () => {
    expect(new Set(free.map(([, , { loss }]) => loss))).toEqual(
      new Set(["sigmoid", "ipo", "nca_pair", "aot", "apo_down", "sft"]),
    );
  });

  it.each(free)("%s reads none", async (_, objective) => {
    await fc.assert(
      fc.asyncProperty(pairs, async (pair) => {
        const { losses } = await evaluatePairs(objective, [pair]);
        expect((await evaluatePairs(objective, [{ ...pair, reference: [-1, -2] }])).losses).toEqual(losses);
      }),
      { numRuns: 10 },
    );
  });

  it("an objective equals that with a reference of certainty", async () => {
    for (const loss of ["sigmoid", "apo_zero", "bco_pair", "aot_unpaired"]) {
      const withoutReference = await evaluatePairs(create(loss, { referenceFree: true }), summed.pairs);
      const certain = summed.pairs.map((pair) => ({ ...pair, reference: [0, 0] as const }));
      expectClose(withoutReference.losses, (await evaluatePairs(create(loss), certain)).losses, 1e-13);
    }
  });
});
