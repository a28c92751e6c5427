/** ORPO, SimPO, AlphaPO and CPO: pairs scored by the policy alone. */

import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { combine, type MethodName, type Objective, objectivesOf } from "../../src/objectives/index.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { expectClose } from "../support/programs.ts";
import { evaluatePairs, type Pair, type Two } from "./pairs.ts";

interface Golden {
  readonly policy: readonly Two[];
  readonly lengths: readonly Two[];
  readonly results: readonly {
    readonly method: MethodName;
    readonly loss: string;
    readonly options: Record<string, number>;
    readonly losses: readonly number[];
    readonly gradient: readonly Two[];
  }[];
}
const golden = JSON.parse(
  readFileSync(new URL("../golden/objectives/reference-free.json", import.meta.url), "utf8"),
) as Golden;

function create(method: MethodName, loss: string, options: Record<string, number> = {}): Objective {
  return objectivesOf(method)
    .find(({ name }) => name === loss)!
    .create(options);
}

/** A pair without a reference: none of these objectives reads one. */
const pairOf = (policy: Two, lengths: Two): Pair => ({ policy, reference: [Number.NaN, Number.NaN], lengths });

/** Every objective, with settings that use all that it has. */
const all: Readonly<Record<string, Objective>> = {
  ORPO: create("orpo", "orpo", { lambda: 0.5 }),
  SimPO: create("simpo", "simpo", { labelSmoothing: 0.1, sftWeight: 0.5 }),
  AlphaPO: create("simpo", "alphapo", { sftWeight: 0.5 }),
  "AlphaPO with alpha below 0": create("simpo", "alphapo", { alpha: -0.5 }),
  CPO: create("cpo", "sigmoid", { labelSmoothing: 0.1 }),
  "CPO with a hinge": create("cpo", "hinge"),
  "CPO with IPO's square": create("cpo", "ipo"),
};

/** Their preference terms alone, where these can be had. */
const preferences: Readonly<Record<string, Objective>> = {
  SimPO: create("simpo", "simpo"),
  AlphaPO: create("simpo", "alphapo"),
  CPO: create("cpo", "sigmoid", { cpoAlpha: 0 }),
  "CPO with a hinge": create("cpo", "hinge", { cpoAlpha: 0 }),
  "CPO with IPO's square": create("cpo", "ipo", { cpoAlpha: 0 }),
};

const length = fc.integer({ min: 1, max: 60 });
const completion = fc
  .tuple(length, fc.double({ min: -6, max: -0.01, noNaN: true }))
  .map(([tokens, each]) => ({ tokens, logp: tokens * each }));
const pairs = fc
  .tuple(completion, completion)
  .map(([chosen, rejected]) => pairOf([chosen.logp, rejected.logp], [chosen.tokens, rejected.tokens]));
const swap = ({ policy, lengths }: Pair): Pair => pairOf([policy[1], policy[0]], [lengths[1], lengths[0]]);
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

describe("golden numbers", () => {
  const rows = golden.policy.map((policy, i) => pairOf(policy, golden.lengths[i]!));

  it.each(golden.results)("$method $loss $options: losses and gradients equal PyTorch's", async (result) => {
    const { losses, gradient } = await evaluatePairs(create(result.method, result.loss, result.options), rows);
    expectClose(losses, result.losses, 1e-12);
    // PyTorch's is the gradient of the mean loss.
    expectClose(
      gradient.flat().map((x) => x / rows.length),
      result.gradient.flat(),
      1e-12,
    );
  });

  it.each(golden.results)("$method $loss $options: the engine's float32 says the same", async (result) => {
    const { losses, gradient } = await evaluatePairs(
      create(result.method, result.loss, result.options),
      rows,
      nodeRuntime,
    );
    expectClose(losses, result.losses, 2e-6);
    expectClose(
      gradient.flat().map((x) => x / rows.length),
      result.gradient.flat(),
      2e-6,
    );
  });

  it("one pair: SimPO 0.029750, ORPO's odds ratio term 0.112617", async () => {
    const pair = pairOf([-12, -20], [6, 5]);
    expect((await evaluatePairs(create("simpo", "simpo"), [pair])).losses[0]).toBeCloseTo(0.02975, 6);
    const { losses, metrics } = await evaluatePairs(create("orpo", "orpo", { lambda: 1 }), [pair]);
    expect(metrics.nll_loss).toEqual([2]);
    expect(losses[0]! - 2).toBeCloseTo(0.112617, 6);
    expect(metrics.log_odds_ratio![0]).toBeCloseTo(-0.112617, 6);
    expect(metrics.log_odds_chosen![0]).toBeCloseTo(Math.log(Math.expm1(4) / Math.expm1(2)), 12);
  });
});

