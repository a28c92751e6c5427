/** Whole runs through the library: what they leave behind, what they tell a watcher, and how they fail. */

import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { openCheckpoint } from "../../src/checkpoints/open.ts";
import { readAdapter } from "../../src/checkpoints/peft.ts";
import { CheckpointError, ConfigError, DataError, RunError, TrainingError } from "../../src/errors.ts";
import { flatConfig } from "../../src/training/config.ts";
import { methods, resolveConfig } from "../../src/training/methods.ts";
import type { Metrics, RunResult, RunSummary, Sample } from "../../src/training/observer.ts";
import type { DpoOptions } from "../../src/training/tuners.ts";
import { dpo } from "../../src/training/tuners.ts";
import { scratchFolder } from "../support/scratch.ts";
import { tinyModel, tinyWeights, writePairs, writeTinyModel } from "../support/tiny-model.ts";

const { at, json, lines, read } = scratchFolder();

const model = writeTinyModel(at("model"));
const data = writePairs(at("pairs.jsonl"), 8);
const evalData = writePairs(at("held-out.jsonl"), 3, 100);

const options = (output: string, changes: Partial<DpoOptions> = {}): DpoOptions => ({
  model,
  data,
  output: at(output),
  batchSize: 4,
  learningRate: 1e-3,
  loraRank: 2,
  samplePrompts: 0,
  threads: 1,
  ...changes,
});

