/** `--sft-first`: fine-tuning on the chosen completions, and preference tuning from there, as one run. */

import { cpSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { readAdapter } from "../../src/checkpoints/peft.ts";
import { ConfigError } from "../../src/errors.ts";
import { loadModel } from "../../src/evaluation/loaded-model.ts";
import type { Metrics, RunObserver, RunResult, RunSummary, Sample } from "../../src/training/observer.ts";
import { type DpoOptions, dpo, sft } from "../../src/training/tuners.ts";
import { runsFolder } from "../support/runs.ts";
import { writePairs, writeTinyModel } from "../support/tiny-model.ts";

const { at, json, lines, metricsOf, read } = runsFolder();

const model = writeTinyModel(at("model"));
const data = writePairs(at("pairs.jsonl"), 8);
const evalData = writePairs(at("held-out.jsonl"), 3, 100);

/** 4 steps of fine-tuning and 4 of preference tuning. */
const options = (output: string, changes: Partial<DpoOptions> = {}): DpoOptions => ({
  model,
  data,
  evalData,
  output: at(output),
  sftFirst: true,
  sftEpochs: 2,
  sftLearningRate: 1e-2,
  batchSize: 4,
  epochs: 2,
  learningRate: 1e-3,
  loraRank: 2,
  evalEvery: 4,
  saveEvery: 3,
  samplePrompts: 1,
  sampleTokens: 4,
  threads: 1,
  ...changes,
});

/** All that a run has come to in both of its parts, but for what depends on the clock. */
function contents(name: string, result: "adapter" | "model") {
  const part = (...names: string[]) => ({
    metrics: metricsOf(...names),
    samples: read(...names, "samples.jsonl"),
    reference: existsSync(at(...names, "reference.jsonl")) && read(...names, "reference.jsonl"),
    result: readdirSync(at(...names, result)).map((file) => [
      file,
      readFileSync(at(...names, result, file), "base64").replaceAll(name, ""),
    ]),
  });
  return [part(name, "sft"), part(name)];
}

describe.each(["lora", "full"] as const)("a run that begins with fine-tuning: %s", (tuning) => {
  const result = tuning === "lora" ? "adapter" : "model";
  const name = `whole-${tuning}`;
  const settings = { tuning };
  const summaries: RunSummary[] = [];
  let whole: RunResult;
  beforeAll(async () => {
    // As a process leaves it that is killed there.
    const copy = (moment: string) => cpSync(at(name), at(`killed-${tuning}-${moment}`), { recursive: true });
    const observer: RunObserver = {
      onStart: (summary) => {
        summaries.push(summary);
        if (summary.part === "second") copy("between");
      },
      onStep: ({ step }) => {
        const part = summaries.at(-1)!.part!;
        if (step === 3) copy(part);
      },
    };
    whole = await dpo(options(name, settings), { observer });
  });

  it("has both parts in one run directory, the first as a run of its own", () => {
    expect(summaries.map(({ part, config }) => [part, config.method, config.output])).toEqual([
      ["first", "sft", at(name, "sft")],
      ["second", "dpo", at(name)],
    ]);
    expect(whole.result).toBe(at(name, result));
    const config = (...names: string[]) => json(...names, "config.json");
    expect(config(name)).toMatchObject({ method: "dpo", model, sftFirst: true, sftEpochs: 2, sftLearningRate: 1e-2 });
    expect(config(name, "sft")).toMatchObject({
      method: "sft",
      model,
      epochs: 2,
      learningRate: 1e-2,
      score: "completion",
    });
    expect(
      lines<Metrics>(name, "sft", "metrics.jsonl").filter(({ grad_norm }) => grad_norm !== undefined),
    ).toHaveLength(4);
  });

  it("begins the second part where the first came to, as policy and as reference", async () => {
    const [before] = lines<Metrics>(name, "metrics.jsonl");
    expect(before).toMatchObject({ step: 0 });
    expect(before!.eval_loss).toBeCloseTo(Math.LN2, 6);
    expect(before!.eval_kl).toBeCloseTo(0, 6);
    const tuned = lines<Metrics>(name, "sft", "metrics.jsonl").findLast((line) => "eval_loss" in line)!;
    const start = lines<Metrics>(name, "sft", "metrics.jsonl")[0]!;
    expect(tuned.eval_loss).toBeLessThan(start.eval_loss! - 0.1);
    // The chosen completions of the same held-out rows, by their sums.
    expect(before!["eval_logps/chosen"]).toBeCloseTo(tuned["eval_logps/completion"]!, 2);
    const samples = lines<Sample>(name, "samples.jsonl");
    expect(samples[0]!.reference).toBe(lines<Sample>(name, "sft", "samples.jsonl").at(-1)!.policy);
  });

  it("ends in a result that names the model that was given, and applies to it", async () => {
    const card = read(name, result, "README.md");
    expect(card).toContain(`base_model: ${JSON.stringify(model)}`);
    expect(card).toContain("fine-tuned on the preferred completions first");
    if (tuning === "lora") expect(readAdapter(at(name, result)).baseModel).toBe(model);
    const tuned = tuning === "lora" ? { adapter: at(name, result) } : {};
    await using loaded = await loadModel(tuning === "lora" ? model : at(name, result), { ...tuned, threads: 1 });
    const { prompt, policy } = lines<Sample>(name, "samples.jsonl").at(-1)!;
    const ids = loaded.tokenizer.encode(prompt);
    const [answer] = await loaded.generateFromIds([ids], { maxNewTokens: 4 });
    expect(answer!.text.trim()).toBe(policy);
  });

  it("is the fine-tuning that preftune sft does", async () => {
    const { sftFirst: _, score: _turns, sftEpochs, sftLearningRate, ...shared } = options(`sft-${tuning}`, settings);
    await sft({ ...shared, epochs: sftEpochs, learningRate: sftLearningRate });
    const file = tuning === "lora" ? "adapter_model.safetensors" : "model.safetensors";
    const weights = (...names: string[]) => readFileSync(at(...names, result, file), "base64");
    expect(weights(name, "sft")).toBe(weights(`sft-${tuning}`));
  });

  const stops = [
    ["first", 3],
    ["second", 1],
    ["first", 1],
    ["second", 3],
  ] as const;
  it.each(tuning === "lora" ? stops : stops.slice(0, 2))(
    "goes on after an interruption in its %s part after step %i as if there had been none",
    async (part, stop) => {
      const output = `stopped-${tuning}-${part}-${stop}`;
      const abort = new AbortController();
      let current: string | undefined;
      const observer: RunObserver = {
        onStart: (summary) => (current = summary.part),
        onStep: ({ step }) => current === part && step === stop && abort.abort(),
      };
      const stopped = await dpo(options(output, settings), { observer, signal: abort.signal });
      expect(stopped).toMatchObject({ part, step: stop, steps: 4, output: at(output) });
      expect(stopped.result).toBeUndefined();
      const resumed = await dpo(options(output, settings), { resume: true });
      expect(resumed.result).toBe(at(output, result));
      expect(contents(output, result)).toEqual(contents(name, result));
    },
  );

  it.each(tuning === "lora" ? ["first", "between", "second"] : ["between"])(
    "goes on after it was killed (%s) as if nothing had been",
    async (moment) => {
      const output = `killed-${tuning}-${moment}`;
      await dpo(options(output, settings), { resume: true });
      expect(contents(output, result)).toEqual(contents(name, result));
    },
  );
});

describe("settings of the first part", () => {
  it("without it are refused", async () => {
    const message = "--sft-epochs has no effect without --sft-first. Leave it out, or add that.";
    await expect(dpo(options("idle", { sftFirst: false }))).rejects.toThrow(new ConfigError(message));
    expect(existsSync(at("idle"))).toBe(false);
  });

  it("that are wrong for the second leave nothing behind", async () => {
    const unknown = options("wrong", { loraTargets: "none_proj" });
    await expect(dpo(unknown)).rejects.toThrow("has no linear layer");
    expect(existsSync(at("wrong"))).toBe(false);
  });

  it("continue an adapter that is given", async () => {
    const { sftFirst: _, sftEpochs: __, sftLearningRate: ___, ...plain } = options("adapter", { maxSteps: 1 });
    const { result } = await dpo(plain);
    await dpo(options("continued", { adapter: result!, maxSteps: 1, samplePrompts: 0 }));
    expect(readAdapter(at("continued", "adapter"))).toMatchObject({ rank: 2, baseModel: model });
    const firstLoss = (run: string) => lines<Metrics>(run, "sft", "metrics.jsonl")[0]!.eval_loss!;
    expect(Math.abs(firstLoss("continued") - firstLoss("whole-lora"))).toBeGreaterThan(1e-3);
  });
});
