import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dpo, ipo, objectivesOf } from "../../src/objectives/index.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { expectClose } from "../support/programs.ts";
import { evaluatePairs, type Pair, type Two } from "./pairs.ts";

const sigma = (x: number): number => 1 / (1 + Math.exp(-x));

const logProbability = fc.double({ min: -300, max: 0, noNaN: true });
const two = <T>(each: fc.Arbitrary<T>) => fc.tuple(each, each);
const pairs: fc.Arbitrary<Pair> = fc.record({
  policy: two(logProbability),
  reference: two(logProbability),
  lengths: two(fc.integer({ min: 1, max: 200 })),
});
const swapTwo = ([chosen, rejected]: Two): Two => [rejected, chosen];
const swap = (pair: Pair): Pair => ({
  policy: swapTwo(pair.policy),
  reference: swapTwo(pair.reference),
  lengths: swapTwo(pair.lengths),
});

/** Every objective over pairs, with settings that use all that it has. */
const all = {
  "sigmoid DPO": dpo({ beta: 0.1 }),
  "conservative DPO": dpo({ beta: 0.3, labelSmoothing: 0.1 }),
  "averaged IPO": ipo({ beta: 0.1 }),
  "summed IPO": ipo({ beta: 0.3, ipoSum: true }),
};
const withoutReference = {
  "reference-free DPO": dpo({ beta: 0.1, referenceFree: true }),
  "reference-free IPO": ipo({ beta: 0.1, referenceFree: true }),
};

describe("golden numbers", () => {
  interface Golden {
    policy: Two[];
    reference: Two[];
    lengths: Two[];
    results: {
      setting: {
        loss: "sigmoid" | "ipo";
        beta: number;
        labelSmoothing?: number;
        referenceFree?: boolean;
        ipoSum?: boolean;
      };
      losses: number[];
      gradient: Two[];
    }[];
  }
  const golden = JSON.parse(
    readFileSync(new URL("../golden/objectives/pairwise.json", import.meta.url), "utf8"),
  ) as Golden;
  const rows: Pair[] = golden.policy.map((policy, i) => ({
    policy,
    reference: golden.reference[i]!,
    lengths: golden.lengths[i]!,
  }));

  it.each(golden.results)("$setting: losses and gradients equal PyTorch's", async ({ setting, losses, gradient }) => {
    const { loss, ...options } = setting;
    const definition = objectivesOf("dpo").find(({ name }) => name === loss)!;
    const objective = definition.create(options);
    const result = await evaluatePairs(objective, rows);
    expectClose(result.losses, losses, 1e-13);
    // PyTorch's is the gradient of the mean loss.
    expectClose(
      result.gradient.flat().map((x) => x / rows.length),
      gradient.flat(),
      1e-13,
    );
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

  it("one pair through every objective", async () => {
    const pair: Pair = { policy: [-12, -20], reference: [-13.5, -18], lengths: [6, 5] };
    const loss = async (objective: ReturnType<typeof dpo>) => (await evaluatePairs(objective, [pair])).losses[0];
    expect(await loss(dpo({ beta: 0.1 }))).toBeCloseTo(0.533382, 6);
    expect(await loss(dpo({ beta: 0.1, labelSmoothing: 0.1 }))).toBeCloseTo(0.568382, 6);
    expect(await loss(ipo({ beta: 0.1 }))).toBeCloseTo(18.9225, 6);
    expect(await loss(ipo({ beta: 0.1, ipoSum: true }))).toBeCloseTo(2.25, 6);
  });
});

describe.each(Object.entries(all))("%s", (_, objective) => {
  it("starts at one loss with rewards of 0 while the policy is the reference", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(pairs, { minLength: 1, maxLength: 3 }), async (drawn) => {
        const start = drawn.map((pair) => ({ ...pair, reference: pair.policy }));
        const { losses, metrics } = await evaluatePairs(objective, start);
        expectClose(
          losses,
          start.map(() => losses[0]!),
          1e-12,
        );
        for (const name of ["rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies"]) {
          expect(metrics[name]!.map(Math.abs)).toEqual(start.map(() => 0));
        }
      }),
      { numRuns: 20 },
    );
  });

  it("does not change with what policy and reference think of the prompt", async () => {
    await fc.assert(
      fc.asyncProperty(pairs, fc.double({ min: -50, max: 0, noNaN: true }), async (pair, shift) => {
        const both = ([chosen, rejected]: Two): Two => [chosen + shift, rejected + shift];
        const shifted = { ...pair, policy: both(pair.policy), reference: both(pair.reference) };
        const { losses, gradient } = await evaluatePairs(objective, [pair, shifted]);
        expectClose([losses[1]!], [losses[0]!], 1e-9);
        expectClose(gradient[1]!, gradient[0]!, 1e-9);
      }),
      { numRuns: 30 },
    );
  });

  it("looks at each pair by itself", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(pairs, { minLength: 2, maxLength: 4 }), async (drawn) => {
        const together = await evaluatePairs(objective, drawn);
        for (const [i, pair] of drawn.entries()) {
          const alone = await evaluatePairs(objective, [pair]);
          expect(alone.losses).toEqual([together.losses[i]]);
          expect(alone.gradient).toEqual([together.gradient[i]]);
        }
      }),
      { numRuns: 10 },
    );
  });
});

