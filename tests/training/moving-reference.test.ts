/**
 * TR-DPO: the reference follows the policy, by hard and by soft updates, exactly, under full tuning and with an adapter;
 * a run that is interrupted and resumed has the same reference, bit for bit.
 */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { packExamples } from "../../src/data/microbatch.ts";
import { rotaryInputValues } from "../../src/models/index.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { withMovingReference } from "../../src/training/policy/moving-reference.ts";
import {
  continuedPolicy,
  fullPolicy,
  type LoraOptions,
  loraPolicy,
  type Policy,
} from "../../src/training/policy/policy.ts";
import { batchInputs } from "../../src/training/step/engine.ts";
import { scoreProgram } from "../../src/training/step/step.ts";
import { type DpoOptions, dpo } from "../../src/training/tuners.ts";
import { numbers } from "../support/programs.ts";
import { interruptAfter, runsFolder } from "../support/runs.ts";
import { tinyModel, tinyPairs, tinyWeights, writePairs, writeTinyModel } from "../support/tiny-model.ts";

const weights = tinyWeights();
const pairs = tinyPairs(3);
const lora: LoraOptions = { rank: 2, alpha: 4, rankStabilized: false, targets: "all-linear", seed: 0 };
const full = () => fullPolicy(tinyModel, weights);
const adapted = () => loraPolicy(tinyModel, weights, lora);

/** The policy with a reference that follows it every so many steps. */
const following = (policy: Policy, every: number, mixup: number) =>
  withMovingReference(policy, { every, mixup, runtime: nodeRuntime, threads: 1 });

/** Moves what is trained, each time elsewhere. */
function train(policy: Policy, turn: number): void {
  policy.trainable.data.set(policy.trainable.data.map((x, i) => x + 0.03 * Math.sin(i * (turn + 1))));
}

/** Log-probabilities of the pairs' completions. */
async function scores(policy: Policy, who: "policy" | "reference"): Promise<number[]> {
  const isPolicy = who === "policy";
  const program = scoreProgram(tinyModel, isPolicy ? policy.parameters : policy.referenceParameters);
  await using scorer = await nodeRuntime.compile(program, { threads: 1 });
  const { logps } = await scorer.run({
    ...(isPolicy ? policy.weights : policy.referenceWeights),
    ...rotaryInputValues(tinyModel, 64),
    ...batchInputs(packExamples(pairs)),
  });
  return numbers(logps!);
}

const distance = (a: readonly number[], b: readonly number[]) => Math.max(...a.map((x, i) => Math.abs(x - b[i]!)));

/** Every weight of the model as the policy has it now, its adapter merged, in double precision. */
function mergedWeights(policy: Policy): Map<string, Float64Array> {
  const merged = new Map(
    [...tinyModel.weights.keys()].map((name) => [name, Float64Array.from(policy.weights[name]!.data as Float32Array)]),
  );
  const adapter = policy.adapter?.();
  for (const [module, { a, b, inFeatures, outFeatures }] of adapter?.modules ?? []) {
    const weight = merged.get(`${module}.weight`)!;
    const rank = a.length / inFeatures;
    for (let row = 0; row < outFeatures; row++) {
      for (let column = 0; column < inFeatures; column++) {
        for (let r = 0; r < rank; r++) {
          weight[row * inFeatures + column]! +=
            (adapter!.alpha / adapter!.rank) * b[row * rank + r]! * a[r * inFeatures + column]!;
        }
      }
    }
  }
  return merged;
}

/** The log-probabilities of a model with these weights. */
async function scoresOf(values: ReadonlyMap<string, Float64Array>): Promise<number[]> {
  const given = [...tinyModel.weights].map(([name, dims]) => [
    name,
    { dims, data: Float32Array.from(values.get(name)!) },
  ]);
  return await scores(fullPolicy(tinyModel, Object.fromEntries(given)), "policy");
}

