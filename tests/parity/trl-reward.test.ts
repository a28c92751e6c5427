/**
 * Reward models against transformers and TRL's RewardTrainer (tests/reference/trl_reward.py): the same rewards of the same
 * texts, and the same training steps from the same start in the same order, each loss within 1e-3 relative.
 */

import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { SafetensorsFile } from "../../src/checkpoints/safetensors.ts";
import { scoreRewards } from "../../src/evaluation/score.ts";
import type { Metrics } from "../../src/training/observer.ts";
import { reward } from "../../src/training/tuners.ts";
import { Distances } from "../support/distances.ts";
import {
  expectParameters,
  expectSteps,
  golden,
  type TrlParameters,
  type TrlSettings,
  trlOptions,
} from "../support/parity.ts";
import { expectClose } from "../support/programs.ts";
import { writeRewardModel } from "../support/reward-model.ts";
import { scratchFolder } from "../support/scratch.ts";
import { HH_PAIRS, STORIES, sharedMissing } from "../support/shared.ts";

const { at } = scratchFolder();
const distances = new Distances("reward");
afterAll(() => distances.write());

interface Rewards {
  head: number[];
  max_length: number;
  rewards: [number, number][];
  before_end: [number, number][];
}

interface Steps {
  settings: TrlSettings & { centering_weight?: number };
  head: number[];
  steps: Metrics[];
  parameters: TrlParameters;
}

describe.skipIf(sharedMissing)("stories260K (skipped where ../shared is absent)", () => {
  const expected = golden<Rewards>("rewards-stories260K");
  const rewardsOf = async (folder: string) => {
    const found: number[] = [];
    const limits = {
      maxLength: expected.max_length,
      truncation: "drop" as const,
      limit: expected.rewards.length,
      threads: 1,
    };
    await scoreRewards({ model: folder, data: HH_PAIRS, ...limits }, (row) => found.push(row.reward));
    return found;
  };

  it("gives transformers' rewards", async () => {
    const folder = await writeRewardModel(at("rewards"), { model: STORIES, head: expected.head });
    expectClose(await rewardsOf(folder), expected.rewards.flat(), 1e-5);
  });

  it("gives them too where the end token is the padding token: those of the token before the end", async () => {
    const folder = await writeRewardModel(at("before-end"), { model: STORIES, head: expected.head, padToken: 2 });
    expectClose(await rewardsOf(folder), expected.before_end.flat(), 1e-5);
  });

  it.each(["reward", "reward-centered"])("takes TRL's steps: %s", { timeout: 120_000 }, async (name) => {
    const { settings, head, steps: expected, parameters } = golden<Steps>(`steps-stories260K-${name}`);
    const steps: Metrics[] = [];
    const { result } = await reward(
      {
        ...trlOptions(settings),
        model: await writeRewardModel(at(`${name}-start`), { model: STORIES, head }),
        data: HH_PAIRS,
        output: at(name),
        tuning: "full",
        centeringWeight: settings.centering_weight ?? 0,
      },
      { observer: { onStep: (metrics) => steps.push(metrics) } },
    );
    expectSteps(steps, expected);
    steps.forEach((found, i) => {
      const where = `step ${i + 1}`;
      const golden = expected[i]!;
      expect(found["rewards/margins"], where).toBeCloseTo(golden["rewards/margins"]!, 2);
      expect((found["rewards/chosen"]! + found["rewards/rejected"]!) / 2, where).toBeCloseTo(
        golden["rewards/mean"]!,
        2,
      );
      expect(found["rewards/accuracies"], where).toBe(golden["rewards/accuracies"]);
    });
    const losses = { found: steps.map(({ loss }) => loss!), expected: expected.map(({ loss }) => loss!) };
    const centering = settings.centering_weight;
    const options = centering === undefined ? {} : { centeringWeight: centering };
    distances.add({ name, method: "reward", loss: ["bradley_terry"], options }, losses);
    const file = join(result!, "model.safetensors");
    using weights = new SafetensorsFile(file);
    expect([...weights.tensors.keys()].toSorted()).toEqual(Object.keys(parameters).toSorted());
    expectParameters(file, parameters);
  });
});
