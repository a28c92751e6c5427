/** Whole runs of objectives over pairs: several at once, rows with margins, and what is remembered over an interruption. */

import { describe, expect, it } from "vitest";
import { DataError } from "../../src/errors.ts";
import type { RunControl } from "../../src/training/run.ts";
import { type DpoOptions, dpo } from "../../src/training/tuners.ts";
import { interruptAfter, runsFolder } from "../support/runs.ts";
import { writePairs, writeTinyModel } from "../support/tiny-model.ts";

const { at, lines, metricsOf, writeLines } = runsFolder();

const model = writeTinyModel(at("model"));
const data = writePairs(at("pairs.jsonl"), 6);
const rows = lines<Record<string, unknown>>("pairs.jsonl");

/** The same rows with further fields. */
const withFields = (name: string, fields: (row: number) => Record<string, unknown>) =>
  writeLines(
    name,
    rows.map((row, i) => ({ ...row, ...fields(i) })),
  );

const run = (output: string, changes: Partial<DpoOptions>, control?: RunControl) =>
  dpo(
    {
      model,
      data,
      output: at(output),
      batchSize: 3,
      learningRate: 1e-3,
      loraRank: 2,
      samplePrompts: 0,
      threads: 1,
      shuffle: false,
      ...changes,
    },
    control,
  );

describe("several objectives", () => {
  it("are added up by their weights, and each is told of by itself", async () => {
    await run("sum", { loss: "sigmoid,bco_pair,sft", lossWeights: "0.8,0.2,1" });
    const [first] = metricsOf("sum");
    expect(first!["loss/sigmoid"]).toBeCloseTo(Math.LN2, 5);
    expect(first!["loss/bco_pair"]).toBeCloseTo(2 * Math.LN2, 5);
    for (const line of metricsOf("sum")) {
      const parts = 0.8 * line["loss/sigmoid"]! + 0.2 * line["loss/bco_pair"]! + line["loss/sft"]!;
      expect(line.loss).toBeCloseTo(parts, 4);
    }
  });
});

describe("an offset a row", () => {
  const margins = [0.5, 1, 2, 0.25, 3, 1.5];
  const softplus = (x: number) => Math.log1p(Math.exp(x));

  it("is read of the rows: the first loss is that of margins to reach", async () => {
    const settings = { data: withFields("margins.jsonl", (i) => ({ margin: margins[i]! })), maxSteps: 1 };
    await run("linear", { ...settings, offsetAlpha: 0.6 });
    const mean = (of: (margin: number) => number) => margins.slice(0, 3).reduce((n, m) => n + of(m) / 3, 0);
    expect(metricsOf("linear")[0]!.loss).toBeCloseTo(
      mean((m) => softplus(0.6 * m)),
      5,
    );
    await run("log", { ...settings, offsetAlpha: 0.6, offsetScale: "log" });
    expect(metricsOf("log")[0]!.loss).toBeCloseTo(
      mean((m) => softplus(0.6 * Math.log(m))),
      5,
    );
  });

  it("stops a run at the first row that has none, by its name, or leaves such rows out", async () => {
    const some = withFields("some.jsonl", (i) => (i === 3 ? {} : { score_chosen: 2, score_rejected: 1 }));
    const refused = run("refused", { data: some, offsetAlpha: 1 });
    await expect(refused).rejects.toThrow(DataError);
    await expect(refused).rejects.toThrow(/some\.jsonl line 4: the row has no `margin`, nor the scores /);
    expect(await run("dropped", { data: some, offsetAlpha: 1, onBadRow: "drop" })).toMatchObject({ steps: 2 });
  });

  it("is nothing to a run without it, whatever the rows have there", async () => {
    const data = withFields("words.jsonl", () => ({ margin: "wide", score_chosen: null }));
    expect(await run("without", { data, maxSteps: 1 })).toMatchObject({ step: 1 });
  });
});

describe("the shift of bco_pair", () => {
  it("goes through a checkpoint: a resumed run goes on as if it had never stopped", async () => {
    const settings = { loss: "bco_pair", rewardShift: true, batchSize: 2 };
    await run("whole", settings);
    await run("stopped", settings, interruptAfter(1));
    await run("stopped", settings, { resume: true });
    const losses = (name: string) => metricsOf(name).map(({ loss }) => loss);
    expect(losses("whole")).toHaveLength(3);
    expect(losses("stopped")).toEqual(losses("whole"));
  });
});
