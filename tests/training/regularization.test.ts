/** Reference data beside preference data: which rows join each step, what a run says of them, and resuming with them. */

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { ConfigError, DataError, RunError } from "../../src/errors.ts";
import type { Metrics, RunObserver, RunSummary } from "../../src/training/observer.ts";
import type { RunControl } from "../../src/training/run.ts";
import { RoundOrder } from "../../src/training/step/step-order.ts";
import { dpo, type MpoOptions, mpo } from "../../src/training/tuners.ts";
import { interruptAfter, runsFolder } from "../support/runs.ts";
import { writePairs, writeTinyModel } from "../support/tiny-model.ts";

describe("rows that go round", () => {
  const settings = { shuffle: true, seed: 0 };
  const upTo = (n: number) => Array.from({ length: n }, (_, i) => i);

  it("join every step in the same number, each row as often as any other in every pass", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: 9 }),
        fc.boolean(),
        (rows, perStep, shuffle) => {
          const order = new RoundOrder(rows, perStep, { ...settings, shuffle });
          const steps = upTo(2 * rows).map((step) => order.indices(step));
          expect(steps.every((step) => step.length === perStep)).toBe(true);
          const taken = steps.flat();
          for (let start = 0; start < taken.length; start += rows) {
            const pass = taken.slice(start, start + rows);
            expect(shuffle ? pass.toSorted((a, b) => a - b) : pass).toEqual(upTo(rows));
          }
        },
      ),
    );
  });

  it("depend on the seed and the step alone, so that a resumed run goes on with the same", () => {
    const steps = (seed: number) => upTo(9).map((step) => new RoundOrder(5, 3, { ...settings, seed }).indices(step));
    const order = new RoundOrder(5, 3, settings);
    expect(steps(0)).toEqual(upTo(9).map((step) => order.indices(step)));
    expect(steps(1)).not.toEqual(steps(0));
  });
});

const { at, json, lines, metricsOf, writeLines } = runsFolder();

const model = writeTinyModel(at("model"));
const data = writePairs(at("pairs.jsonl"), 10);
const evalData = writePairs(at("held-out.jsonl"), 3, 100);

/** Writes rows of prompt and completion, made of the chosen side of other pairs. */
function writeCompletions(name: string, count: number): string {
  writePairs(at("others.jsonl"), count, 200);
  const pairs = lines<{ prompt: unknown; chosen: unknown }>("others.jsonl");
  const rows = pairs.map(({ prompt, chosen }) => ({ prompt, completion: chosen }));
  return writeLines(name, rows);
}
const regularizationData = writeCompletions("reference.jsonl", 4);

/** 4 steps of 3 pairs an epoch, with 2 rows of reference data each, which go round more than once. */
const settings: Omit<MpoOptions, "output"> = {
  model,
  data,
  evalData,
  regularizationData,
  regularizationBatchSize: 2,
  batchSize: 3,
  epochs: 2,
  learningRate: 1e-3,
  loraRank: 2,
  evalEvery: 4,
  saveEvery: 3,
  samplePrompts: 0,
  microBatchTokens: 120,
  threads: 1,
};

async function run(
  name: string,
  changes: Partial<MpoOptions> = {},
  { stopAfter, ...control }: RunControl & { stopAfter?: number } = {},
) {
  const steps: Metrics[] = [];
  const observer: RunObserver = { ...control.observer, onStep: (metrics) => steps.push(metrics) };
  const options = { ...settings, output: at(name), ...changes };
  const result = await mpo(options, interruptAfter(stopAfter, { ...control, observer }));
  return { result, steps };
}