describe.each([
  ["full tuning", full],
  ["a new adapter", adapted],
  [
    "a continued adapter",
    () => {
      const first = adapted();
      train(first, 5);
      return continuedPolicy(tinyModel, weights, first.adapter!());
    },
  ],
])("with %s", (_, start) => {
  it.each([1, 0.6])("the reference starts where the policy does, at a share of %s", async (mixup) => {
    const policy = await following(start(), 2, mixup);
    const first = await scores(policy, "reference");
    expect(distance(first, await scores(policy, "policy"))).toBeLessThan(1e-4);
    expect(distance(first, await scores(start(), "reference"))).toBeLessThan(1e-4);
    train(policy, 0);
    expect(await scores(policy, "reference")).toEqual(first);
  });

  it("a hard update makes the reference the policy, and no step in between moves it", async () => {
    const policy = await following(start(), 2, 1);
    const first = await scores(policy, "reference");
    for (const step of [0, 1, 3]) {
      train(policy, step);
      await policy.moving!.follow(step);
      expect(policy.moving!.moves).toBe(0);
    }
    expect(await scores(policy, "reference")).toEqual(first);
    await policy.moving!.follow(4);
    expect(policy.moving!.moves).toBe(1);
    const moved = await scores(policy, "policy");
    expect(await scores(policy, "reference")).toEqual(moved);
    train(policy, 4);
    expect(await scores(policy, "reference")).toEqual(moved);
    expect(distance(moved, await scores(policy, "policy"))).toBeGreaterThan(0.1);
  });

  it("soft updates give the mean of the policies' weights, each with its share", async () => {
    const policy = await following(start(), 1, 0.6);
    const expected = mergedWeights(policy);
    for (const step of [1, 2, 3]) {
      train(policy, step);
      await policy.moving!.follow(step);
      for (const [name, weight] of mergedWeights(policy)) {
        const before = expected.get(name)!;
        expected.set(
          name,
          before.map((x, i) => 0.6 * weight[i]! + 0.4 * x),
        );
      }
    }
    expect(distance(await scores(policy, "reference"), await scoresOf(expected))).toBeLessThan(2e-4);
    expect(distance(await scores(policy, "reference"), await scores(policy, "policy"))).toBeGreaterThan(0.1);
  });
});

describe("what a moving reference holds", () => {
  it("is an adapter for hard updates of one, the adapted layers for soft ones, every weight under full tuning", async () => {
    const held = async (policy: Policy, mixup: number) => [
      ...(await following(policy, 1, mixup)).moving!.values.views.keys(),
    ];
    expect(await held(adapted(), 1)).toEqual([...adapted().trainable.views.keys()]);
    expect(await held(adapted(), 0.5)).toEqual(tinyModel.linearModules.map((module) => `${module}.weight`));
    expect(await held(full(), 0.5)).toEqual([...tinyModel.weights.keys()]);
  });

  it("is not what mixing an adapter's matrices would give", async () => {
    const policy = await following(adapted(), 1, 0.5);
    train(policy, 1);
    const naive = policy.trainable.data.slice();
    await policy.moving!.follow(1);
    train(policy, 2);
    await policy.moving!.follow(2);
    const reference = await scores(policy, "reference");
    const start = adapted().trainable.data;
    const mixed = adapted();
    mixed.trainable.data.set(policy.trainable.data.map((x, i) => 0.5 * x + 0.25 * naive[i]! + 0.25 * start[i]!));
    expect(distance(reference, await scores(mixed, "policy"))).toBeGreaterThan(1e-2);
  });

  it("is of the last multiple of the steps before", async () => {
    const { moving } = await following(adapted(), 3, 1);
    expect([0, 1, 3, 4, 6, 7].map((step) => moving!.since(step))).toEqual([0, 0, 0, 3, 3, 6]);
  });
});

const { at, metricsOf, read } = runsFolder();
const model = writeTinyModel(at("model"));
const data = writePairs(at("pairs.jsonl"), 8);
const evalData = writePairs(at("held-out.jsonl"), 2, 100);

