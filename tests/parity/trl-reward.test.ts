/**
 * Reward models against transformers and TRL's RewardTrainer (tests/reference/trl_reward.py): the same rewards of the same
 * texts, and the same training steps from the same start in the same order, each loss within 1e-3 relative.
 */

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { SafetensorsFile } from "../../src/checkpoints/safetensors.ts";
import { scoreRewards } from "../../src/evaluation/score.ts";
import type { Metrics } from "../../src/training/observer.ts";
import { reward } from "../../src/training/tuners.ts";
import { Distances } from "../support/parity.ts";
import { expectClose } from "../support/programs.ts";
import { writeRewardModel } from "../support/reward-model.ts";

const shared = new URL("../../../shared/", import.meta.url);
const data = new URL("data/hh-rlhf-harmless-base-test.jsonl.gz", shared).pathname;
const model = new URL("models/stories260K", shared).pathname;

const scratch = mkdtempSync(join(tmpdir(), "preftune-reward-"));
afterAll(() => rmSync(scratch, { recursive: true }));
const distances = new Distances("reward");
afterAll(() => distances.write());

const read = (name: string) =>
  JSON.parse(readFileSync(new URL(`../golden/parity/${name}.json`, import.meta.url), "utf8"));

interface Rewards {
  head: number[];
  max_length: number;
  rewards: [number, number][];
  before_end: [number, number][];
}

interface Steps {
  settings: { steps: number; batch_size: number; max_length: number; learning_rate: number; centering_weight?: number };
  head: number[];
  steps: Record<string, number>[];
  parameters: Record<string, { norm: number; change: number }>;
}

describe.skipIf(!existsSync(model) || !existsSync(data))("stories260K (skipped where ../shared is absent)", () => {
  const golden = read("rewards-stories260K") as Rewards;
  const rewardsOf = async (folder: string) => {
    const found: number[] = [];
    const limits = { maxLength: golden.max_length, truncation: "drop" as const, limit: golden.rewards.length };
    await scoreRewards({ model: folder, data, ...limits }, (row) => found.push(row.reward));
    return found;
  };

  it("gives transformers' rewards", async () => {
    const folder = await writeRewardModel(join(scratch, "rewards"), { model, head: golden.head });
    expectClose(await rewardsOf(folder), golden.rewards.flat(), 1e-5);
  });

  it("gives them too where the end token is the padding token: those of the token before the end", async () => {
    const folder = await writeRewardModel(join(scratch, "before-end"), { model, head: golden.head, padToken: 2 });
    expectClose(await rewardsOf(folder), golden.before_end.flat(), 1e-5);
  });

  it.each(["reward", "reward-centered"])("takes TRL's steps: %s", { timeout: 120_000 }, async (name) => {
    const { settings, head, steps: expected, parameters } = read(`steps-stories260K-${name}`) as Steps;
    const steps: Metrics[] = [];
    const { result } = await reward(
      {
        model: await writeRewardModel(join(scratch, `${name}-start`), { model, head }),
        data,
        output: join(scratch, name),
        tuning: "full",
        centeringWeight: settings.centering_weight ?? 0,
        limit: settings.steps * settings.batch_size,
        shuffle: false,
        batchSize: settings.batch_size,
        learningRate: settings.learning_rate,
        maxLength: settings.max_length,
        truncation: "drop",
        threads: 1,
      },
      { observer: { onStep: (metrics) => steps.push(metrics) } },
    );
    expect(steps.length).toBe(settings.steps);
    steps.forEach((found, i) => {
      const where = `step ${i + 1}`;
      const golden = expected[i]!;
      expect(Math.abs(found.loss! / golden.loss! - 1), where).toBeLessThan(1e-3);
      expect(Math.abs(found.grad_norm! / golden.grad_norm! - 1), where).toBeLessThan(1e-2);
      expect(found.learning_rate, where).toBeCloseTo(golden.learning_rate!, 12);
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
    using weights = new SafetensorsFile(join(result!, "model.safetensors"));
    expect([...weights.tensors.keys()].toSorted()).toEqual(Object.keys(parameters).toSorted());
    for (const [tensor, { norm, change }] of Object.entries(parameters)) {
      const found = Math.sqrt(weights.read(tensor).reduce((total, x) => total + x * x, 0));
      expect(Math.abs(found - norm), tensor).toBeLessThan(0.02 * change + 1e-6 * norm);
    }
  });
});
