/** Ends of runs: the file `stop` that asks for one, and what a run directory says of each. */

import { existsSync, writeFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import type { Metrics, RunObserver, RunResult } from "../../src/training/observer.ts";
import type { RunControl } from "../../src/training/run.ts";
import { type DpoOptions, dpo } from "../../src/training/tuners.ts";
import { interruptAfter, runsFolder } from "../support/runs.ts";
import { writePairs, writeTinyModel } from "../support/tiny-model.ts";

const { at, json, lines, metricsOf } = runsFolder();

const model = writeTinyModel(at("model"));
const data = writePairs(at("pairs.jsonl"), 8);
const evalData = writePairs(at("held-out.jsonl"), 3, 100);

/** 4 steps, evaluations after 0, 2 and 4. */
const settings: Omit<DpoOptions, "output"> = {
  model,
  data,
  evalData,
  batchSize: 2,
  learningRate: 1e-2,
  loraRank: 2,
  evalEvery: 2,
  samplePrompts: 0,
  microBatchTokens: 120,
  threads: 1,
};

const run = (name: string, control: RunControl = {}, changes: Partial<DpoOptions> = {}) =>
  dpo({ ...settings, ...changes, output: at(name) }, control);

/** Asks a run to stop, in its folder or in one that is named. */
const ask = (...names: string[]) => writeFileSync(at(...names, "stop"), "");

/** Whether a run directory still says that it is worked on, or asked to stop. */
const left = (...names: string[]) => ["running.json", "stop"].filter((file) => existsSync(at(...names, file)));

let whole: RunResult;
beforeAll(async () => {
  whole = await run("whole");
});

describe("a file stop", () => {
  it("ends the run after the step, to be resumed, and is removed", async () => {
    const observer: RunObserver = { onStep: ({ step }) => step === 3 && ask("asked") };
    const asked = await run("asked", { observer });
    expect(asked).toMatchObject({ step: 3, steps: 4, interrupted: "stop file" });
    expect(asked.result).toBeUndefined();
    expect(json("asked", "outcome.json")).toEqual({
      step: 3,
      steps: 4,
      interrupted: "stop file",
      suspects: expect.any(Number),
    });
    expect(left("asked")).toEqual([]);
    expect(existsSync(at("asked", "checkpoints", "step-000003"))).toBe(true);

    const resumed = await run("asked", { resume: true });
    expect(resumed).toMatchObject({ step: 4, result: at("asked", "adapter") });
    expect(resumed.interrupted).toBeUndefined();
    expect(metricsOf("asked")).toEqual(metricsOf("whole"));
    expect(json("asked", "outcome.json")).toEqual(json("whole", "outcome.json"));
  });

  it("ends an evaluation between its runs of the engine, which is made anew when the run is resumed", async () => {
    const onStage: RunObserver["onStage"] = (stage) => stage === "evaluating" && ask("midway");
    expect(await run("midway", { observer: { onStage } })).toMatchObject({ step: 0, interrupted: "stop file" });
    expect(existsSync(at("midway", "metrics.jsonl"))).toBe(false);
    await run("midway", { resume: true });
    expect(metricsOf("midway")).toEqual(metricsOf("whole"));
  });

  it("that was made while no process worked on the run does not stop the next", async () => {
    await run("late", interruptAfter(1));
    ask("late");
    expect(await run("late", { resume: true })).toMatchObject({ step: 4, result: at("late", "adapter") });
    expect(left("late")).toEqual([]);
  });

  it("that comes with the last step leaves its evaluation to the resumed run", async () => {
    const observer: RunObserver = { onStep: ({ step }) => step === 4 && ask("last") };
    expect((await run("last", { observer })).interrupted).toBe("stop file");
    expect(await run("last", { resume: true })).toMatchObject({ step: 4, result: at("last", "adapter") });
    expect(left("last")).toEqual([]);
  });

  it("stops the part in which a run is that begins with fine-tuning", async () => {
    const observer: RunObserver = { onStep: ({ step }) => step === 2 && ask("parts") };
    const asked = await run("parts", { observer }, { sftFirst: true });
    expect(asked).toMatchObject({ output: at("parts"), part: "first", step: 2, steps: 4, interrupted: "stop file" });
    const outcome = { step: 2, steps: 4, interrupted: "stop file", suspects: expect.any(Number) };
    expect(json("parts", "outcome.json")).toEqual({ part: "first", ...outcome });
    expect(json("parts", "sft", "outcome.json")).toEqual(outcome);
    expect([left("parts"), left("parts", "sft")]).toEqual([[], []]);
    const resumed = await run("parts", { resume: true }, { sftFirst: true });
    expect(resumed).toMatchObject({ step: 4, result: at("parts", "adapter") });
    expect([left("parts"), left("parts", "sft")]).toEqual([[], []]);
  });
});

describe("while it goes on, a run directory says who works on it", () => {
  const working = (...names: string[]) => json(...names, "running.json").pid === process.pid;

  it("and not at its end", async () => {
    const seen: boolean[] = [];
    await run("alive", {
      observer: { onStart: () => seen.push(working("alive")), onStep: () => seen.push(working("alive")) },
    });
    expect(seen).toEqual([true, true, true, true, true]);
    expect(left("alive")).toEqual([]);
    expect(json("alive", "outcome.json")).toEqual({ step: 4, steps: 4, suspects: expect.any(Number) });
    expect(whole.result).toBe(at("whole", "adapter"));
  });

  it("of both parts, where it has a first one", async () => {
    const seen: boolean[][] = [];
    const onStart = () => seen.push([working("both"), existsSync(at("both", "sft", "running.json"))]);
    await run("both", { observer: { onStart } }, { sftFirst: true });
    expect(seen).toEqual([
      [true, true],
      [true, false],
    ]);
  });

  it("and not after Ctrl-C", async () => {
    const stopped = await run("ctrl-c", interruptAfter(2));
    expect(stopped).toMatchObject({ step: 2, interrupted: "signal" });
    expect(json("ctrl-c", "outcome.json")).toEqual({
      step: 2,
      steps: 4,
      interrupted: "signal",
      suspects: expect.any(Number),
    });
    expect(left("ctrl-c")).toEqual([]);
  });

  it("nor after Ctrl-C while its weights were read; it goes on where it was", async () => {
    const interruptAtStart = (): RunControl => {
      const abort = new AbortController();
      return { signal: abort.signal, observer: { onStage: (stage) => stage === "loading" && abort.abort() } };
    };
    const early = await run("early", interruptAtStart());
    expect(early).toMatchObject({ output: at("early"), step: 0, steps: 4, interrupted: "signal" });
    expect(early.result).toBeUndefined();
    expect(left("early")).toEqual([]);

    await run("early", { ...interruptAfter(2), resume: true });
    const again = await run("early", { ...interruptAtStart(), resume: true });
    expect(again).toMatchObject({ step: 2, steps: 4, interrupted: "signal" });
    expect(json("early", "outcome.json")).toEqual({ step: 2, steps: 4, interrupted: "signal", suspects: 0 });

    await run("early", { resume: true });
    expect(metricsOf("early")).toEqual(metricsOf("whole"));
  });

  it("and not after an error, which it tells; the run goes on after its last checkpoint", async () => {
    const observer: RunObserver = {
      onStep({ step }) {
        if (step === 3) throw new Error("the lights went out");
      },
    };
    await expect(run("failed", { observer }, { saveEvery: 2 })).rejects.toThrow("the lights went out");
    expect(json("failed", "outcome.json")).toEqual({
      step: 3,
      steps: 4,
      error: "the lights went out",
      suspects: expect.any(Number),
    });
    expect(left("failed")).toEqual([]);
    await run("failed", {
      resume: true,
      observer: { onStart: () => expect(existsSync(at("failed", "outcome.json"))).toBe(false) },
    });
    expect(metricsOf("failed")).toEqual(metricsOf("whole"));
    expect(json("failed", "outcome.json")).toEqual(json("whole", "outcome.json"));
  });

  it("and refuses a second run of it, before anything is read", async () => {
    const stages: string[] = [];
    let second: Promise<unknown> | undefined;
    const observer: RunObserver = {
      onStep: ({ step }) => {
        const control = { resume: true, observer: { onStage: (stage: string) => stages.push(stage) } };
        if (step === 1) second = run("twice", control).catch((error) => error.message);
      },
    };
    await run("twice", { observer });
    expect(await second).toContain(`${at("twice")}: process ${process.pid} works on this run since`);
    expect(stages).toEqual([]);
    expect(metricsOf("twice")).toEqual(metricsOf("whole"));
  });
});

describe("every line of metrics.jsonl", () => {
  it("says when it was written, what was seen of the data, and the memory that the process had", () => {
    const written = lines<Metrics>("whole", "metrics.jsonl");
    expect(written.map(({ step, examples }) => [step, examples])).toEqual([
      [0, 0],
      [1, 2],
      [2, 4],
      [2, 4],
      [3, 6],
      [4, 8],
      [4, 8],
    ]);
    const times = written.map(({ time }) => time!);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(Math.abs(times.at(-1)! - Date.now() / 1000)).toBeLessThan(600);
    for (const { memory_bytes } of written) expect(memory_bytes).toBeGreaterThan(2e7);
  });
});