const settings: Omit<DpoOptions, "output"> = {
  model,
  data,
  evalData,
  batchSize: 2,
  epochs: 2,
  maxSteps: 6,
  learningRate: 1e-3,
  loraRank: 2,
  evalEvery: 2,
  samplePrompts: 1,
  sampleTokens: 3,
  threads: 1,
};

async function run(name: string, changes: Partial<DpoOptions>, { stopAfter = 0, resume = false } = {}) {
  const options = { ...settings, ...changes, output: at(name) };
  return await dpo(options, interruptAfter(stopAfter, { resume }));
}

describe("a run whose reference follows the policy", () => {
  it("starts anew at each hard update: the loss of the step after it is ln 2, and each line says against what", async () => {
    await run("hard", { syncReference: 2, referenceMixup: 1 });
    const trained = metricsOf("hard").filter((line) => "loss" in line);
    expect(trained.map(({ reference_step }) => reference_step)).toEqual([0, 0, 2, 2, 4, 4]);
    for (const line of trained.filter(({ step }) => step! % 2 === 1)) {
      expect(line.loss).toBeCloseTo(Math.LN2, 6);
      expect(line.kl).toBeLessThan(1e-8);
    }
    for (const line of trained.filter(({ step }) => step! % 2 === 0)) expect(line.kl).toBeGreaterThan(1e-6);
    const evaluated = metricsOf("hard").filter((line) => "eval_loss" in line);
    expect(evaluated.map(({ step, reference_step }) => [step, reference_step])).toEqual([
      [0, 0],
      [2, 0],
      [4, 2],
      [6, 4],
    ]);
    expect(evaluated.slice(1).every(({ eval_kl }) => eval_kl! > 1e-6)).toBe(true);
    expect(existsSync(at("hard", "reference.jsonl"))).toBe(false);
  });

  it.each<[string, Partial<DpoOptions>]>([
    ["hard, with an adapter", { syncReference: 2, referenceMixup: 1 }],
    ["soft, with an adapter", { syncReference: 1 }],
    ["soft, under full tuning", { syncReference: 2, referenceMixup: 0.7, tuning: "full" }],
    ["hard, under TDPO", { syncReference: 2, referenceMixup: 1, loss: "tdpo2" }],
  ])("and is interrupted and resumed equals itself left alone: %s", async (name, moving) => {
    const changes = { ...moving, maxSteps: 4 };
    await run(`${name} whole`, changes);
    // After 1, 2 and 3 steps: before, at and after an update.
    for (const [i, stopAfter] of [1, 1, 1].entries()) await run(`${name} parts`, changes, { stopAfter, resume: i > 0 });
    await run(`${name} parts`, changes, { resume: true });
    expect(metricsOf(`${name} parts`)).toEqual(metricsOf(`${name} whole`));
    expect(read(`${name} parts`, "samples.jsonl")).toBe(read(`${name} whole`, "samples.jsonl"));
    const result = moving.tuning === "full" ? "model" : "adapter";
    const bytes = (run: string) => {
      const file = readdirSync(at(run, result)).find((name) => name.endsWith(".safetensors"))!;
      return readFileSync(at(run, result, file));
    };
    expect(bytes(`${name} parts`).equals(bytes(`${name} whole`))).toBe(true);
  });

  it("is refused where there is no reference to move", async () => {
    const message = /^--sync-reference moves the reference, and --loss sigmoid has none with these settings\./;
    await expect(run("free", { syncReference: 2, referenceFree: true })).rejects.toThrow(message);
    expect(existsSync(at("free"))).toBe(false);
  });

  it("is refused what compares evaluations against different references", async () => {
    const message =
      /^--early-stopping compares evaluations, and --sync-reference moves what they are measured against\./;
    await expect(run("stopping", { syncReference: 2, earlyStopping: 2 })).rejects.toThrow(message);
    await expect(run("best", { syncReference: 2, keepBest: true })).rejects.toThrow(/^--keep-best compares/);
  });

  it("is refused a share without steps", async () => {
    const message = /^--reference-mixup has no effect without --sync-reference/;
    await expect(run("idle", { referenceMixup: 0.5 })).rejects.toThrow(message);
  });
});