describe("sigmoid DPO", () => {
  const beta = 0.1;
  const marginOf = ({ policy, reference }: Pair) => beta * (policy[0] - reference[0] - (policy[1] - reference[1]));

  it("pulls the chosen up and the rejected down by beta sigma(-margin)", async () => {
    await fc.assert(
      fc.asyncProperty(pairs, async (pair) => {
        const { gradient } = await evaluatePairs(dpo({ beta }), [pair]);
        const weight = beta * sigma(-marginOf(pair));
        expectClose(gradient[0]!, [-weight, weight], 1e-12);
      }),
      { numRuns: 30 },
    );
  });

  it("mirrors when chosen and rejected change places: the losses differ by the margin", async () => {
    await fc.assert(
      fc.asyncProperty(pairs, async (pair) => {
        const { losses, gradient, metrics } = await evaluatePairs(dpo({ beta }), [pair, swap(pair)]);
        expectClose([losses[1]! - losses[0]!], [marginOf(pair)], 1e-10);
        expectClose([gradient[0]![0] + gradient[1]![0]], [-beta], 1e-10);
        expect(metrics["rewards/chosen"]![1]).toBe(metrics["rewards/rejected"]![0]);
        expect(metrics["rewards/accuracies"]!.reduce((a, b) => a + b)).toBe(
          metrics["rewards/margins"]![0] === 0 ? 0 : 1,
        );
      }),
      { numRuns: 30 },
    );
  });

  it("with smoothed labels is the mean over both ways to label, weighted by their probability", async () => {
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

  it("mirrors when chosen and rejected change places: the margin changes its sign", async () => {
    await fc.assert(
      fc.asyncProperty(pairs, async (pair) => {
        const target = 1 / (2 * 0.1);
        const { losses } = await evaluatePairs(ipo({ beta: 0.1 }), [pair, swap(pair)]);
        const margin = (losses[1]! - losses[0]!) / (4 * target);
        expectClose(losses, [(margin - target) ** 2, (-margin - target) ** 2], 1e-9);
      }),
      { numRuns: 30 },
    );
  });
});

describe("without a reference", () => {
  it.each(Object.entries(withoutReference))("%s reads none", async (_, objective) => {
    expect(objective.needsReference).toBe(false);
    await fc.assert(
      fc.asyncProperty(pairs, async (pair) => {
        const { losses } = await evaluatePairs(objective, [pair, { ...pair, reference: [-1, -2] }]);
        expect(losses[1]).toBe(losses[0]);
      }),
      { numRuns: 10 },
    );
  });

  it("equals the objective with a reference that gives every completion the same log-probability", async () => {
    const pair: Pair = { policy: [-12, -20], reference: [-7, -7], lengths: [3, 3] };
    const free = await evaluatePairs(dpo({ beta: 0.1, referenceFree: true }), [pair]);
    expectClose(free.losses, (await evaluatePairs(dpo({ beta: 0.1 }), [pair])).losses, 1e-13);
  });
});

describe("metrics", () => {
  it("are beta times the log-ratio whatever the loss, and a tie is not accurate", async () => {
    const tied: Pair = { policy: [-10, -10], reference: [-12, -12], lengths: [5, 9] };
    for (const objective of [dpo({ beta: 0.5 }), ipo({ beta: 0.5 })]) {
      const { metrics } = await evaluatePairs(objective, [tied]);
      expect(metrics).toEqual({
        "rewards/chosen": [1],
        "rewards/rejected": [1],
        "rewards/margins": [0],
        "rewards/accuracies": [0],
      });
    }
  });
});

describe("on the engine", () => {
  it.each(Object.entries({ ...all, ...withoutReference }))(
    "%s stays finite with log-probabilities that differ by 10,000 nats",
    async (_, objective) => {
      const extremes: Pair[] = [
        { policy: [0, -1e4], reference: [-1e4, 0], lengths: [1, 1] },
        { policy: [-1e4, 0], reference: [0, -1e4], lengths: [1, 1] },
        { policy: [-1e4, -1e4], reference: [-1e4, -1e4], lengths: [1000, 1] },
      ];
      const fast = await evaluatePairs(objective, extremes, nodeRuntime);
      const exact = await evaluatePairs(objective, extremes);
      for (const values of [fast.losses, fast.gradient.flat(), ...Object.values(fast.metrics)]) {
        expect(values.every(Number.isFinite)).toBe(true);
      }
      expectClose(fast.losses, exact.losses, 1e-6);
      expectClose(fast.gradient.flat(), exact.gradient.flat(), 1e-6);
    },
  );
});