describe("a run of MPO with reference data", () => {
  let summary: RunSummary;
  let steps: Metrics[];
  beforeAll(async () => {
    ({ steps } = await run("whole", {}, { observer: { onStart: (start) => (summary = start) } }));
  });

  it("accounts for its rows in data.json and to a watcher", () => {
    expect(json("whole", "data.json")).toMatchObject({
      train: { files: [data], used: 10 },
      eval: { files: [evalData], used: 3 },
      regularization: {
        files: [regularizationData],
        read: 4,
        used: 4,
        dropped: 0,
        tokensSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      },
    });
    expect(summary).toMatchObject({ examples: 10, steps: 8 });
    expect(summary.regularizationLedger!.toJSON()).toMatchObject({ used: 4 });
  });

  it("says pairs' numbers of pairs alone, and the likelihood of the reference data", () => {
    for (const metrics of steps) {
      for (const name of ["rewards/margins", "rewards/accuracies", "choices/chosen", "logps/chosen", "nll_loss"]) {
        expect(metrics[name], name).toSatisfy(Number.isFinite);
      }
      expect(metrics["rewards/margins"]).toBeCloseTo(metrics["logps/chosen"]! - metrics["logps/rejected"]!, 3);
      expect(metrics.loss).toBeCloseTo(1 - metrics["choices/chosen"]! + metrics.nll_loss!, 5);
    }
  });

  it("does not depend on micro-batches but for rounding", async () => {
    const large = await run("large", { microBatchTokens: 10_000, maxSteps: 1 });
    const small = await run("small", { microBatchTokens: 1, maxSteps: 1 });
    for (const name of ["loss", "nll_loss", "rewards/margins", "grad_norm"]) {
      expect(small.steps[0]![name]! / large.steps[0]![name]!, name).toBeCloseTo(1, 4);
    }
  });

  it.each([3, 5])("interrupted after %i steps and resumed is the same, bit for bit", async (stopAfter) => {
    const name = `resumed-${stopAfter}`;
    const stopped = await run(name, {}, { stopAfter });
    expect(stopped.result.result).toBeUndefined();
    expect((await run(name, {}, { resume: true })).result.result).toBeDefined();
    const weights = (which: string) => readFileSync(at(which, "adapter", "adapter_model.safetensors"));
    expect(weights(name).equals(weights("whole"))).toBe(true);
    expect(metricsOf(name)).toEqual(metricsOf("whole"));
  });

  it("can't be resumed on other reference data", async () => {
    const file = writeCompletions("changing.jsonl", 4);
    const changes = { regularizationData: file };
    await run("changed", changes, { stopAfter: 1 });
    writeCompletions("changing.jsonl", 3);
    const resumed = run("changed", changes, { resume: true });
    await expect(resumed).rejects.toBeInstanceOf(RunError);
    await expect(resumed).rejects.toThrow(`the rows of ${file}`);
  });

  it("learns the reference data, the more by its weight", async () => {
    const lastLikelihood = async (regularizationWeight: number) => {
      const name = `weight-${regularizationWeight}`;
      const changes = { regularizationWeight, regularizationBatchSize: 4, perToken: true };
      const { steps: taken } = await run(name, changes);
      return taken.at(-1)!.nll_loss!;
    };
    const [without, withWeight] = [await lastLikelihood(0), await lastLikelihood(1)];
    expect(withWeight).toBeLessThan(without - 0.1);
  });
});

describe("a run of MPO without reference data", () => {
  it("lets the chosen completions stand for it", async () => {
    const { steps } = await run("alone", { regularizationData: undefined, regularizationBatchSize: undefined });
    expect(json("alone", "data.json")).not.toHaveProperty("regularization");
    // Of one step's pairs the likelihood a token is that of their chosen completions.
    const { nll_loss: nll, "logps/chosen": logp, "lengths/chosen": length } = steps[0]!;
    expect(nll).toBeCloseTo(-logp! / length!, 4);
  });
});

describe("choices that lengths have settled before the first step", () => {
  const warned = async (name: string, changes: Partial<MpoOptions>) => {
    const names: string[] = [];
    await run(name, { maxSteps: 3, ...changes }, { observer: { onWarning: (warning) => names.push(warning.name) } });
    return names;
  };

  it("are warned of, and are not by the token", async () => {
    expect(await warned("settled", {})).toContain("choices-settled");
    expect(await warned("open", { perToken: true })).not.toContain("choices-settled");
  });
});

describe("reference data", () => {
  it("that can't be read stop the run before anything is computed", async () => {
    writeFileSync(at("wrong.jsonl"), '{"prompt": "Hello"}\n');
    const failed = run("failed", { regularizationData: at("wrong.jsonl") });
    await expect(failed).rejects.toBeInstanceOf(DataError);
    await expect(failed).rejects.toThrow(/wrong\.jsonl line 1/);
    expect(existsSync(at("failed"))).toBe(false);
  });

  it("can't be counted where there are none", async () => {
    await expect(run("failed", { regularizationData: undefined })).rejects.toThrow(
      new ConfigError(
        "--regularization-batch-size has no effect without --regularization-data: leave it out, or give the rows.",
      ),
    );
  });

  it("are a setting of MPO alone", async () => {
    const options = { ...settings, output: at("dpo") };
    await expect(dpo(options)).rejects.toThrow(/regularizationData/);
  });
});
