/** Whole runs of ORPO, SimPO and CPO: they learn their pairs without a reference, and their losses know the whole step. */

import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ConfigError } from "../../src/errors.ts";
import type { Metrics } from "../../src/training/observer.ts";
import type { DpoOptions } from "../../src/training/tuners.ts";
import { cpo, orpo, simpo } from "../../src/training/tuners.ts";
import { scratchFolder } from "../support/scratch.ts";
import { writePairs, writeTinyModel } from "../support/tiny-model.ts";

const { at, json } = scratchFolder();

const model = writeTinyModel(at("model"));
const data = writePairs(at("pairs.jsonl"), 6);

const tuners = { orpo, simpo, cpo };
type Name = keyof typeof tuners;

async function run(name: Name, output: string, changes: Partial<DpoOptions> = {}) {
  const steps: Metrics[] = [];
  const settings: DpoOptions = {
    model,
    data,
    output: at(output),
    batchSize: 6,
    learningRate: 3e-3,
    loraRank: 2,
    samplePrompts: 0,
    threads: 1,
    ...changes,
  };
  const result = await tuners[name](settings, { observer: { onStep: (metrics) => steps.push(metrics) } });
  return { result, steps };
}

const cases: [Name, string, Partial<DpoOptions>][] = [
  ["orpo", "orpo", {}],
  ["simpo", "simpo", { sftWeight: 0.1 }],
  ["simpo", "alphapo", {}],
  ["cpo", "sigmoid", {}],
  ["cpo", "hinge", {}],
  ["cpo", "ipo", {}],
  ["cpo", "sigmoid,ipo", { lossWeights: "1,0.1" }],
];

describe.each(cases)("%s --loss %s", (name, loss, changes) => {
  const output = `${name}-${loss}`;

  it("lowers its loss, with no reference on the way", async () => {
    const { result, steps } = await run(name, output, { loss, ...changes, epochs: 4 });
    expect(result.result).toBe(at(output, "adapter"));
    expect(existsSync(at(output, "reference.jsonl"))).toBe(false);
    expect(steps.at(-1)!.loss).toBeLessThan(steps[0]!.loss!);
    expect(json(output, "config.json")).toMatchObject({ method: name });
  });

  it("is the same in any micro-batches", async () => {
    const large = await run(name, `${output}-large`, { loss, ...changes, microBatchTokens: 10_000 });
    const small = await run(name, `${output}-small`, { loss, ...changes, microBatchTokens: 1 });
    for (const metric of ["loss", "rewards/margins", "grad_norm"]) {
      expect(small.steps[0]![metric]! / large.steps[0]![metric]!, metric).toBeCloseTo(1, 4);
    }
  });
});

describe("settings", () => {
  it("of a loss that is not chosen are refused", async () => {
    await expect(run("simpo", "refused", { alpha: 0.5 })).rejects.toThrow(
      new ConfigError(
        "--alpha has no effect with --loss simpo. It is an option of alphapo: leave it out, or choose one of these.",
      ),
    );
  });

  it("of another method are unknown", async () => {
    await expect(run("orpo", "refused", { beta: 0.5 })).rejects.toThrow(/beta/);
  });
});
