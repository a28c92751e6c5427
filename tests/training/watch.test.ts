/** Runs that are watched over: the leash, early stopping, the best checkpoint, samples, suspects, and what is written of them. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import type { Suspect } from "../../src/diagnostics/suspects.ts";
import type { Metrics, RunResult, Warning } from "../../src/training/observer.ts";
import { type DpoOptions, dpo, simpo } from "../../src/training/tuners.ts";
import { scratchFolder } from "../support/scratch.ts";
import { writePairs, writeTinyModel } from "../support/tiny-model.ts";

const { at, json, lines, writeLines } = scratchFolder();

const model = writeTinyModel(at("model"));
const data = writePairs(at("pairs.jsonl"), 8);
const evalData = writePairs(at("held-out.jsonl"), 6, 100);

const settings = (output: string, changes: Partial<DpoOptions> = {}): DpoOptions => ({
  model,
  data,
  evalData,
  output: at(output),
  batchSize: 4,
  learningRate: 1e-3,
  schedule: "constant",
  loraRank: 2,
  evalEvery: 1,
  samplePrompts: 0,
  threads: 1,
  ...changes,
});

const evaluations = (name: string) => lines<Metrics>(name, "metrics.jsonl").filter((line) => "eval_loss" in line);
const adapter = (name: string) => readFileSync(at(name, "adapter", "adapter_model.safetensors"));

describe("a healthy run", () => {
  it("has no warnings", async () => {
    const warned: Warning[] = [];
    const result = await dpo(settings("healthy", { epochs: 3, klSamples: 8, sampleTokens: 8 }), {
      observer: { onWarning: (warning) => warned.push(warning) },
    });
    expect([warned, result.warnings, existsSync(at("healthy", "warnings.jsonl"))]).toEqual([[], [], false]);
    expect(result).not.toHaveProperty("stopped");
  });
});

describe("early stopping", () => {
  // So large a rate that what is learned of eight pairs is soon wrong of others.
  const tooFast = { learningRate: 3e-2, epochs: 10, earlyStopping: 2, keepCheckpoints: 1 };
  let result: RunResult;
  beforeAll(async () => {
    result = await dpo(settings("stopped", tooFast));
  });

  it("ends the run after so many evaluations that are no better, and says why", () => {
    const { step, steps, stopped, best } = result;
    const losses = evaluations("stopped").map(({ eval_loss }) => eval_loss!);
    expect(steps).toBe(20);
    expect(step).toBe(best!.step + 2);
    expect(losses).toHaveLength(step + 1);
    expect(best).toEqual({ step: best!.step, metric: "eval_loss", value: Math.min(...losses.slice(1)) });
    expect(stopped).toMatch(new RegExp(`has not improved in 2 evaluations: it was best after step ${best!.step}, `));
    expect(result.after).toEqual(evaluations("stopped")[best!.step]);
  });

  it("has the best evaluation's model as its result", async () => {
    const { step } = result.best!;
    await dpo(settings("until-best", { ...tooFast, earlyStopping: undefined, maxSteps: step }));
    expect(adapter("stopped").equals(adapter("until-best"))).toBe(true);
  });

  it("keeps and names the best checkpoint, and the last", () => {
    const { step } = result.best!;
    const folderOf = (n: number) => `step-${String(n).padStart(6, "0")}`;
    expect(readdirSync(at("stopped", "checkpoints"))).toEqual([folderOf(step), folderOf(result.step)]);
    expect(json("stopped", "best.json")).toEqual({
      ...result.best,
      checkpoint: join("checkpoints", folderOf(step)),
    });
  });

  it("is remembered by a run that has ended", async () => {
    const again = await dpo(settings("stopped", tooFast), { resume: true });
    expect(again).toEqual(result);
  });
});

describe("the best of a run that goes on to its end", () => {
  it("is its result too, where it is kept", async () => {
    const bestMetric = "eval_rewards/margins";
    const result = await dpo(settings("kept", { learningRate: 3e-2, epochs: 4, keepBest: true, bestMetric }));
    const margins = evaluations("kept").map((line) => line[bestMetric]!);
    expect(result.step).toBe(8);
    expect(result.best!.value).toBe(Math.max(...margins.slice(1)));
    expect(result.after!.step).toBe(result.best!.step);
    expect(result).not.toHaveProperty("stopped");
  });
});

describe("samples of the policy", () => {
  it("are measured at each evaluation: no divergence before the first step, and some after", async () => {
    await dpo(settings("sampled", { klSamples: 10, sampleTokens: 6, learningRate: 1e-2 }));
    const found = evaluations("sampled");
    expect(found.map(({ step }) => step)).toEqual([0, 1, 2]);
    expect(found[0]!.eval_kl_samples).toBeCloseTo(0, 6);
    expect(found[2]!.eval_kl_samples).toBeGreaterThan(1e-4);
    for (const line of found) {
      expect(line.eval_kl_samples_stderr).toBeLessThanOrEqual(line.eval_kl_samples! + 1e-6);
      expect(line["eval_samples/lengths"]).toBeLessThanOrEqual(6);
      for (const share of ["repetition", "ended"]) {
        expect(line[`eval_samples/${share}`]).toBeGreaterThanOrEqual(0);
        expect(line[`eval_samples/${share}`]).toBeLessThanOrEqual(1);
      }
    }
  });

  it("are measured without held-out rows as well, on training prompts", async () => {
    const seen: Metrics[] = [];
    const options = settings("sampled-training", { evalData: undefined, klSamples: 2, sampleTokens: 4 });
    await dpo(options, { observer: { onEvaluation: (metrics) => seen.push(metrics) } });
    expect(seen.map(({ step }) => step)).toEqual([0, 1, 2]);
    expect(Object.keys(seen[1]!)).toEqual([
      "step",
      "eval_kl_samples",
      "eval_kl_samples_stderr",
      "eval_samples/repetition",
      "eval_samples/ended",
      "eval_samples/lengths",
      "time",
      "examples",
      "memory_bytes",
    ]);
  });

  it("may be longer than all of the data's completions", async () => {
    const result = await dpo(settings("long", { klSamples: 1, sampleTokens: 400, maxSteps: 1, evalData: undefined }));
    expect(result.step).toBe(1);
  });
});

describe("the leash", () => {
  it("stops the run where it is passed, with checkpoint and result, and a warning", async () => {
    const result = await dpo(settings("leashed", { maxKl: 1e-4, epochs: 5 }));
    expect(result).toMatchObject({ steps: 10, result: at("leashed", "adapter") });
    expect(result.step).toBeLessThan(10);
    expect(result.stopped).toMatch(/^KL to the reference is .* nats on held-out rows, above --max-kl 0\.0001$/);
    expect(result.warnings.map(({ name }) => name)).toEqual(["beyond-max-kl"]);
    expect(readdirSync(at("leashed", "checkpoints"))).toHaveLength(1);
  });

  it("only warns where that is asked for, once", async () => {
    const warned: Warning[] = [];
    const options = settings("warned", { maxKl: 1e-4, maxKlAction: "warn", epochs: 2 });
    const result = await dpo(options, { observer: { onWarning: (warning) => warned.push(warning) } });
    expect(result.step).toBe(4);
    expect(warned.map(({ name }) => name)).toEqual(["beyond-max-kl"]);
    expect(lines("warned", "warnings.jsonl")).toEqual(warned);
    expect(result.warnings).toEqual(warned);
  });

  it("holds on training rows where nothing else is measured, and a last evaluation is made", async () => {
    const options = settings("leashed-training", { evalData: undefined, evalEvery: 100, maxKl: 1e-4, epochs: 5 });
    const result = await dpo({ ...options, samplePrompts: 1, sampleTokens: 2 });
    expect(result.step).toBeLessThan(10);
    expect(result.samples.map(({ step }) => step)).toEqual([result.step]);
  });
});

describe("rows", () => {
  it("that stand in both orders are named in data.json, and warned of before the first step", async () => {
    const rows = lines<{ chosen: unknown; rejected: unknown }>("pairs.jsonl");
    const { chosen, rejected, ...rest } = rows[2]!;
    const contradicting = [...rows, { ...rest, chosen: rejected, rejected: chosen }];
    writeLines("conflict.jsonl", contradicting);
    const result = await dpo(settings("conflict", { data: at("conflict.jsonl"), maxSteps: 1 }));
    expect(result.warnings).toMatchObject([{ step: 0, name: "conflicting-pairs" }]);
    const [first, last] = [3, 9].map((line) => ({ file: at("conflict.jsonl"), line }));
    expect(json("conflict", "data.json").train.conflictingPairs).toEqual({
      pairs: 2,
      first: [
        [first, last],
        [last, first],
      ],
    });
  });

  it("that are labelled against the others are suspected after some epochs", async () => {
    // One pair eight times, once the wrong way round.
    const [row] = lines<{ chosen: unknown; rejected: unknown }>("pairs.jsonl");
    const turned = { ...row, chosen: row!.rejected, rejected: row!.chosen };
    writeLines("turned.jsonl", [row, row, row, turned, row, row, row, row]);
    const result = await dpo(settings("turned", { data: at("turned.jsonl"), epochs: 8, learningRate: 2e-2 }));
    const suspects = lines<Suspect>("turned", "suspects.jsonl");
    expect(suspects).toMatchObject([{ file: at("turned.jsonl"), line: 4, seen: 8 }]);
    expect(result.suspects).toBe(1);
    expect(suspects[0]!.last_margin).toBeLessThan(0);
    expect(suspects[0]!.mean_weight).toBeGreaterThan(0.6);
  });

  it("are not suspected where rewards are the likelihoods that the model came with", async () => {
    const result = await simpo(settings("likelihoods", { epochs: 2 }));
    const weights = lines<Metrics>("likelihoods", "metrics.jsonl").find(({ step }) => step === 1)!;
    expect(weights["gradient_weights/p90"]! - weights["gradient_weights/p10"]!).toBeGreaterThan(0.1);
    expect([result.suspects, existsSync(at("likelihoods", "suspects.jsonl"))]).toEqual([0, false]);
  });
});
