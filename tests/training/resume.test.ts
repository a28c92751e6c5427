/**
 * An interrupted and resumed run equals the uninterrupted one, bit for bit. An abort signal is what Ctrl-C sends; a copy of
 * the run directory taken while the run goes on is what a process leaves that is killed there.
 */

import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import type { RunObserver, RunResult } from "../../src/training/observer.ts";
import type { RunControl } from "../../src/training/run.ts";
import type { DpoOptions } from "../../src/training/tuners.ts";
import { dpo } from "../../src/training/tuners.ts";
import { interruptAfter, runsFolder, timeless } from "../support/runs.ts";
import { writePairs, writeTinyModel } from "../support/tiny-model.ts";

const { at, json, metricsOf, read } = runsFolder();

const model = writeTinyModel(at("model"));
const data = writePairs(at("pairs.jsonl"), 10);
const evalData = writePairs(at("held-out.jsonl"), 3, 100);

/** 2 epochs of 4 steps: checkpoints after 3 and 6, evaluations and samples after 0, 2, 4, 6 and 8. */
const twoEpochs: Omit<DpoOptions, "output"> = {
  model,
  data,
  evalData,
  batchSize: 3,
  epochs: 2,
  learningRate: 1e-3,
  loraRank: 2,
  evalEvery: 2,
  saveEvery: 3,
  samplePrompts: 1,
  sampleTokens: 4,
  microBatchTokens: 120,
  threads: 1,
};

interface Call extends RunControl {
  /** Interrupts the run after this many of its steps. */
  readonly stopAfter?: number;
}

async function run(name: string, settings: Omit<DpoOptions, "output">, { stopAfter, ...control }: Call = {}) {
  return await dpo({ ...settings, output: at(name) }, interruptAfter(stopAfter, control));
}

const readIfThere = (...names: string[]) => (existsSync(at(...names)) ? read(...names) : undefined);

/** All that a run has come to, but for what depends on the clock. */
function contents(name: string) {
  const result = existsSync(at(name, "adapter")) ? "adapter" : "model";
  return {
    metrics: metricsOf(name),
    samples: readIfThere(name, "samples.jsonl"),
    evalRows: readIfThere(name, "eval-rows.jsonl"),
    reference: readIfThere(name, "reference.jsonl"),
    data: read(name, "data.json"),
    warnings: readIfThere(name, "warnings.jsonl"),
    suspects: readIfThere(name, "suspects.jsonl"),
    best: readIfThere(name, "best.json"),
    outcome: readIfThere(name, "outcome.json"),
    result: readdirSync(at(name, result)).map((file) => [file, resultFile(name, result, file)]),
    checkpoints: readdirSync(at(name, "checkpoints")),
  };
}

/** A file of the result; but for the run's own folder in the command that the model card names. */
function resultFile(name: string, result: string, file: string): string {
  return file === "README.md"
    ? read(name, result, file).replace(/ --output .*/g, "")
    : readFileSync(at(name, result, file), "base64");
}

/** What a run says it came to, wherever it is and however long it took. */
const outcome = ({ output, result, before, after, ...rest }: RunResult) => ({
  ...rest,
  result: result?.slice(output.length),
  before: timeless({ ...before }),
  after: timeless({ ...after }),
});

