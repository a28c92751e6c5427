import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bradleyTerryLoss } from "../../src/objectives/bradley-terry.ts";
import { plackettLuceRewardLoss } from "../../src/objectives/plackett-luce-reward.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { expectClose } from "../support/programs.ts";
import { evaluateCompletions, type Outcome } from "./completions.ts";
import { evaluatePairs } from "./pairs.ts";

const objective = plackettLuceRewardLoss.create();

function evaluate(rewards: readonly (readonly number[])[], ranks: readonly (readonly number[])[]): Promise<Outcome> {
  const policy = rewards.flat();
  const counts = rewards.map(({ length }) => length);
  const given = { policy, reference: policy.map(() => 0), counts, columns: { rank: ranks.flat() } };
  return evaluateCompletions(objective, given);
}

const reward = fc.double({ min: -20, max: 20, noNaN: true });
const ranking = fc.array(reward, { minLength: 2, maxLength: 5 });
const inOrder = (rewards: readonly number[]) => rewards.map((_, i) => i + 1);

describe("Plackett-Luce reward model", () => {
  it("is the likelihood of choosing the best, then the best of the rest", async () => {
    const rewards = [1.2, -0.3, 0.4, -2];
    const choice = (k: number) => Math.exp(rewards[k]!) / rewards.slice(k).reduce((sum, r) => sum + Math.exp(r), 0);
    const { losses } = await evaluate([rewards], [[1, 2, 3, 4]]);
    expect(losses[0]).toBeCloseTo(-Math.log(choice(0) * choice(1) * choice(2)), 12);
  });

  it("is Bradley and Terry's for two, on the engine bit for bit", async () => {
    await fc.assert(
      fc.asyncProperty(fc.tuple(reward, reward), async (two) => {
        const given = { policy: two, reference: [0, 0], counts: [2], columns: { rank: [1, 2] } };
        const ranked = await evaluateCompletions(objective, given, nodeRuntime);
        const pair = { policy: two, reference: [0, 0], lengths: [1, 1] } as const;
        const { losses, gradient } = await evaluatePairs(bradleyTerryLoss.create(), [pair], nodeRuntime);
        expect(ranked.losses).toEqual(losses);
        expectClose(ranked.gradient, gradient.flat(), 1e-6);
      }),
      { numRuns: 10 },
    );
  });

  it("knows nothing but differences within a prompt, and looks at each prompt by itself", async () => {
    await fc.assert(
      fc.asyncProperty(ranking, ranking, reward, async (first, second, shift) => {
        const apart = await Promise.all([first, second].map((rewards) => evaluate([rewards], [inOrder(rewards)])));
        const shifted = first.map((r) => r + shift);
        const together = await evaluate([shifted, second], [inOrder(first), inOrder(second)]);
        expectClose(
          together.losses,
          apart.flatMap(({ losses }) => losses),
          1e-11,
        );
        expectClose(
          together.gradient,
          apart.flatMap(({ gradient }) => gradient),
          1e-11,
        );
      }),
      { numRuns: 20 },
    );
  });

  it("reports the best's and the worst's reward, and how much of the order is right", async () => {
    const { metrics } = await evaluate(
      [
        [3, 1, 2],
        [0, 1],
      ],
      [
        [1, 2, 3],
        [1, 2],
      ],
    );
    expect(metrics["rewards/best"]).toEqual([3, 0]);
    expect(metrics["rewards/worst"]).toEqual([2, 1]);
    expect(metrics["rewards/margins"]).toEqual([1, -1]);
    expectClose(metrics["rewards/accuracies"]!, [2 / 3, 0], 1e-12);
  });
});
