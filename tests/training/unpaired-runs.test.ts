/** Whole runs on labelled completions and on rankings: what they write, and that resumed ones equal uninterrupted ones. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ConfigError } from "../../src/errors.ts";
import type { RunObserver, RunSummary } from "../../src/training/observer.ts";
import { bco, dpo, kto } from "../../src/training/tuners.ts";
import { interruptAfter, runsFolder } from "../support/runs.ts";
import { writePairs, writeTinyModel } from "../support/tiny-model.ts";

const { at, json, lines, metricsOf, read, writeLines } = runsFolder();

const model = writeTinyModel(at("model"));
const pairs = writePairs(at("pairs.jsonl"), 9);

interface PairRow {
  readonly prompt: string;
  readonly chosen: string;
  readonly rejected: string;
}
const rows = lines<PairRow>("pairs.jsonl");

/** 10 completions, of which 6 are desirable. */
const labelled = writeLines(
  "labelled.jsonl",
  rows
    .slice(0, 6)
    .flatMap(({ prompt, chosen, rejected }, i) => [
      { prompt, completion: chosen, label: true },
      ...(i < 4 ? [{ prompt, completion: rejected, label: false }] : []),
    ]),
);
/** 5 rankings of 2 to 4, some by scores with ties, one a pair in a file of its own. */
const rankings = writeLines("ranked.jsonl", [
  { prompt: rows[0]!.prompt, ranked: [rows[0]!.chosen, rows[0]!.rejected] },
  { prompt: rows[1]!.prompt, ranked: [rows[1]!.chosen, "It is all right.", rows[1]!.rejected] },
  { prompt: rows[2]!.prompt, responses: [rows[2]!.rejected, rows[2]!.chosen, "Fine."], scores: [1, 8, 1] },
  { prompt: rows[3]!.prompt, responses: ["Good.", rows[3]!.rejected, rows[3]!.chosen, "Bad."], ranks: [1, 2, 1, 2] },
]);
const ranked = [rankings, writeLines("pair.jsonl", [rows[4]])];
const evalData = writePairs(at("held-out.jsonl"), 3, 100);

type Options = Parameters<typeof dpo>[0];

/** Each method on its own rows: 2 epochs with a last step of fewer examples, checkpoints after each second step. */
const runs = {
  kto: (options: Partial<Options>, control: Parameters<typeof dpo>[1]) => kto(settle(labelled, options), control),
  bco: (options: Partial<Options>, control: Parameters<typeof dpo>[1]) => bco(settle(labelled, options), control),
  plackett_luce: (options: Partial<Options>, control: Parameters<typeof dpo>[1]) =>
    dpo(settle(ranked, { loss: "plackett_luce", ...options }), control),
};
const names = ["kto", "bco", "plackett_luce"] as const;

function settle(data: string | string[], options: Partial<Options>): Options {
  const short = { batchSize: 4, epochs: 2, learningRate: 1e-2, loraRank: 2, evalEvery: 3, saveEvery: 2 };
  return {
    model,
    data,
    evalData,
    output: "",
    ...short,
    samplePrompts: 0,
    microBatchTokens: 120,
    threads: 1,
    ...options,
  };
}

async function run(name: keyof typeof runs, output: string, stopAfter?: number, resume = false, options = {}) {
  let summary: RunSummary | undefined;
  const observer: RunObserver = {
    onStart: (started) => {
      summary = started;
    },
  };
  const control = interruptAfter(stopAfter, { observer, resume });
  const result = await runs[name]({ ...options, output: at(output) }, control);
  return { ...result, summary: summary! };
}

function contents(name: string) {
  const files = readdirSync(at(name, "adapter"));
  return {
    metrics: metricsOf(name),
    data: read(name, "data.json"),
    reference: existsSync(at(name, "reference.jsonl")) && read(name, "reference.jsonl"),
    adapter: files.map((file) => [file, readFileSync(at(name, "adapter", file), "base64")]),
  };
}

