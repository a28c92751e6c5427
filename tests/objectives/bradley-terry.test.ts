import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bradleyTerryLoss } from "../../src/objectives/bradley-terry.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { expectClose } from "../support/programs.ts";
import { evaluatePairs, type Pair, type Two } from "./pairs.ts";

const pairOf = (policy: Two, margin = 0): Pair => ({
  policy,
  reference: [0, 0],
  lengths: [1, 1],
  values: { margin },
});
const rewards = fc.tuple(fc.double({ min: -20, max: 20, noNaN: true }), fc.double({ min: -20, max: 20, noNaN: true }));
const { create } = bradleyTerryLoss;

describe("Bradley-Terry", () => {
  const golden = JSON.parse(readFileSync(new URL("../golden/objectives/reward.json", import.meta.url), "utf8")) as {
    rewards: Two[];
    margins: number[];
    results: {
      setting: { marginWeight?: number; centeringWeight?: number };
      losses: number[];
      gradient: Two[];
    }[];
  };
  const rows = golden.rewards.map((pair, i) => pairOf(pair, golden.margins[i]));

  it.each(golden.results)("$setting: losses and gradients equal PyTorch's", async ({ setting, losses, gradient }) => {
    const result = await evaluatePairs(create(setting), rows);
    expectClose(result.losses, losses, 1e-13);
    // PyTorch's is the gradient of the mean loss.
    const mean = result.gradient.flat().map((x) => x / rows.length);
    expectClose(mean, gradient.flat(), 1e-13);
  });

  it("knows nothing but the difference of the rewards", async () => {
    await fc.assert(
      fc.asyncProperty(rewards, fc.double({ min: -50, max: 50, noNaN: true }), async ([w, l], shift) => {
        const { losses, gradient } = await evaluatePairs(create(), [pairOf([w, l]), pairOf([w + shift, l + shift])]);
        expectClose([losses[1]!], [losses[0]!], 1e-12);
        expectClose(gradient[1]!, gradient[0]!, 1e-12);
        expect(gradient[0]![0]).toBe(-gradient[0]![1]);
      }),
      { numRuns: 30 },
    );
  });

  it("is the likelihood of the preference: that of both orders together is 1", async () => {
    await fc.assert(
      fc.asyncProperty(rewards, async ([w, l]) => {
        const { losses } = await evaluatePairs(create(), [pairOf([w, l]), pairOf([l, w])]);
        expect(Math.exp(-losses[0]!) + Math.exp(-losses[1]!)).toBeCloseTo(1, 12);
      }),
      { numRuns: 30 },
    );
  });

  it("asks for a difference of the margin before it takes a pair for even", async () => {
    const [pair] = (await evaluatePairs(create({ marginWeight: 2 }), [pairOf([3, 1], 1)])).losses;
    expect(pair).toBeCloseTo(Math.LN2, 12);
  });

  it("centred, pulls both rewards by the distance of their sum from 0", async () => {
    const weight = 0.25;
    const [plain, centred] = await Promise.all(
      [0, weight].map((centeringWeight) => evaluatePairs(create({ centeringWeight }), [pairOf([3, 1])])),
    );
    expect(centred!.losses[0]! - plain!.losses[0]!).toBeCloseTo(weight * 16, 12);
    for (const side of [0, 1] as const) {
      expect(centred!.gradient[0]![side] - plain!.gradient[0]![side]).toBeCloseTo(2 * weight * 4, 12);
    }
  });

  it("reports the rewards themselves, and takes a tie for no accurate ranking", async () => {
    const { metrics } = await evaluatePairs(create(), [pairOf([1, -2]), pairOf([1, 1]), pairOf([0, 3])]);
    expect(metrics).toMatchObject({
      "rewards/chosen": [1, 1, 0],
      "rewards/rejected": [-2, 1, 3],
      "rewards/margins": [3, 0, -3],
      "rewards/accuracies": [1, 0, 0],
    });
  });

  it("stays finite on the engine, however far the rewards are apart", async () => {
    const far = [pairOf([1e4, -1e4]), pairOf([-1e4, 1e4])];
    const { losses, gradient } = await evaluatePairs(create(), far, nodeRuntime);
    expect(losses).toEqual([0, 2e4]);
    expect(gradient.flat().map((x) => x + 0)).toEqual([0, 0, -1, 1]);
  });
});
