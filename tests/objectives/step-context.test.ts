/** Objectives over pairs that know more of an optimizer step than each of its pairs. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { expectClose } from "../support/programs.ts";
import { everySetting, objectiveFor, summed } from "./golden-pairs.ts";
import { evaluatePairs, type Pair, sum } from "./pairs.ts";

const { pairs } = summed;
const mean = (values: readonly number[]) => sum(values) / values.length;

describe("some pairs of a step, given the whole step's context,", () => {
  it.each(everySetting.filter(([, { context }]) => context))(
    "%s: have their part of its loss and gradient",
    async (_, objective) => {
      const whole = await evaluatePairs(objective, pairs);
      for (const [start, end] of [
        [0, 3],
        [3, 7],
      ] as const) {
        const part = await evaluatePairs(objective, pairs.slice(start, end), undefined, { step: pairs, start });
        expectClose(part.losses, whole.losses.slice(start, end), 1e-12);
        expectClose(part.gradient.flat(), whole.gradient.slice(start, end).flat(), 1e-12);
      }
    },
  );
});

describe("AOT", () => {
  const orders = fc.shuffledSubarray([...pairs.keys()], { minLength: pairs.length, maxLength: pairs.length });

  it("is not the mean of what each pair would say alone", async () => {
    for (const loss of ["aot", "aot_unpaired"]) {
      const alone = await Promise.all(pairs.map((pair) => evaluatePairs(objectiveFor({ loss }), [pair])));
      const together = await evaluatePairs(objectiveFor({ loss }), pairs);
      expect(mean(alone.map(({ losses }) => losses[0]!))).not.toBeCloseTo(mean(together.losses), 2);
    }
  });

  it("compares distributions: the reference's margins may change places", async () => {
    const objective = objectiveFor({ loss: "aot", beta: 0.5, labelSmoothing: 0.1 });
    const { losses } = await evaluatePairs(objective, pairs);
    await fc.assert(
      fc.asyncProperty(orders, async (order) => {
        const shuffled = pairs.map((pair, i): Pair => ({ ...pair, reference: pairs[order[i]!]!.reference }));
        expectClose((await evaluatePairs(objective, shuffled)).losses, losses, 1e-12);
      }),
      { numRuns: 10 },
    );
  });

  it("unpaired does not care which rejected completion belongs to which chosen one", async () => {
    const objective = objectiveFor({ loss: "aot_unpaired", beta: 0.5, labelSmoothing: 0.1 });
    const { losses, gradient } = await evaluatePairs(objective, pairs);
    await fc.assert(
      fc.asyncProperty(orders, async (order) => {
        const shuffled = pairs.map((pair, i): Pair => {
          const { policy, reference } = pairs[order[i]!]!;
          return { ...pair, policy: [pair.policy[0], policy[1]], reference: [pair.reference[0], reference[1]] };
        });
        const found = await evaluatePairs(objective, shuffled);
        expectClose(found.losses, losses, 1e-12);
        expectClose(
          found.gradient.map(([, rejected]) => rejected),
          order.map((i) => gradient[i]![1]),
          1e-12,
        );
      }),
      { numRuns: 10 },
    );
  });

  it("has a constant for what a completion is matched with: moving one completion moves its own term alone", async () => {
    const objective = objectiveFor({ loss: "aot_unpaired", beta: 0.5 });
    const { losses } = await evaluatePairs(objective, pairs);
    const nudged = pairs.map(
      (pair, i): Pair => (i === 2 ? { ...pair, policy: [pair.policy[0] + 1e-6, pair.policy[1]] } : pair),
    );
    const moved = (await evaluatePairs(objective, nudged)).losses.map((loss, i) => loss !== losses[i]);
    expect(moved).toEqual(pairs.map((_, i) => i === 2));
  });
});

describe("BCO's shift", () => {
  const objective = objectiveFor({ loss: "bco_pair", beta: 0.5, rewardShift: true });
  const rewards = (some: readonly Pair[]) =>
    some.flatMap(({ policy, reference }) => [0, 1].map((side) => 0.5 * (policy[side]! - reference[side]!)));

  it("is the mean reward of all pairs that the run has seen", async () => {
    const first = await evaluatePairs(objective, pairs.slice(0, 3));
    expectClose(first.state, [mean(rewards(pairs.slice(0, 3))), 6], 1e-12);
    const second = await evaluatePairs(objective, pairs.slice(3), undefined, { state: first.state });
    expectClose(second.state, [mean(rewards(pairs)), 14], 1e-12);
  });

  it("moves both rewards: a policy that likes everything better is a policy that has learned nothing", async () => {
    const start = pairs.map((pair) => ({ ...pair, reference: pair.policy }));
    const raised = start.map((pair): Pair => ({ ...pair, policy: [pair.policy[0] + 3, pair.policy[1] + 3] }));
    expectClose((await evaluatePairs(objective, raised)).losses, (await evaluatePairs(objective, start)).losses, 1e-12);
    const plain = objectiveFor({ loss: "bco_pair", beta: 0.5 });
    expect((await evaluatePairs(plain, raised)).losses[0]).toBeGreaterThan(
      (await evaluatePairs(plain, start)).losses[0]! + 0.1,
    );
  });
});

describe("sft", () => {
  it("has the mean over all chosen tokens of the step as its mean, each token counting the same", async () => {
    const { losses, gradient } = await evaluatePairs(objectiveFor({ loss: "sft" }), pairs);
    const tokens = sum(pairs.map(({ lengths }) => lengths[0]));
    expect(mean(losses)).toBeCloseTo(-sum(pairs.map(({ policy }) => policy[0])) / tokens, 12);
    expectClose(
      gradient.flat(),
      pairs.flatMap(() => [-pairs.length / tokens, 0]),
      1e-12,
    );
  });
});
