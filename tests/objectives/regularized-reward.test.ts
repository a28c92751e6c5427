/** Reward under a KL penalty over a finite set of answers: its optimum, why nothing beats it, and what it knows of the reward. */

import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { regularizedReward } from "../../src/objectives/regularized-reward.ts";
import { interpreter } from "../../src/runtime/interpreter.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { gradients, input, logSumExp, reduceSum, sub } from "../../src/tensor/index.ts";
import { evaluate, expectClose } from "../support/programs.ts";
import { type Problem, solve } from "./answers.ts";

interface Scores {
  readonly expectedReward: number;
  readonly divergence: number;
  readonly objective: number;
}
interface Golden extends Problem {
  readonly policy: readonly number[];
  readonly scores: Scores;
  readonly optimum: readonly number[];
  readonly optimumScores: Scores;
}
const golden = JSON.parse(
  readFileSync(new URL("../golden/objectives/regularized-reward.json", import.meta.url), "utf8"),
) as Golden[];

const SIZE = 6;
const weights = fc.array(fc.double({ min: 0.001, max: 1, noNaN: true }), { minLength: SIZE, maxLength: SIZE });
const normalized = (values: readonly number[]) => {
  const total = values.reduce((a, b) => a + b, 0);
  return values.map((value) => value / total);
};
const distribution = weights.map(normalized);
/** Some of its answers never come. */
const sparse = fc
  .tuple(weights, fc.array(fc.boolean(), { minLength: SIZE, maxLength: SIZE }))
  .filter(([, kept]) => kept.some(Boolean))
  .map(([values, kept]) => normalized(values.map((value, i) => (kept[i] ? value : 0))));
const problem: fc.Arbitrary<Problem> = fc.record({
  reference: distribution,
  rewards: fc.array(fc.double({ min: -5, max: 5, noNaN: true }), { minLength: SIZE, maxLength: SIZE }),
  beta: fc.double({ min: -2, max: 2, noNaN: true }).map((power) => 10 ** power),
});

describe("golden numbers", () => {
  it.each([
    ["interpreter", interpreter, 1e-12],
    ["onnxruntime-node", nodeRuntime, 2e-6],
  ] as const)(
    "%s: the optimum is where Newton's method climbs to, the terms are PyTorch's",
    async (_, runtime, within) => {
      for (const { policy, scores, optimum, optimumScores, ...given } of golden) {
        const actual = await solve(given, [policy], runtime);
        expectClose(actual.optimum, optimum, within);
        for (const name of ["expectedReward", "divergence", "objective"] as const)
          expectClose(actual[name], [scores[name]], within);
        expectClose(actual.bestReward, [optimumScores.expectedReward], within);
        expectClose(actual.bestDivergence, [optimumScores.divergence], within);
        expectClose(actual.bestObjective, [optimumScores.objective], within);
      }
    },
  );
});

