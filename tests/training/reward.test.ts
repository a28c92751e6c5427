/** A run that trains a reward model: what it writes, what can be done with it, and that an interrupted one equals the whole. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { openCheckpoint } from "../../src/checkpoints/open.ts";
import { loadModel } from "../../src/evaluation/loaded-model.ts";
import { type RewardScore, score, scoreRewards } from "../../src/evaluation/score.ts";
import { loadWeights, modelFor } from "../../src/models/index.ts";
import type { RunResult } from "../../src/training/observer.ts";
import { dpo, reward } from "../../src/training/tuners.ts";
import { interruptAfter, runsFolder } from "../support/runs.ts";
import { writePairs, writeTinyModel } from "../support/tiny-model.ts";

const { at, json, lines, metricsOf, read, writeLines } = runsFolder();

const model = writeTinyModel(at("model"));
const data = writePairs(at("pairs.jsonl"), 10);
const evalData = writePairs(at("held-out.jsonl"), 3, 100);

type Settings = Partial<Parameters<typeof reward>[0]>;

/** 2 epochs of 4 steps: checkpoints after 3 and 6, evaluations after 0, 4 and 8. */
async function run(name: string, settings: Settings = {}, stopAfter?: number, resume = false): Promise<RunResult> {
  const options = {
    ...{ model, data, evalData, batchSize: 3, epochs: 2, learningRate: 1e-3, loraRank: 2 },
    ...{ evalEvery: 4, saveEvery: 3, microBatchTokens: 120, threads: 1 },
    ...settings,
    output: at(name),
  };
  return await reward(options, interruptAfter(stopAfter, { resume }));
}

const resultOf = (name: string) =>
  readdirSync(at(name, "model")).map((file) => [file, readFileSync(at(name, "model", file), "base64")]);

async function rewardsOf(rewardModel: string, rows: string): Promise<RewardScore[]> {
  const found: RewardScore[] = [];
  await scoreRewards({ model: rewardModel, data: rows }, (row) => found.push(row));
  return found;
}

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

describe("a run with an adapter", () => {
  let result: RunResult;
  beforeAll(async () => {
    result = await run("lora");
  });

  it("results in one model that is a reward model, and writes no samples", () => {
    expect(result.result).toBe(at("lora", "model"));
    const others = ["adapter", "samples.jsonl", "reference.jsonl"];
    expect(readdirSync(at("lora")).filter((name) => others.includes(name))).toEqual([]);
    const config = json("lora", "model", "config.json");
    expect(config).toMatchObject({ architectures: ["LlamaForSequenceClassification"], id2label: { 0: "LABEL_0" } });
    const card = read("lora", "model", "README.md");
    expect(card).toContain("library_name: transformers");
    expect(card).toContain("# Reward model of preferences");
    expect(card).toContain("nothing after it");
  });

  it("says rewards, and nothing of log-probabilities or of a reference", () => {
    const [first, step] = metricsOf("lora");
    for (const line of [first!, step!]) {
      const names = Object.keys(line).map((name) => name.replace("eval_", ""));
      expect(names).toEqual(
        expect.arrayContaining([
          "loss",
          "rewards/chosen",
          "rewards/rejected",
          "rewards/margins",
          "rewards/accuracies",
          "lengths/chosen",
          "lengths/rejected",
        ]),
      );
      expect(names.filter((name) => /^(logps|kl|drift)/.test(name))).toEqual([]);
    }
    // A reward model that has learned to like length says so.
    expect(Math.abs(first!.eval_length_correlation!)).toBeLessThanOrEqual(1);
  });

  it("has merged into its result what its last evaluation measured", async () => {
    const last = metricsOf("lora").at(-1)!;
    const found = await rewardsOf(result.result!, evalData);
    const of = (side: string) => mean(found.filter(({ completion }) => completion === side).map((row) => row.reward));
    expect(of("chosen")).toBeCloseTo(last["eval_rewards/chosen"]!, 5);
    expect(of("rejected")).toBeCloseTo(last["eval_rewards/rejected"]!, 5);
  });

  it("trains the adapter and the head, and nothing else", async () => {
    using before = await openCheckpoint(model);
    using after = await openCheckpoint(result.result!);
    const shape = modelFor(after);
    const weights = await loadWeights(after, shape);
    const adapted = new Set([...shape.linearModules.map((module) => `${module}.weight`), "score.weight"]);
    for (const name of shape.weights.keys()) {
      const same = name !== "score.weight" && before.read(name).every((x, i) => x === weights[name]!.data[i]);
      expect(same, name).toBe(!adapted.has(name));
    }
  });

  it("equals itself interrupted after 2 and 5 steps, and run again", async () => {
    await run("lora-parts", {}, 2);
    await run("lora-parts", {}, 3, true);
    await run("lora-parts", {}, undefined, true);
    await run("lora-again");
    for (const name of ["lora-parts", "lora-again"]) {
      expect(metricsOf(name)).toEqual(metricsOf("lora"));
      expect(resultOf(name)).toEqual(resultOf("lora"));
    }
  });

  it("gives its result again when it is resumed after its end", async () => {
    expect(await run("lora", {}, undefined, true)).toEqual(result);
  });

  it("can go on from the adapter of another run, which is then in its result", async () => {
    const tuned = {
      model,
      data,
      output: at("dpo-first"),
      maxSteps: 2,
      learningRate: 1e-2,
      loraRank: 2,
      samplePrompts: 0,
    };
    const { result: adapter } = await dpo(tuned);
    const continued = await run("continued", { adapter: adapter!, maxSteps: 1, learningRate: 1e-9 });
    const [before, after] = metricsOf("continued").filter((line) => "eval_loss" in line);
    expect(before!.eval_loss).not.toBe(metricsOf("lora")[0]!.eval_loss);
    const found = await rewardsOf(continued.result!, evalData);
    const chosen = found.filter(({ completion }) => completion === "chosen").map((row) => row.reward);
    expect(mean(chosen)).toBeCloseTo(after!["eval_rewards/chosen"]!, 5);
    expect(after!["eval_rewards/chosen"]).toBeCloseTo(before!["eval_rewards/chosen"]!, 5);
  });

  it("starts another head for another seed", async () => {
    await run("seed", { seed: 1, maxSteps: 1 });
    expect(metricsOf("seed")[0]!.eval_loss).not.toBe(metricsOf("lora")[0]!.eval_loss);
  });

  it("can be trained on: a reward model keeps its head", async () => {
    await run("further", { model: result.result!, maxSteps: 1 });
    expect(metricsOf("further")[0]!.eval_loss).toBeCloseTo(metricsOf("lora").at(-1)!.eval_loss!, 5);
  });
});