describe("a run", () => {
  const settings = options("run", { evalData, evalEvery: 1, saveEvery: 1, samplePrompts: 2, sampleTokens: 4 });
  const told = {
    stages: [] as string[],
    steps: [] as Metrics[],
    evaluations: [] as Metrics[],
    samples: [] as Sample[],
  };
  const checkpoints: [string, number][] = [];
  let summary: RunSummary;
  let result: RunResult;
  beforeAll(async () => {
    result = await dpo(settings, {
      observer: {
        onStage: (stage) => told.stages.push(stage),
        onStart: (start) => (summary = start),
        onStep: (metrics) => told.steps.push(metrics),
        onEvaluation: (metrics) => told.evaluations.push(metrics),
        onSamples: (samples) => told.samples.push(...samples),
        onCheckpoint: (path, step) => checkpoints.push([path, step]),
      },
    });
  });

  it("keeps everything in its directory: settings, machine, data, numbers, samples, checkpoints, result", () => {
    expect(readdirSync(at("run")).toSorted()).toEqual([
      "adapter",
      "checkpoints",
      "config.json",
      "data.json",
      "environment.json",
      "eval-rows.jsonl",
      "metrics.jsonl",
      "outcome.json",
      "samples.jsonl",
      "suspects.jsonl",
    ]);
    expect(json("run", "config.json")).toEqual(
      JSON.parse(JSON.stringify(flatConfig(resolveConfig(methods.dpo!, settings)))),
    );
    expect(json("run", "environment.json")).toMatchObject({ node: process.version, threads: 1, device: "cpu" });
    expect(json("run", "data.json")).toMatchObject({
      train: { files: [data], read: 8, used: 8, dropped: 0, tokensSha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
      eval: { files: [evalData], read: 3, used: 3, dropped: 0 },
    });
    expect(readAdapter(at("run", "adapter"))).toMatchObject({ rank: 2, baseModel: model });
  });

  it("tells a watcher what it writes", () => {
    expect(lines<Metrics>("run", "metrics.jsonl")).toEqual([
      told.evaluations[0],
      told.steps[0],
      told.evaluations[1],
      told.steps[1],
      told.evaluations[2],
    ]);
    expect(lines<Sample>("run", "samples.jsonl")).toEqual(told.samples);
    expect(told.samples.map(({ step }) => step)).toEqual([1, 1, 2, 2]);
    expect(checkpoints).toEqual([[at("run", "checkpoints", "step-000001"), 1]]);
    expect([...new Set(told.stages)]).toEqual([
      "opening",
      "reading",
      "loading",
      "compiling",
      "checking",
      "evaluating",
      "training",
      "sampling",
      "saving",
    ]);
    expect(summary).toMatchObject({
      family: "llama",
      parameters: [...tinyModel.weights.values()].reduce((n, shape) => n + shape.reduce((a, b) => a * b, 1), 0),
      examples: 8,
      heldOut: 3,
      steps: 2,
      firstStep: 0,
    });
    expect(summary.trainable).toBe(
      [...readAdapter(at("run", "adapter")).modules.values()].reduce((n, { a, b }) => n + a.length + b.length, 0),
    );
  });

  it("answers the first held-out prompts, the reference's answers staying what they were", () => {
    const questions = lines<{ prompt: [{ content: string }] }>("held-out.jsonl").map(({ prompt }) => prompt[0].content);
    told.samples.forEach(({ prompt }, i) => {
      expect(prompt).toContain(questions[i % 2]);
    });
    const references = told.samples.map(({ reference }) => reference);
    expect(references.slice(2)).toEqual(references.slice(0, 2));
  });

  it("evaluates under the trainer's names with eval_ before them", () => {
    const position = ["step", "time", "examples", "memory_bytes"];
    const ofSteps = [...position, "grad_norm", "learning_rate", "examples_per_second", "tokens_per_second"];
    const measured = Object.keys(told.steps[0]!).filter((name) => !ofSteps.includes(name));
    const names = measured.map((name) => `eval_${name}`);
    const [atStart, ...later] = told.evaluations.map((evaluation) => new Set(Object.keys(evaluation)));
    expect(atStart).toEqual(new Set([...position, ...names]));
    const once = ["eval_length_correlation", "eval_gap/margins", "eval_gap/accuracies"];
    for (const found of later) expect(found).toEqual(new Set([...position, ...names, ...once]));
    expect(told.evaluations[0]).toMatchObject({
      eval_loss: expect.closeTo(Math.LN2, 6),
      eval_kl: expect.closeTo(0, 9),
    });
    expect(told.evaluations[2]!.eval_kl).toBeGreaterThan(0);
  });

  it("comes to its first and last evaluation, its last samples and its result", () => {
    expect(result).toEqual({
      output: at("run"),
      result: at("run", "adapter"),
      step: 2,
      steps: 2,
      suspects: 0,
      warnings: [],
      before: told.evaluations[0],
      after: told.evaluations[2],
      samples: told.samples.slice(2),
    });
    const card = read("run", "adapter", "README.md");
    const { eval_loss: after } = told.evaluations[2]!;
    expect(card).toContain(`| eval_loss | ${Math.LN2.toPrecision(4)} | ${after!.toPrecision(4)} |`);
  });
});

describe("a run of full tuning", () => {
  it("leaves a whole model, weights changed, tokenizer kept", async () => {
    const { result, before, after } = await dpo(options("full", { tuning: "full", learningRate: 1e-4 }));
    expect([before!.step, after!.step]).toEqual([1, 2]); // Training steps, as there is no evaluation.
    using tuned = await openCheckpoint(result!);
    using original = await openCheckpoint(model);
    expect(tuned.tokenizer).toEqual({ ...original.tokenizer, source: result });
    expect([...tuned.tensors.keys()].toSorted()).toEqual([...original.tensors.keys()].toSorted());
    for (const name of ["model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"]) {
      expect(
        Buffer.compare(Buffer.from(tuned.read(name).buffer), Buffer.from(original.read(name).buffer)),
        name,
      ).not.toBe(0);
    }
  });
});

describe("a run is never made over something else:", () => {
  it("an existing run", async () => {
    mkdirSync(at("taken"));
    writeFileSync(at("taken", "config.json"), "{}");
    await expect(dpo(options("taken"))).rejects.toThrow(
      new RunError(`${at("taken")}: there is a run already. Go on with it by --resume, or give another --output.`),
    );
    expect(readdirSync(at("taken"))).toEqual(["config.json"]);
  });

  it("a folder with files in it, or a file", async () => {
    const message = (name: string) =>
      new RunError(`${at(name)}: is there already and not empty. Give another --output.`);
    mkdirSync(at("notes"));
    writeFileSync(at("notes", "todo.txt"), "");
    await expect(dpo(options("notes"))).rejects.toThrow(message("notes"));
    await expect(dpo(options("pairs.jsonl"))).rejects.toThrow(message("pairs.jsonl"));
  });

  it("but in an empty folder it may be", async () => {
    mkdirSync(at("empty"));
    expect(await dpo(options("empty", { maxSteps: 1 }))).toMatchObject({ step: 1 });
  });
});

describe("a run that fails before its first step", () => {
  const broken = tinyWeights();
  (broken["model.layers.1.mlp.up_proj.weight"]!.data as Float32Array)[3] = Number.POSITIVE_INFINITY;
  writeTinyModel(at("broken"), broken);
  writeFileSync(at("wrong.jsonl"), '{"prompt": "Hello"}\n');

  it.each<[string, Partial<DpoOptions>, new (message: string) => Error, RegExp]>([
    ["a model that is not there", { model: at("nothing") }, CheckpointError, /nothing: can't be opened/],
    ["data that can't be read", { data: at("wrong.jsonl") }, DataError, /wrong\.jsonl line 1/],
    ["a layer that is not there", { loraTargets: "c_attn" }, ConfigError, /no linear layer "c_attn"/],
    ["an adapter under full tuning", { tuning: "full", adapter: at("run", "adapter") }, ConfigError, /--tuning full/],
    ["an adapter that is not there", { adapter: at("model") }, CheckpointError, /adapter_config\.json/],
    [
      "a model with an infinite weight",
      { model: at("broken"), evalData },
      TrainingError,
      /^Before the first step the loss is not finite at .*pairs\.jsonl line \d.*weights hold values that are not finite/,
    ],
  ])("leaves no directory: %s", async (_, changes, kind, message) => {
    const failed = dpo(options("failed", changes));
    await expect(failed).rejects.toThrow(message);
    await expect(failed).rejects.toBeInstanceOf(kind);
    expect(existsSync(at("failed"))).toBe(false);
  });

  it("leaves no directory though it has evaluated", async () => {
    const evaluated: Metrics[] = [];
    const failed = dpo(options("failed", { evalData }), {
      observer: {
        onEvaluation: (metrics) => {
          evaluated.push(metrics);
          throw new Error("the watcher fails");
        },
      },
    });
    await expect(failed).rejects.toThrow("the watcher fails");
    expect(evaluated).toHaveLength(1);
    expect(existsSync(at("failed"))).toBe(false);
  });
});

describe("a run that diverges", () => {
  it("stops at the first loss that is not finite, names the rows, and keeps the last checkpoint", async () => {
    const changes: Partial<DpoOptions> = {
      tuning: "full",
      learningRate: 1e20,
      batchSize: 1,
      saveEvery: 1,
      shuffle: false,
    };
    const failed = dpo(options("diverged", changes));
    await expect(failed).rejects.toBeInstanceOf(TrainingError);
    await expect(failed).rejects.toThrow(
      `Step 2: the loss is not finite at ${data} line 2. Checkpoints from before are good.`,
    );
    expect(readdirSync(at("diverged", "checkpoints"))).toEqual(["step-000001"]);
    expect(existsSync(at("diverged", "model"))).toBe(false);
    expect(lines<Metrics>("diverged", "metrics.jsonl").map(({ step, loss }) => [step, loss])).toEqual([
      [1, expect.closeTo(Math.LN2, 6)],
    ]);
  });

  it("at its very last step, does not become a result", async () => {
    const failed = dpo(options("overflown", { learningRate: 1e39, maxSteps: 1 }));
    await expect(failed).rejects.toThrow(/^Step 1 made values of ".*lora_B" non-finite, so it was not saved/);
    expect(existsSync(at("overflown", "adapter"))).toBe(false);
  });
});

describe("a disk that can't be written", () => {
  it("is told apart from a defect, with how to go on", async () => {
    const below = join(data, "run");
    await expect(dpo({ ...options(""), output: below })).rejects.toThrow(
      new RunError(
        `${below}: can't be written (a part of the path is a file and not a folder). Mend that, or give another --output; a run that has begun goes on by --resume.`,
      ),
    );
  });

  it("in the middle of a run, leaves what was written, to go on from", async () => {
    const settings = options("full-disk", { saveEvery: 1, batchSize: 2, epochs: 2 });
    const log = at("full-disk", "metrics.jsonl");
    // Nothing can be appended to a folder: the system's refusal, as of a full disk.
    const block = (step: number) => {
      if (step !== 2) return;
      rmSync(log);
      mkdirSync(log);
    };
    const failed = dpo(settings, { observer: { onCheckpoint: (_, step) => block(step) } });
    await expect(failed).rejects.toBeInstanceOf(RunError);
    await expect(failed).rejects.toThrow(`${log}: can't be written (`);
    expect(readdirSync(at("full-disk", "checkpoints"))).toEqual(["step-000001", "step-000002"]);
  });
});

describe("a long run", () => {
  it("takes no more memory as it goes on", async () => {
    const resident: number[] = [];
    const settings = options("long", { tuning: "full", learningRate: 1e-6, batchSize: 1, maxSteps: 300, limit: 4 });
    await dpo(settings, { observer: { onStep: () => resident.push(process.memoryUsage.rss()) } });
    const growth = (resident.at(-1)! - resident[49]!) / 2 ** 20;
    // 250 steps that kept their gradients would hold another 80 MiB.
    expect(growth).toBeLessThan(45);
  });
});
