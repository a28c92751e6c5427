/** The run directory: what survives in it, and what is cleared away. */

import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { RunError } from "../../src/errors.ts";
import { readTrainingCheckpoint, writeTrainingCheckpoint } from "../../src/training/directory/checkpoint.ts";
import { RunDirectory, readRunConfig } from "../../src/training/directory/run-directory.ts";
import { methods, resolveConfig } from "../../src/training/methods.ts";
import { FlatArray } from "../../src/training/policy/flat.ts";
import { adamW, rmsProp } from "../../src/training/step/optimizers.ts";
import { scratchFolder } from "../support/scratch.ts";

const path = scratchFolder().at("run");
const config = resolveConfig(methods.dpo!, { model: "model", data: "pairs.jsonl", output: path });
let run: RunDirectory;
beforeEach(() => {
  rmSync(path, { recursive: true, force: true });
  run = RunDirectory.create(path, config);
});
afterEach(() => run[Symbol.dispose]());

const log = () => readFileSync(join(path, "metrics.jsonl"), "utf8");

describe("the configuration", () => {
  it("comes back as it was", () => {
    expect(resolveConfig(methods.dpo!, readRunConfig(path))).toEqual(config);
  });

  it("that is damaged or missing is refused by its file", () => {
    writeFileSync(join(path, "config.json"), "{");
    expect(() => readRunConfig(path)).toThrow(/run\/config\.json: is not valid JSON \(/);
    rmSync(join(path, "config.json"));
    expect(() => readRunConfig(path)).toThrow(new RunError(`${path}: has no config.json, so it is not a run.`));
  });
});

describe("the logs", () => {
  it("go back to what they were at a checkpoint", () => {
    run.append("metrics.jsonl", { step: 1 });
    const lengths = run.logLengths();
    const before = log();
    run.append("metrics.jsonl", { step: 2 });
    run.append("samples.jsonl", { step: 2 });
    run.restoreLogs(lengths);
    expect(log()).toBe(before);
    expect(run.read("metrics.jsonl")).toEqual([{ step: 1 }]);
    expect(run.read("samples.jsonl")).toEqual([]);
  });

  it("that have lost lines since are not filled up", () => {
    run.append("metrics.jsonl", { step: 1 });
    run.restoreLogs({ "metrics.jsonl": 1000, "samples.jsonl": 1000 });
    expect(run.read("metrics.jsonl")).toEqual([{ step: 1 }]);
  });

  it("are read without a line that was not finished", () => {
    run.append("metrics.jsonl", { step: 1 });
    appendFileSync(join(path, "metrics.jsonl"), '{"step":');
    expect(run.read("metrics.jsonl")).toEqual([{ step: 1 }]);
  });
});

describe("checkpoints", () => {
  const specs = [
    { name: "a", shape: [2, 3] },
    { name: "b", shape: [4] },
  ];
  const state = {
    step: 7,
    evaluationDue: true,
    objectiveState: [0.5],
    logs: { "metrics.jsonl": 12, "samples.jsonl": 0 },
  };
  const filled = () => {
    const trainable = new FlatArray(specs);
    trainable.data.set(trainable.data.map((_, i) => Math.sin(i)));
    return trainable;
  };
  const stepped = (trainable: FlatArray) => {
    const optimizer = adamW({ size: trainable.data.length, weightDecay: 0 });
    const gradients = trainable.data.map((x) => x * x);
    optimizer.update({ parameters: trainable.data, gradients, learningRate: 0.1, step: 1, gradientScale: 1 });
    return optimizer;
  };

  it("give back every value and the position", () => {
    const trainable = filled();
    const optimizer = stepped(trainable);
    const written = writeTrainingCheckpoint(run, { trainable, optimizer, state });
    const restored = { trainable: new FlatArray(specs), optimizer: adamW({ size: 10, weightDecay: 0 }) };
    expect(readTrainingCheckpoint(written, restored)).toEqual(state);
    expect(restored.trainable.data).toEqual(trainable.data);
    expect(restored.optimizer.moments).toEqual(optimizer.moments);
  });

  it("that can't be written are told with how the run goes on", () => {
    rmSync(join(path, "checkpoints"), { recursive: true });
    writeFileSync(join(path, "checkpoints"), "");
    const [trainable, optimizer] = [filled(), adamW({ size: 10, weightDecay: 0 })];
    expect(() => writeTrainingCheckpoint(run, { trainable, optimizer, state })).toThrow(
      new RunError(
        `${join(path, "checkpoints", "step-000007")}: can't be written (a part of the path is a file and not a folder). Mend that, or give another --output; a run that has begun goes on by --resume.`,
      ),
    );
  });

  it("of another model or optimizer are refused", () => {
    const trainable = filled();
    const written = writeTrainingCheckpoint(run, { trainable, optimizer: stepped(trainable), state });
    const optimizer = adamW({ size: 10, weightDecay: 0 });
    const into = (changed: { name: string; shape: number[] }[]) => () =>
      readTrainingCheckpoint(written, { trainable: new FlatArray(changed), optimizer });
    expect(into([{ name: "c", shape: [4] }])).toThrow(RunError);
    expect(into([{ name: "b", shape: [5] }])).toThrow(/has no "b" of 5 values, so it is of another model/);
    expect(into([{ name: "b", shape: [3] }])).toThrow(RunError);
    const other = rmsProp({ size: 10, weightDecay: 0 });
    expect(() => readTrainingCheckpoint(written, { trainable: filled(), optimizer: other })).toThrow(/"square_avg"/);
  });

  it("are counted by their steps, and only the newest kept", () => {
    for (const step of [9, 100, 20, 1_000_000]) mkdirSync(run.checkpointFolder(step));
    expect(run.checkpointSteps()).toEqual([9, 20, 100, 1_000_000]);
    run.keepCheckpoints(2);
    expect(run.checkpointSteps()).toEqual([100, 1_000_000]);
  });

  it("that a killed process had not finished are removed when the run is resumed", () => {
    for (const name of [".step-000003.tmp-12", "step-000002"]) mkdirSync(join(path, "checkpoints", name));
    mkdirSync(join(path, ".adapter.tmp-12"));
    writeFileSync(join(path, "config.json.tmp-12"), "{");
    expect(run.checkpointSteps()).toEqual([2]);
    run[Symbol.dispose]();
    run = RunDirectory.resume(path, config);
    expect(readdirSync(path)).toEqual(["checkpoints", "config.json", "running.json"]);
    expect(readdirSync(join(path, "checkpoints"))).toEqual(["step-000002"]);
  });
});

describe("a run that can't begin", () => {
  // The system bears the folder's path, but none that is longer.
  it.skipIf(process.platform !== "linux")("leaves no folder that would be in its way", () => {
    const room = 4090 - path.length;
    const deep = join(path, ...Array.from({ length: Math.floor(room / 100) }, () => "x".repeat(99)));
    const output = join(deep, "y".repeat(4090 - deep.length - 1));
    expect(() => RunDirectory.create(output, config)).toThrow(RunError);
    expect(readdirSync(deep)).toEqual([]);
  });
});

describe("a run that has ended early", () => {
  it("is removed before its first step, and kept from then on", () => {
    run.append("metrics.jsonl", { step: 0, eval_loss: 0.69 });
    run.append("metrics.jsonl", { step: 1, loss: 0.69 });
    run.removeIfUnused();
    expect(existsSync(path)).toBe(true);
    run.restoreLogs({ "metrics.jsonl": log().indexOf("\n") + 1, "samples.jsonl": 0 });
    run.removeIfUnused();
    expect(existsSync(path)).toBe(false);
  });
});

describe("a run that somebody has removed meanwhile", () => {
  it("is told by the file that can't be written", () => {
    rmSync(path, { recursive: true });
    expect(() => run.append("metrics.jsonl", { step: 1 })).toThrow(
      /metrics\.jsonl: can't be written \(there is no such/,
    );
    run.removeIfUnused();
    expect(existsSync(path)).toBe(false);
  });
});

describe("a run that a process works on", () => {
  it("is refused to another, which may read it", () => {
    expect(() => RunDirectory.resume(path, config)).toThrow(RunError);
    writeFileSync(join(path, "config.json.tmp-12"), "{");
    RunDirectory.open(path, config)[Symbol.dispose]();
    expect(readdirSync(path)).toEqual(["checkpoints", "config.json", "config.json.tmp-12", "running.json"]);
  });

  it("is let go of, and what had asked it to stop with it", () => {
    expect(run.stopRequested).toBe(false);
    writeFileSync(join(path, "stop"), "");
    expect(run.stopRequested).toBe(true);
    run[Symbol.dispose]();
    expect(readdirSync(path)).toEqual(["checkpoints", "config.json"]);
  });

  it("has not come to its end: what it had come to before is removed", () => {
    run[Symbol.dispose]();
    for (const name of ["outcome.json", "stop"]) writeFileSync(join(path, name), "{}");
    run = RunDirectory.resume(path, config);
    expect(readdirSync(path)).toEqual(["checkpoints", "config.json", "running.json"]);
  });
});