describe("a run of all weights", () => {
  it("equals itself interrupted", async () => {
    const settings: Settings = { tuning: "full", centeringWeight: 0.1 };
    await run("full", settings);
    await run("full-parts", settings, 4);
    await run("full-parts", settings, undefined, true);
    expect(metricsOf("full-parts")).toEqual(metricsOf("full"));
    expect(resultOf("full-parts")).toEqual(resultOf("full"));
  });

  it("learns from rankings", async () => {
    const pairs = lines<Record<string, string>>("pairs.jsonl");
    const rankings = writeLines(
      "ranked.jsonl",
      pairs.map(({ prompt, chosen, rejected }, i) => {
        const other = pairs[(i + 1) % pairs.length]!.rejected;
        return { prompt, ranked: [chosen, other, rejected] };
      }),
    );
    const ranked = { data: rankings, evalData: rankings, microBatchTokens: 400 };
    const { after } = await run("ranked", { ...ranked, tuning: "full", loss: "plackett_luce", epochs: 6 });
    expect(after!["eval_rewards/best"]! - after!["eval_rewards/worst"]!).toBeGreaterThan(0.5);
    expect(after!["eval_rewards/accuracies"]).toBeGreaterThan(0.9);
  });

  it("asks for a row's margin where that has a weight", async () => {
    const withMargin = lines<object>("pairs.jsonl").map((row) => ({ ...row, margin: 3 }));
    const rows = writeLines("margins.jsonl", withMargin);
    await run("margins", { data: rows, evalData: rows, marginWeight: 1, maxSteps: 1 });
    const [first] = metricsOf("margins");
    expect(first!.eval_loss).toBeGreaterThan(2.5);
    await expect(run("no-margins", { marginWeight: 1 })).rejects.toThrow("margin");
    expect(existsSync(at("no-margins"))).toBe(false);
  });
});

describe("a reward model", () => {
  let rewardModel: string;
  beforeAll(async () => {
    rewardModel = (await run("small", { maxSteps: 1 })).result!;
  });

  it("is refused by what needs a language model, and a language model where a reward model is needed", async () => {
    const refusal = `${rewardModel}: is a reward model, which says how good a text is but can't write one`;
    await expect(dpo({ model: rewardModel, data, output: at("dpo") })).rejects.toThrow(refusal);
    await expect(score({ model: rewardModel, data }, () => {})).rejects.toThrow(refusal);
    await expect(loadModel(rewardModel)).rejects.toThrow(refusal);
    await expect(rewardsOf(model, data)).rejects.toThrow(`${model}: is a language model and has no reward head`);
    expect(existsSync(at("dpo"))).toBe(false);
  });

  it("writes no samples, whatever is asked", async () => {
    await expect(run("samples", { samplePrompts: 1 })).rejects.toThrow("samplePrompts");
    await expect(run("samples", { klSamples: 1 })).rejects.toThrow("klSamples");
    await expect(run("samples", { maxKl: 1 })).rejects.toThrow("a reward model has no reference. Leave it out.");
  });
});