describe("the optimum", () => {
  it("is a distribution, and no policy scores higher: what one falls short by is beta KL(pi || pi*)", async () => {
    await fc.assert(
      fc.asyncProperty(
        problem,
        fc.array(fc.oneof(distribution, sparse), { minLength: 1, maxLength: 8 }),
        async (given, policies) => {
          const { optimum, bestObjective, objective, fromOptimum } = await solve(given, policies);
          expectClose([optimum.reduce((a, b) => a + b, 0)], [1], 1e-12);
          const scale = 10 + 10 * given.beta;
          for (const [i, score] of objective.entries()) {
            const gap = bestObjective[0]! - score;
            expect(gap).toBeGreaterThanOrEqual(-1e-13 * scale);
            expectClose([gap], [given.beta * fromOptimum[i]!], 1e-11, { floor: scale });
          }
        },
      ),
      { numRuns: 100 },
    );
  });

  it("scores beta log Z", async () => {
    await fc.assert(
      fc.asyncProperty(problem, async (given) => {
        const { bestObjective, logPartition } = await solve(given, [given.reference]);
        expectClose(bestObjective, [given.beta * logPartition[0]!], 1e-11, { floor: 10 + 10 * given.beta });
      }),
    );
  });

  it("is where the gradient table's gradient of J by the policy's logits is 0", async () => {
    await fc.assert(
      fc.asyncProperty(problem, async (given) => {
        const answers = { reference: input("reference", ["A"]), rewards: input("rewards", ["A"]), beta: given.beta };
        const logits = input("logits", [1, "A"]);
        const { objective } = regularizedReward(sub(logits, logSumExp(logits)), answers);
        const [slope] = gradients(reduceSum(objective), [logits]);
        const { optimum } = await solve(given, [given.reference]);
        const values = await evaluate(
          { slope: slope! },
          {
            reference: { dims: [SIZE], data: Float64Array.from(given.reference, Math.log) },
            rewards: { dims: [SIZE], data: Float64Array.from(given.rewards) },
            // An answer whose probability is rounded to 0 has no logarithm, and no slope either.
            logits: { dims: [1, SIZE], data: Float64Array.from(optimum, (p) => Math.log(Math.max(p, 1e-300))) },
          },
        );
        expectClose(values.slope!, new Array(SIZE).fill(0), 1e-11, { floor: 10 + 10 * given.beta });
      }),
    );
  });

  it("gives the reward back: beta log(pi* / pi_ref) + beta log Z = r", async () => {
    await fc.assert(
      fc.asyncProperty(problem, async (given) => {
        const { recovered } = await solve(given, [given.reference]);
        expectClose(recovered, given.rewards, 1e-11, { floor: 10 + 10 * given.beta });
      }),
    );
  });

  it("doesn't feel a constant that is added to all rewards", async () => {
    await fc.assert(
      fc.asyncProperty(problem, fc.double({ min: -5, max: 5, noNaN: true }), async (given, constant) => {
        const shifted = { ...given, rewards: given.rewards.map((reward) => reward + constant) };
        const [one, other] = [await solve(given, [given.reference]), await solve(shifted, [given.reference])];
        expectClose(other.optimum, one.optimum, 1e-10);
      }),
    );
  });
});

describe("the limits of beta", () => {
  const given = { reference: [0.5, 0.3, 0.15, 0.05], rewards: [0, -1, 1, 2] };

  it("large: the reference", async () => {
    const { optimum, bestDivergence } = await solve({ ...given, beta: 1e7 }, [given.reference]);
    expectClose(optimum, given.reference, 1e-6);
    expectClose(bestDivergence, [0], 1e-12);
  });

  it("small: the best answer alone, at the price of its surprise to the reference", async () => {
    const { optimum, bestReward, bestDivergence } = await solve({ ...given, beta: 1e-3 }, [given.reference]);
    expectClose(optimum, [0, 0, 0, 1], 1e-12);
    expectClose(bestReward, [2], 1e-12);
    expectClose(bestDivergence, [-Math.log(0.05)], 1e-12);
  });

  it("small, with two that are best: both, as the reference has them", async () => {
    const { optimum } = await solve({ ...given, rewards: [2, -1, 1, 2], beta: 1e-3 }, [given.reference]);
    expectClose(optimum, [0.5 / 0.55, 0, 0, 0.05 / 0.55], 1e-12);
  });
});

describe("policies", () => {
  it("may leave answers out", async () => {
    const given = { reference: [0.5, 0.3, 0.2], rewards: [1, 2, 3], beta: 0.5 };
    const { expectedReward, divergence, objective } = await solve(given, [[0, 0, 1], given.reference]);
    expectClose(expectedReward, [3, 1.7], 1e-14);
    expectClose(divergence, [-Math.log(0.2), 0], 1e-14);
    expectClose(objective, [3 + 0.5 * Math.log(0.2), 1.7], 1e-14);
  });
});
