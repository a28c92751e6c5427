/** Runs on several sources: mixed by weight, of different kinds and shapes, told of each by itself. */

import { writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { LedgerReport } from "../../src/data/ledger.ts";
import { ConfigError, RunError } from "../../src/errors.ts";
import { type DpoOptions, dpo } from "../../src/training/tuners.ts";
import { interruptAfter, runsFolder } from "../support/runs.ts";
import { writePairs, writeTinyModel } from "../support/tiny-model.ts";

const { at, json, metricsOf, read } = runsFolder();

const model = writeTinyModel(at("model"));
const lines = writePairs(at("lines.jsonl"), 6);
const table = at("table.csv");
writeFileSync(table, `question,good,bad\n${["a", "b"].map((q) => `"say, ${q}",${q},no ${q}`).join("\n")}\n`);

const options = (output: string, changes: Partial<DpoOptions> = {}): DpoOptions => ({
  model,
  data: [
    `${lines}:0.75`,
    { path: table, weight: 0.25, columns: { prompt: "question", chosen: "good", rejected: "bad" } },
  ],
  output: at(output),
  batchSize: 4,
  loraRank: 2,
  samplePrompts: 0,
  saveEvery: 1,
  threads: 1,
  ...changes,
});

describe("a run on a mixture", () => {
  it("has its rows by weight, and tells of each source", async () => {
    await dpo(options("whole"));
    const { train } = json("whole", "data.json") as { train: LedgerReport };
    expect(train).toMatchObject({
      shape: "preference",
      read: 8,
      used: 8,
      sources: [
        { name: "lines", weight: 0.75, used: 6, mixed: 6 },
        { name: "table", weight: 0.25, used: 2, mixed: 2 },
      ],
    });
    const steps = metricsOf("whole").filter((line) => "loss" in line);
    expect(steps).toHaveLength(2);
    const names = steps.flatMap((line) => Object.keys(line).filter((name) => name.startsWith("loss@")));
    expect(new Set(names)).toEqual(new Set(["loss@lines", "loss@table"]));
    expect(steps[0]!.loss).toBeCloseTo(Math.LN2, 5);
  });

  it("goes on after an interruption as if there had been none", async () => {
    await dpo(options("parts"), interruptAfter(1));
    await dpo(options("parts"), { resume: true });
    const losses = (name: string) => metricsOf(name).map((line) => [line.loss, line["loss@lines"], line["loss@table"]]);
    expect(losses("parts")).toEqual(losses("whole"));
    expect(read("parts", "data.json")).toBe(read("whole", "data.json"));
  });

  it("is another with other weights, which a resumed run may not have", async () => {
    const changed = options("parts", { data: [`${lines}:0.5`, `${table}:0.5`], columns: ["prompt=question"] });
    await expect(dpo(changed, { resume: true })).rejects.toThrow(RunError);
  });

  it("is trained on, and not evaluated on", async () => {
    await expect(dpo(options("held", { evalData: [`${lines}:2`] }))).rejects.toThrow(ConfigError);
  });
});