describe.each(names)("a run of %s", (name) => {
  it("learns, and equals itself interrupted and resumed, bit for bit", async () => {
    const whole = await run(name, `${name}-whole`);
    expect(whole.step).toBe(whole.steps);
    for (const [i, stopAfter] of [3, undefined].entries()) await run(name, `${name}-parts`, stopAfter, i > 0);
    expect(contents(`${name}-parts`)).toEqual(contents(`${name}-whole`));
    const steps = metricsOf(`${name}-whole`).filter((line) => "loss" in line);
    expect(steps.at(-1)!.loss).toBeLessThan(steps[0]!.loss!);
    const evaluations = metricsOf(`${name}-whole`).filter((line) => "eval_loss" in line);
    expect(evaluations.length).toBeGreaterThan(1);
    expect(evaluations[0]).toMatchObject({ step: 0, "eval_rewards/accuracies": 0 });
    for (const metric of ["loss", "rewards/margins", "rewards/accuracies", "kl"]) {
      for (const line of evaluations) expect(line).toHaveProperty([`eval_${metric}`]);
    }
  });
});

describe("labelled completions", () => {
  it("are counted by label in the ledger, and are what steps count", async () => {
    const { summary } = await run("kto", "counted", 1);
    expect(summary).toMatchObject({ examples: 10, heldOut: 6, unit: "completions", steps: 6 });
    expect(summary.ledger.toJSON().labels).toEqual({ desirable: 6, undesirable: 4 });
    const data = json("counted", "data.json") as Record<string, object>;
    expect(data).toMatchObject({ train: { labels: { desirable: 6, undesirable: 4 } }, eval: { read: 3, used: 3 } });
  });

  it("say their numbers under the names of pairs, each kind for itself, and the reference point", async () => {
    await run("kto", "named", undefined, false, { batchSize: 10, maxSteps: 1 });
    const [first] = metricsOf("named").filter((line) => "loss" in line);
    const zero = expect.closeTo(0, 4);
    const rewards = { "rewards/chosen": zero, "rewards/rejected": zero, "rewards/margins": zero };
    expect(first).toMatchObject({ loss: expect.closeTo(0.5, 4), "kto/z0": zero, ...rewards });
    const mean = 0.6 * first!["logps/chosen"]! + 0.4 * first!["logps/rejected"]!;
    expect(first!["logps/completion"]).toBeCloseTo(mean, 4);
  });

  it("can't be learned by KTO one at a time: there would be no other example to measure on", async () => {
    const single = run("kto", "single", undefined, false, { batchSize: 1 });
    await expect(single).rejects.toThrow(ConfigError);
    await expect(single).rejects.toThrow(
      "--batch-size 1 is too small for --loss kto: it measures the policy on prompts with the completions of other examples in the step. Give 2 or more; its estimate is steadier with 8.",
    );
    expect(existsSync(at("single"))).toBe(false);
    const zero = await run("kto", "zero", undefined, false, { batchSize: 1, loss: "apo_zero_unpaired", maxSteps: 2 });
    expect(zero.step).toBe(2);
  });
});

describe("BCO's running mean", () => {
  it("is kept in checkpoints", async () => {
    await run("bco", "bco-state", 2);
    const { objectiveState } = json("bco-state", "checkpoints", "step-000002", "state.json");
    const last = metricsOf("bco-state").findLast((line) => "loss" in line)!;
    expect(objectiveState).toEqual([expect.closeTo(last["bco/delta"]!, 6), 8]);
    expect(objectiveState[0]).not.toBe(0);
  });
});

describe("rankings", () => {
  it("are what steps count, with held-out pairs as rankings of two", async () => {
    const { summary } = await run("plackett_luce", "rankings", 1);
    expect(summary).toMatchObject({ examples: 5, heldOut: 3, unit: "rankings" });
  });

  it("of two are a run of DPO, bit for bit", async () => {
    const settings = (loss: string, output: string) => settle(pairs, { loss, output: at(output) });
    await dpo(settings("plackett_luce", "as-rankings"));
    await dpo(settings("sigmoid", "as-pairs"));
    const [rankings, dpos] = [metricsOf("as-rankings"), metricsOf("as-pairs")];
    expect(rankings.length).toBe(dpos.length);
    const same = ["step", "loss", "kl", "rewards/margins", "rewards/accuracies", "grad_norm"];
    for (const [i, line] of rankings.entries()) {
      for (const metric of same.flatMap((key) => [key, `eval_${key}`])) expect(line[metric]).toBe(dpos[i]![metric]);
    }
    const weights = (name: string) => readFileSync(at(name, "adapter", "adapter_model.safetensors"), "base64");
    expect(weights("as-rankings")).toBe(weights("as-pairs"));
  });
});