describe("a run of two epochs with evaluations and samples", () => {
  /** Copies of the run directory as it was at certain moments, under their names. */
  const moments: RunObserver = {
    onStart: () => copy("killed before anything"),
    onStep: ({ step }) => copy(`killed after step ${step}`),
    onEvaluation: ({ step }) => copy(`killed after the evaluation of step ${step}`),
    onCheckpoint: (_, step) => copy(`killed after the checkpoint of step ${step}`),
  };
  const copy = (name: string) => cpSync(at("whole"), at(name), { recursive: true });
  let whole: RunResult;
  beforeAll(async () => {
    whole = await run("whole", twoEpochs, { observer: moments });
  });

  it("evaluates at 0 and every evalEvery steps, each once", async () => {
    const { step, steps, before, after } = whole;
    expect({ step, steps, before: before?.step, after: after?.step }).toEqual({
      step: 8,
      steps: 8,
      before: 0,
      after: 8,
    });
    const found = metricsOf("whole").map((line) => ("eval_loss" in line ? `evaluation ${line.step}` : line.step));
    expect(found).toEqual([
      "evaluation 0",
      1,
      2,
      "evaluation 2",
      3,
      4,
      "evaluation 4",
      5,
      6,
      "evaluation 6",
      7,
      8,
      "evaluation 8",
    ]);
    expect(readdirSync(at("whole", "checkpoints"))).toEqual(["step-000003", "step-000006"]);
  });

  it("equals itself, run again", async () => {
    await run("again", twoEpochs);
    expect(contents("again")).toEqual(contents("whole"));
  });

  it("equals itself interrupted after 1, 3, 4, 6 and 7 steps", async () => {
    const expected = outcome(whole);
    const parts: [number, boolean, number][] = [];
    for (const [i, stopAfter] of [1, 2, 1, 2, 1, undefined].entries()) {
      const part = await run("interrupted", twoEpochs, { resume: i > 0, ...(stopAfter && { stopAfter }) });
      parts.push([part.step, part.result !== undefined, readdirSync(at("interrupted", "checkpoints")).length]);
      if (part.result) expect(outcome(part)).toEqual(expected);
    }
    expect(parts).toEqual([
      [1, false, 1],
      [3, false, 2],
      [4, false, 2],
      [6, false, 2],
      [7, false, 2],
      [8, true, 2],
    ]);
    expect({ ...contents("interrupted"), checkpoints: [] }).toEqual({ ...contents("whole"), checkpoints: [] });
  });

  it("equals itself interrupted in the middle of its evaluations", async () => {
    const stopIn = (count: number): Call => {
      const abort = new AbortController();
      let evaluations = 0;
      const onStage: RunObserver["onStage"] = (stage) => {
        if (stage === "evaluating" && ++evaluations === count) abort.abort();
      };
      return { observer: { onStage }, signal: abort.signal, resume: existsSync(at("midway")) };
    };
    const steps: number[] = [];
    // In the first, before any step; in the third, after step 4; there again; in the last.
    for (const count of [1, 3, 1, 3]) steps.push((await run("midway", twoEpochs, stopIn(count))).step);
    expect(steps).toEqual([0, 4, 4, 8]);
    await run("midway", twoEpochs, { resume: true });
    expect({ ...contents("midway"), checkpoints: [] }).toEqual({ ...contents("whole"), checkpoints: [] });
  });

  it.each([
    "killed before anything",
    "killed after the evaluation of step 0",
    "killed after step 2",
    "killed after the checkpoint of step 3",
    "killed after the evaluation of step 4",
    "killed after step 5",
    "killed after the evaluation of step 8",
  ])("equals itself %s and resumed", async (name) => {
    await run(name, twoEpochs, { resume: true });
    expect(contents(name)).toEqual(contents("whole"));
  });

  it("equals itself killed in the middle of writing, wherever that was", async () => {
    const name = "killed after step 7";
    for (const file of ["metrics.jsonl", "samples.jsonl", "reference.jsonl"]) {
      appendFileSync(at(name, file), read("whole", file).slice(0, 30));
    }
    const torn = at(name, "checkpoints", ".step-000007.tmp-4711");
    cpSync(at(name, "checkpoints", "step-000006"), torn, { recursive: true });
    rmSync(join(torn, "state.json"));
    mkdirSync(at(name, ".adapter.tmp-4711"));
    writeFileSync(at(name, ".adapter.tmp-4711", "adapter_config.json"), "{");
    await run(name, twoEpochs, { resume: true });
    expect(contents(name)).toEqual(contents("whole"));
    expect(readdirSync(at(name)).toSorted()).toEqual(readdirSync(at("whole")).toSorted());
  });

  it("gives its result again when it is resumed after its end, and computes nothing", async () => {
    const expected = whole;
    const stages: string[] = [];
    const again = await run("whole", twoEpochs, { resume: true, observer: { onStage: (stage) => stages.push(stage) } });
    expect(again).toEqual(expected);
    expect(stages).toEqual([]);
  });

  it("may be resumed with other settings of what changes no number", async () => {
    const expected = outcome(whole);
    const settings = { ...twoEpochs, saveEvery: 1, keepCheckpoints: 1 };
    const result = await run("killed after the checkpoint of step 6", settings, { resume: true });
    expect(outcome(result)).toEqual(expected);
    expect(readdirSync(at("killed after the checkpoint of step 6", "checkpoints"))).toEqual(["step-000007"]);
  });
});

/** Interrupts a run after some steps, resumes it, and holds it to the same run left alone. */
async function expectSame(name: string, settings: Omit<DpoOptions, "output">, stops: readonly number[]) {
  const expected = outcome(await run(`${name}-whole`, settings));
  for (const [i, stopAfter] of stops.entries()) await run(`${name}-parts`, settings, { resume: i > 0, stopAfter });
  expect(outcome(await run(`${name}-parts`, settings, { resume: true }))).toEqual(expected);
  const results = [contents(`${name}-whole`), contents(`${name}-parts`)].map(({ checkpoints, ...rest }) => rest);
  expect(results[1]).toEqual(results[0]);
}