describe.each(Object.entries(all))("%s", (_, objective) => {
  it("reads no reference", async () => {
    expect(objective.needsReference).toBe(false);
    await fc.assert(
      fc.asyncProperty(pairs, async (pair) => {
        const { losses } = await evaluatePairs(objective, [pair, { ...pair, reference: [-3, -9] }]);
        expect(losses[0]).not.toBeNaN();
        expect(losses[1]).toBe(losses[0]);
      }),
      { numRuns: 5 },
    );
  });

  it.each([nodeRuntime, undefined])("stays finite for log-probabilities of -10,000 and +10,000", async (runtime) => {
    const extremes = [-1e4, 0, 1e4];
    const rows = extremes.flatMap((a) => extremes.map((b) => pairOf([a, b], [1, 3])));
    const { losses, gradient, metrics } = await evaluatePairs(objective, rows, runtime);
    for (const x of [...losses, ...gradient.flat(), ...Object.values(metrics).flat()])
      expect(x).toSatisfy(Number.isFinite);
  });
});

describe("the gradient", () => {
  // Smoothed labels pull both ways, and IPO's square comes back from beyond its target.
  const oneWay = { ...all, SimPO: preferences.SimPO!, CPO: create("cpo", "sigmoid") };
  it.each(Object.entries(oneWay).filter(([name]) => !name.includes("square")))(
    "of %s pulls the chosen up and the rejected down",
    async (_, objective) => {
      await fc.assert(
        fc.asyncProperty(fc.array(pairs, { minLength: 1, maxLength: 3 }), async (drawn) => {
          const { gradient } = await evaluatePairs(objective, drawn);
          for (const [chosen, rejected] of gradient) {
            expect(chosen).toBeLessThanOrEqual(0);
            expect(rejected).toBeGreaterThanOrEqual(0);
          }
        }),
        { numRuns: 15 },
      );
    },
  );

  it("of IPO's square turns round at its target, 1 / (2 beta)", async () => {
    const at = (margin: number) => pairOf([-10 + 4 * margin, -20], [4, 8]);
    const { losses, gradient } = await evaluatePairs(preferences["CPO with IPO's square"]!, [at(4), at(5), at(6)]);
    expectClose(losses, [1, 0, 1], 1e-12);
    expectClose(
      gradient.map(([chosen]) => 4 * chosen),
      [-2, 0, 2],
      1e-12,
    );
  });
});

describe("the likelihood term", () => {
  it("is the mean over the chosen tokens of the whole step, however it is cut into micro-batches", async () => {
    const rows = [pairOf([-30, -8], [10, 3]), pairOf([-4, -9], [2, 5]), pairOf([-1, -2], [3, 3])];
    const { metrics } = await evaluatePairs(create("cpo", "sigmoid"), rows);
    expect(mean(metrics.nll_loss!)).toBeCloseTo(35 / 15, 12);
  });

  it("is not computed where it has no weight", async () => {
    const { metrics } = await evaluatePairs(create("simpo", "simpo"), [pairOf([-3, -4], [2, 2])]);
    expect(metrics).not.toHaveProperty("nll_loss");
    expect(create("simpo", "simpo").context).toBeUndefined();
  });

  it("of objectives that are added up counts by each one's weight", async () => {
    const rows = [pairOf([-30, -8], [10, 3]), pairOf([-4, -9], [2, 5])];
    const [sigmoid, ipo] = [create("cpo", "sigmoid"), create("cpo", "ipo", { cpoAlpha: 0.5 })];
    const together = await evaluatePairs(combine([sigmoid, ipo], [1, 2]), rows);
    const [first, second] = await Promise.all([sigmoid, ipo].map((one) => evaluatePairs(one, rows)));
    expectClose(
      together.losses,
      first!.losses.map((loss, i) => loss + 2 * second!.losses[i]!),
      1e-12,
    );
  });
});

describe("chosen and rejected change places", () => {
  const differences = (objective: Objective, pair: Pair) =>
    evaluatePairs(objective, [pair, swap(pair)]).then(({ losses, metrics }) => ({
      difference: losses[1]! - losses[0]!,
      margin: metrics["rewards/margins"]![0]!,
    }));

  it.each(["SimPO", "AlphaPO", "CPO"])("%s: the losses differ by the rewards' margin", async (name) => {
    const objective =
      name === "CPO" ? preferences.CPO! : create("simpo", name === "SimPO" ? "simpo" : "alphapo", { gamma: 0 });
    await fc.assert(
      fc.asyncProperty(pairs, async (pair) => {
        const { difference, margin } = await differences(objective, pair);
        expectClose([difference], [margin], 1e-12, { floor: Math.max(1, Math.abs(margin)) });
      }),
      { numRuns: 30 },
    );
  });

  it("ORPO: the odds ratio terms differ by lambda times the log odds ratio", async () => {
    await fc.assert(
      fc.asyncProperty(pairs, async (pair) => {
        const { metrics } = await evaluatePairs(create("orpo", "orpo"), [pair, swap(pair)]);
        const [ratio, swapped] = metrics.log_odds_ratio!;
        expectClose([ratio! - swapped!], [metrics.log_odds_chosen![0]!], 1e-12, { floor: 10 });
        expectClose([metrics.log_odds_chosen![1]!], [-metrics.log_odds_chosen![0]!], 1e-12, { floor: 10 });
      }),
      { numRuns: 30 },
    );
  });
});

