/** Objectives over pairs that sort a step, or take means over it: that micro-batches are nothing to them. */

import { describe, expect, it } from "vitest";
import { combine, type Objective, objectivesOf } from "../../src/objectives/index.ts";
import { expectClose } from "../support/programs.ts";
import { tinyPairs } from "../support/tiny-model.ts";
import { relativeError, withTrainer } from "../support/trainers.ts";

const create = (name: string, options: Record<string, unknown> = {}) =>
  objectivesOf("dpo")
    .find((definition) => definition.name === name)!
    .create(options);

const objectives: readonly (readonly [string, Objective])[] = [
  ["aot with LD-DPO", create("aot", { beta: 0.5, labelSmoothing: 0.1, ldAlpha: 0.3 })],
  ["aot_unpaired", create("aot_unpaired", { beta: 0.5 })],
  ["bco_pair with its shift", create("bco_pair", { beta: 0.5, rewardShift: true, ldAlpha: 0.3 })],
  ["sft", create("sft")],
  [
    "aot, bco_pair and sft",
    combine([create("aot"), create("bco_pair", { rewardShift: true }), create("sft")], [1, 1, 1]),
  ],
];

/** Two steps with micro-batches of so many tokens, of a policy that has moved off its reference. */
function twoSteps(objective: Objective, microBatchTokens: number) {
  return withTrainer({ objective, microBatchTokens, steps: 2 }, async ({ trainer, engine }) => {
    const pairs = tinyPairs(12);
    const first = await trainer.step(0, pairs.slice(0, 7));
    const gradients = engine.gradients.data.slice();
    const second = await trainer.step(1, pairs.slice(7));
    return { losses: [first.loss!, second.loss!], gradients, state: trainer.objectiveState };
  });
}

describe.each(objectives)("%s", (_, objective) => {
  it("has the same losses, gradient and memory whatever the micro-batches", async () => {
    const large = await twoSteps(objective, 10_000);
    const { losses, gradients, state } = await twoSteps(objective, 50);
    expectClose(losses, large.losses, 1e-4);
    expectClose(state, large.state, 1e-4);
    expect(relativeError(gradients, large.gradients)).toBeLessThan(1e-4);
  });
});

it("the shift of bco_pair remembers the rewards of all steps, and their number", async () => {
  const { state } = await twoSteps(create("bco_pair", { rewardShift: true }), 50);
  expect(state).toHaveLength(2);
  expect(state[1]).toBe(2 * 12);
});
