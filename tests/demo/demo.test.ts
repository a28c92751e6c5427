import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { byHand } from "../../src/cli/commands/demo.ts";
import { runProgram } from "../../src/cli/program.ts";
import { reviewLines, tallyLine } from "../../src/cli/terminal/reviews.ts";
import { plain } from "../../src/cli/terminal/screen.ts";
import { type DemoReport, demo } from "../../src/demo/demo.ts";
import { sampleReviews, tally } from "../../src/demo/reviews.ts";
import { loadModel } from "../../src/evaluation/loaded-model.ts";
import type { Metrics } from "../../src/training/observer.ts";
import { scratchFolder } from "../support/scratch.ts";

const { at } = scratchFolder();
const output = at("run");

const readConfig = (run: string) => JSON.parse(readFileSync(join(run, "config.json"), "utf8"));
const positives = (reviews: Parameters<typeof tally>[0]) => tally(reviews).positive / reviews.length;

describe("the demo, with fewer samples", () => {
  const evaluations: Metrics[] = [];
  const told: string[] = [];
  let report: DemoReport;

  beforeAll(async () => {
    const finished = await demo(
      { output, seed: 0, threads: 1, samples: 60 },
      {
        observer: {
          onEvaluation: (metrics) => evaluations.push(metrics),
          onReviews: (when, reviews) => told.push(`${when} ${reviews.length}`),
        },
      },
    );
    if (!("divergence" in finished)) throw new Error("the demo stopped early");
    report = finished;
  });

  it("turns reviews that are half blame into praise", () => {
    expect(positives(report.before)).toBeLessThan(0.65);
    expect(positives(report.after)).toBeGreaterThan(0.8);
    expect(report.after.map(({ question }) => question)).toEqual(report.before.map(({ question }) => question));
    expect(told).toEqual(["before 60", "after 60"]);
  });

  it("raises accuracy and margin on held-out pairs and lowers the loss", () => {
    const [before, after] = [report.run.before!, report.run.after!];
    expect(before).toEqual(evaluations[0]);
    expect(after).toEqual(evaluations.at(-1));
    expect(before.eval_loss).toBeCloseTo(Math.LN2, 4);
    expect(after.eval_loss).toBeLessThan(0.4);
    expect(after["eval_rewards/accuracies"]).toBeGreaterThan(0.9);
    expect(after["eval_rewards/margins"]).toBeGreaterThan(1);
  });

  it("measures how far the policy moved: a nat or two, since turning half of all reviews around takes ln 2", () => {
    expect(report.divergence.mean).toBeGreaterThan(0.3);
    expect(report.divergence.mean).toBeLessThan(4);
    expect(report.divergence.standardError).toBeLessThan(report.divergence.mean);
  });

  it("has nothing to warn of", () => {
    expect(report.run.warnings).toEqual([]);
    expect(existsSync(join(output, "warnings.jsonl"))).toBe(false);
  });

  it("leaves a run directory whose model writes the reviews that were shown", async () => {
    expect(report.run.result).toBe(join(output, "model"));
    await using tuned = await loadModel(report.run.result!, { threads: 1 });
    const again = await sampleReviews(tuned, 60, 0);
    expect(again.map(({ text }) => text)).toEqual(report.after.map(({ text }) => text));
  });

  it("is the same run as the command that it prints", async () => {
    const words = byHand({ output, seed: 0, threads: 1 }).split(" ");
    expect(words.slice(0, 2)).toEqual(["preftune", "dpo"]);
    const place = words.indexOf("--output") + 1;
    const words1 = words.with(place, at("by-hand")).slice(1);
    const silent = { write: () => true };
    const code = await runProgram([...words1, "--max-steps", "1"], {
      stdout: silent,
      stderr: silent,
    });
    expect(code).toBe(0);
    const { output: _, maxSteps, ...config } = readConfig(at("by-hand"));
    expect(maxSteps).toBe(1);
    const { output: _own, ...own } = readConfig(output);
    const absolute = (paths: string[]) => paths.map((path) => join(process.cwd(), path));
    expect({
      ...config,
      model: absolute([config.model])[0],
      data: absolute(config.data),
      evalData: absolute(config.evalData),
    }).toEqual(own);
  });

  it("shows what it found", () => {
    const lines = reviewLines(report, 100, plain).join("\n");
    expect(lines).toContain(report.before[0]!.question);
    expect(lines).toMatch(/before {2}█+░+ {2}\d+\.\d%\nafter {3}█+░* {2}\d+\.\d%/);
    expect(lines).toMatch(/KL\(after \|\| before\) .* \d+\.\d\d ± \d+\.\d\d nats a review/);
    expect(tallyLine("after", report.after)).toMatch(
      /^after tuning: \d+ of 60 reviews positive, \d+ negative, \d+ unclear$/,
    );
  });
});

describe("a demo that is stopped", () => {
  it("returns the run alone, to go on with", async () => {
    const stopped = at("stopped");
    const controller = new AbortController();
    const finished = await demo(
      { output: stopped, seed: 0, threads: 1, pairs: 64, samples: 2 },
      { signal: controller.signal, observer: { onStep: () => controller.abort() } },
    );
    expect(Object.keys(finished)).toEqual(["run"]);
    expect(finished.run.step).toBe(1);
    expect(existsSync(join(stopped, "checkpoints/step-000001"))).toBe(true);
  });
});