describe("a margin of 0 costs", () => {
  const equal = pairOf([-12, -12], [6, 6]);
  const alone = async (objective: Objective) => (await evaluatePairs(objective, [equal])).losses[0];

  it("ln 2 of SimPO and AlphaPO without gamma, of CPO, and of ORPO beside its likelihood", async () => {
    expect(await alone(create("simpo", "simpo", { gamma: 0 }))).toBeCloseTo(Math.LN2, 12);
    expect(await alone(create("simpo", "alphapo", { gamma: 0 }))).toBeCloseTo(Math.LN2, 12);
    expect(await alone(create("cpo", "sigmoid", { cpoAlpha: 0 }))).toBeCloseTo(Math.LN2, 12);
    expect(await alone(create("orpo", "orpo", { lambda: 1 }))).toBeCloseTo(2 + Math.LN2, 12);
  });

  it("1 of the hinge, and the square of its target of IPO", async () => {
    expect(await alone(create("cpo", "hinge", { cpoAlpha: 0 }))).toBe(1);
    expect(await alone(create("cpo", "ipo", { cpoAlpha: 0, beta: 0.25 }))).toBeCloseTo(4, 12);
  });
});

describe("length", () => {
  it.each(["SimPO", "AlphaPO", "CPO with IPO's square"])("%s rewards none", async (name) => {
    await fc.assert(
      fc.asyncProperty(pairs, fc.integer({ min: 2, max: 5 }), async (pair, times) => {
        const twice = ([chosen, rejected]: Two): Two => [times * chosen, rejected];
        const { losses } = await evaluatePairs(preferences[name]!, [
          pair,
          pairOf(twice(pair.policy), twice(pair.lengths)),
        ]);
        expectClose([losses[1]!], [losses[0]!], 1e-9);
      }),
      { numRuns: 20 },
    );
  });
});

describe("AlphaPO", () => {
  it("goes over into SimPO as alpha goes to 0, without losing digits in float32", async () => {
    const rows = golden.policy.map((policy, i) => pairOf(policy, golden.lengths[i]!));
    const simpo = await evaluatePairs(create("simpo", "simpo"), rows);
    expect((await evaluatePairs(create("simpo", "alphapo", { alpha: 0 }), rows)).losses).toEqual(simpo.losses);
    const near = await evaluatePairs(create("simpo", "alphapo", { alpha: 1e-6 }), rows, nodeRuntime);
    expectClose(near.losses, simpo.losses, 2e-5);
  });
});

describe("AlphaPO in float32", () => {
  it("rewards a likelier completion more, however unlikely it is", async () => {
    for (const alpha of [-2, -0.5, 0.25, 1]) {
      for (const average of [-0.01, -2, -8, -20, -60]) {
        const { gradient } = await evaluatePairs(
          create("simpo", "alphapo", { alpha, gamma: 0 }),
          [pairOf([average, average], [1, 1])],
          nodeRuntime,
        );
        const slope = Math.exp(-alpha * average); // Of the reward; that of the loss is half beta of it.
        expectClose(gradient[0]!, [-slope, slope], 1e-5, { floor: 1e-30 });
      }
    }
  });
});

describe("ORPO's log odds", () => {
  /** Against a rejected completion with odds of 1, in float32. */
  const oddsOf = async (average: number) => {
    const pair = pairOf([average, -Math.LN2], [1, 1]);
    return (await evaluatePairs(create("orpo", "orpo"), [pair], nodeRuntime)).metrics.log_odds_chosen![0]!;
  };

  it("keep their digits where the likelihood a token is near 1, and near 0", async () => {
    for (const average of [-1e-5, -1e-3, -0.1, -0.7, -5, -40, -200]) {
      const exact = -Math.log(Math.expm1(-average));
      expectClose([await oddsOf(average)], [exact], 1e-6);
    }
  });

  it("end at a likelihood of 1 - 1e-6, beyond which they are infinite", async () => {
    const most = await oddsOf(-1e-6);
    expect(most).toBeCloseTo(-Math.log(Math.expm1(1e-6)), 4);
    expect(await oddsOf(0)).toBeCloseTo(most, 5);
  });

  it("still push a rejected completion down that the policy is sure of", async () => {
    const { gradient } = await evaluatePairs(create("orpo", "orpo", { lambda: 1 }), [pairOf([-2, 0], [1, 1])]);
    expect(gradient[0]![1]).toBeGreaterThan(0.4);
  });
});