describe("an interrupted and resumed run equals the uninterrupted one", () => {
  const plain = { model, data, batchSize: 3, learningRate: 1e-3, samplePrompts: 0, microBatchTokens: 120, threads: 1 };

  it("under full tuning with RMSprop and weight decay, rows in file order", async () => {
    const settings: Omit<DpoOptions, "output"> = {
      ...plain,
      tuning: "full",
      optimizer: "rmsprop",
      weightDecay: 0.01,
      shuffle: false,
      schedule: "cosine",
      warmupSteps: 2,
    };
    await expectSame("full", settings, [1, 2]);
  });

  it("continuing an adapter, with IPO", async () => {
    const { result } = await run("first", { ...plain, loraRank: 2, maxSteps: 2 });
    const settings: Omit<DpoOptions, "output"> = { ...plain, adapter: result!, loss: "ipo", maxSteps: 5, evalData };
    await expectSame("continued", settings, [2]);
  });

  it("when the same pair stands in several rows of one epoch", async () => {
    const rows = read("pairs.jsonl").trimEnd().split("\n");
    const repeated = [0, 1, 2, 0, 3, 4, 5, 0, 6, 1, 7, 8].map((i) => rows[i]);
    writeFileSync(at("repeated.jsonl"), `${repeated.join("\n")}\n`);
    const settings = {
      ...plain,
      data: at("repeated.jsonl"),
      shuffle: false,
      microBatchTokens: 1000,
      learningRate: 1e-2,
    };
    await expectSame("repeated", settings, [1, 2]);
  });

  it("with suspects", async () => {
    const [row] = read("pairs.jsonl").trimEnd().split("\n");
    const { chosen, rejected, ...rest } = JSON.parse(row!);
    const turned = JSON.stringify({ ...rest, chosen: rejected, rejected: chosen });
    writeFileSync(at("turned.jsonl"), `${[row, row, turned, row, row, row].join("\n")}\n`);
    await expectSame("suspects", { ...plain, data: at("turned.jsonl"), epochs: 6, learningRate: 2e-2 }, [3, 4]);
    expect(read("suspects-whole", "suspects.jsonl")).toMatch(/"line":3,"seen":6,.*\n$/);
  });

  it("watched over: samples, patience and the best", async () => {
    const settings: Omit<DpoOptions, "output"> = {
      ...plain,
      evalData,
      learningRate: 2e-2,
      epochs: 8,
      evalEvery: 2,
      klSamples: 3,
      sampleTokens: 4,
      earlyStopping: 2,
      maxKl: 1e-3,
      maxKlAction: "warn",
    };
    await expectSame("watched", settings, [1, 2, 2]);
    expect(read("watched-whole", "warnings.jsonl")).toContain("beyond-max-kl");
    expect(json("watched-whole", "outcome.json")).toHaveProperty("stopped");
  });

  it("on several threads", async () => {
    await expectSame("threads", { ...plain, loraRank: 2, threads: 2, maxSteps: 3 }, [2]);
  });
});

describe("a resumed run is refused", () => {
  const settings: DpoOptions = { model, data, output: at("settings"), maxSteps: 2, samplePrompts: 0, threads: 1 };
  beforeAll(() => run("settings", settings, { stopAfter: 1 }));

  it("with other settings, each by its name", async () => {
    const changed = { ...settings, beta: 0.2, maxSteps: 3, evalEvery: 1 };
    await expect(dpo(changed, { resume: true })).rejects.toThrow(
      `${at("settings")}: can't be resumed with other settings (maxSteps was 2, now 3; beta was 0.1, now 0.2; evalEvery was not given, now 1). Resume it with its own, or start a new run.`,
    );
    const before = read("settings", "metrics.jsonl");
    for (const change of [
      { seed: 1 },
      { shuffle: false },
      { microBatchTokens: 99 },
      { optimizer: "rmsprop" as const },
    ]) {
      await expect(dpo({ ...settings, ...change }, { resume: true })).rejects.toThrow(`(${Object.keys(change)[0]} was`);
    }
    expect(read("settings", "metrics.jsonl")).toBe(before);
  });

  it("on other data: rows more, or rows changed", async () => {
    const changing = at("changing.jsonl");
    const onChanging = { ...settings, data: writePairs(changing, 4), output: at("on-changing") };
    await run("on-changing", onChanging, { stopAfter: 1 });
    const rows = readFileSync(changing, "utf8");
    for (const changed of [
      `${rows}${rows}`,
      rows.replace("The", "A"),
      rows.split("\n").toReversed().join("\n").trim(),
    ]) {
      expect(changed).not.toBe(rows);
      writeFileSync(changing, changed);
      await expect(dpo(onChanging, { resume: true })).rejects.toThrow(
        `${at("on-changing")}: can't be resumed on other data: the rows of ${changing}, or how they are tokenized, have changed since. Give them back as they were, or start a new run.`,
      );
    }
    writeFileSync(changing, rows);
    expect(await dpo(onChanging, { resume: true })).toMatchObject({ step: 2 });
  });

  it("where there is no run", async () => {
    const nowhere = dpo({ ...settings, output: at("nowhere") }, { resume: true });
    await expect(nowhere).rejects.toThrow(/nowhere: has no config\.json, so it is not a run\.$/);
    expect(existsSync(at("nowhere"))).toBe(false);
  });
});
