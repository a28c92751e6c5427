/** Finding runs, and telling where each stands from what is in its directory. */

import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { RunIndex } from "../../src/dashboard/run-index.ts";
import { scratchFolder } from "../support/scratch.ts";
import { evaluationLine, jsonLines, stepLine, writeRun } from "./support.ts";

const { at } = scratchFolder();

let folders = 0;
/** A new folder of runs, with what was found in it after each look. */
function runsFolder() {
  const folder = at(`runs-${folders++}`);
  const index = new RunIndex(folder);
  return {
    folder,
    index,
    look: async () => {
      const changes = await index.refresh();
      return {
        ...changes,
        names: index
          .summaries()
          .map(({ name }) => name)
          .toSorted(),
      };
    },
    summary: async (name: string) => {
      await index.refresh();
      return index.summaries().find((run) => run.name === name);
    },
  };
}

/** The number of a process that has ended. */
const ended = Number(execFileSync(process.execPath, ["-p", "process.pid"], { encoding: "utf8" }));

describe("the runs of a folder", () => {
  it("are those in it, in groups in it, and the parts of runs", async () => {
    const { folder, look, index } = runsFolder();
    writeRun(join(folder, "a"));
    writeRun(join(folder, "group", "b"));
    writeRun(join(folder, "group", "deeper", "c"));
    writeRun(join(folder, "two-parts"), { steps: 0 });
    writeRun(join(folder, "two-parts", "sft"), { config: { method: "sft" } });
    expect((await look()).names).toEqual(["a", "group/b", "group/deeper/c", "two-parts", "two-parts/sft"]);
    const byName = new Map(index.summaries().map((run) => [run.name, run]));
    expect(byName.get("a")!.group).toBe("");
    expect(byName.get("group/b")!.group).toBe("group");
    expect(byName.get("two-parts/sft")!.parent).toBe(byName.get("two-parts")!.id);
  });

  it("are not models, checkpoints, results or hidden folders", async () => {
    const { folder, look } = runsFolder();
    const { path } = writeRun(join(folder, "a"));
    for (const place of [join(folder, "SmolLM2"), join(path, "adapter"), join(path, "checkpoints", "step-000001")]) {
      mkdirSync(place, { recursive: true });
      writeFileSync(join(place, "config.json"), "{}");
    }
    writeRun(join(folder, ".trash", "b"));
    writeFileSync(join(folder, "notes.txt"), "");
    expect((await look()).names).toEqual(["a"]);
  });

  it("may be one run, which the folder itself is", async () => {
    const { folder, look } = runsFolder();
    writeRun(folder);
    expect((await look()).names).toEqual([folder.split("/").at(-1)]);
  });

  it("may lie elsewhere, behind links, and links in a circle end", async () => {
    const { folder, look } = runsFolder();
    writeRun(`${folder}-elsewhere`);
    mkdirSync(folder);
    symlinkSync(`${folder}-elsewhere`, join(folder, "linked"));
    symlinkSync(folder, join(folder, "circle"));
    symlinkSync(join(folder, "nothing"), join(folder, "broken"));
    expect((await look()).names).toEqual(["linked"]);
  });

  it("are told of as they appear, change and go, with the files that changed", async () => {
    const { folder, look, index } = runsFolder();
    expect(await look()).toEqual({ changed: [], removed: [], names: [] });
    expect(index.exists).toBe(false);
    const { append, write, path } = writeRun(join(folder, "a"));
    const appeared = await look();
    expect(index.exists).toBe(true);
    expect(appeared.changed).toMatchObject([{ run: { name: "a", step: 3 }, files: ["metrics", "config"] }]);
    expect((await look()).changed).toEqual([]);
    append(stepLine(4));
    write("samples.jsonl", jsonLines([{ step: 4, prompt: "p", reference: "r", policy: "s" }]));
    expect((await look()).changed).toMatchObject([{ run: { step: 4 }, files: ["metrics", "samples"] }]);
    rmSync(path, { recursive: true });
    const { id } = appeared.changed[0]!.run;
    expect(await look()).toEqual({ changed: [], removed: [id], names: [] });
    writeRun(path, { steps: 1 });
    expect((await look()).changed).toMatchObject([{ run: { id, step: 1 } }]);
  });
});

describe("a run's line in the list", () => {
  it("has its settings, and its numbers as its log's end says them", async () => {
    const { folder, summary } = runsFolder();
    const config = {
      model: "models/SmolLM2",
      data: ["a.jsonl", { path: "b.jsonl", weight: 0.3 }],
      loss: ["sigmoid", "sft"],
    };
    const { append } = writeRun(join(folder, "a"), { steps: 40, config });
    append(evaluationLine(40, { eval_kl_samples: 7 }));
    expect(await summary("a")).toMatchObject({
      model: "models/SmolLM2",
      data: ["a.jsonl", "b.jsonl:0.3"],
      method: "dpo",
      objective: ["sigmoid", "sft"],
      step: 40,
      steps: 100,
      // The mean of steps 21 to 40.
      loss: expect.closeTo(0.7 - 30.5 / 1000, 10),
      accuracy: 0.5,
      margin: 0.8,
      kl: 7,
      evalLoss: expect.closeTo(0.65, 10),
      evaluated: true,
      examplesPerSecond: 8,
      warnings: 0,
      started: 1_700_000_000.5,
      logged: 1_700_000_040.5,
    });
  });

  it("has the last evaluation, however long ago it was", async () => {
    const { folder, summary } = runsFolder();
    const run = writeRun(join(folder, "a"), { steps: 0 });
    const long = Array.from({ length: 20_000 }, (_, i) => stepLine(i + 1));
    run.write(
      "metrics.jsonl",
      jsonLines([evaluationLine(0), ...long.slice(0, 50), evaluationLine(50), ...long.slice(50)]),
    );
    expect(await summary("a")).toMatchObject({ step: 20_000, margin: 1, kl: 5 });
    run.append(stepLine(20_001), evaluationLine(20_001));
    expect(await summary("a")).toMatchObject({ step: 20_001, margin: 20_001 / 50 });
  });

  it("has the training rows' numbers where none are held out", async () => {
    const { folder, summary } = runsFolder();
    const run = writeRun(join(folder, "a"), { steps: 0 });
    run.write("metrics.jsonl", jsonLines([stepLine(1, { kl: 3 }), stepLine(2, { kl: 5 })]));
    const found = (await summary("a"))!;
    expect(found).toMatchObject({ margin: 0.015, kl: 4, evaluated: false });
    expect(found.evalLoss).toBeUndefined();
  });

  it("has its number of steps from its rows where the settings do not say it", async () => {
    const { folder, summary } = runsFolder();
    const run = writeRun(join(folder, "a"), { config: { maxSteps: undefined, batchSize: 8, epochs: 2 } });
    run.write("data.json", { train: { used: 20 } });
    expect((await summary("a"))!.steps).toBe(6);
  });

  it("of a version that logged less has what there is", async () => {
    const { folder, summary } = runsFolder();
    const run = writeRun(join(folder, "a"), { steps: 0 });
    run.write("metrics.jsonl", jsonLines([{ step: 1, loss: 0.5, pairs_per_second: 3 }]));
    expect(await summary("a")).toMatchObject({ step: 1, loss: 0.5, examplesPerSecond: 3 });
  });

  it("survives settings and logs that are damaged, and pipes in the place of files", async () => {
    const { folder, summary } = runsFolder();
    const a = writeRun(join(folder, "a"));
    a.write("config.json", "{");
    a.write("metrics.jsonl", '{"step":1,"loss":0.5}\n{"step":2,"lo');
    expect(await summary("a")).toMatchObject({ model: "", data: [], step: 1, loss: 0.5 });
    const b = writeRun(join(folder, "b"), { config: { model: { a: 1 }, data: 7, loss: null, maxSteps: "many" } });
    rmSync(join(b.path, "metrics.jsonl"));
    execFileSync("mkfifo", [join(b.path, "metrics.jsonl")]);
    expect(await summary("b")).toMatchObject({ model: '{"a":1}', data: ["7"], objective: ["null"], step: 0 });
  });
});

describe("a run's state", () => {
  const written = async (files: Record<string, unknown>) => {
    const { folder, summary } = runsFolder();
    const run = writeRun(join(folder, "a"));
    for (const [name, value] of Object.entries(files)) run.write(name, value);
    return (await summary("a"))!.state;
  };
  const here = { host: hostname(), started: 1 };
  const outcome = { step: 3, steps: 100, suspects: 0 };

  it("is running while its process is there", async () => {
    expect(await written({ "running.json": { pid: process.pid, ...here } })).toBe("running");
    // A run that goes on after it had failed.
    expect(
      await written({ "running.json": { pid: process.pid, ...here }, "outcome.json": { ...outcome, error: "x" } }),
    ).toBe("running");
  });

  it("is interrupted where its process was killed", async () => {
    expect(await written({ "running.json": { pid: ended, ...here } })).toBe("interrupted");
    expect(await written({})).toBe("interrupted");
    expect(await written({ "running.json": "{" })).toBe("interrupted");
    expect(await written({ "running.json": { pid: -1, ...here } })).toBe("interrupted");
  });

  it("is what its outcome says where it ended", async () => {
    expect(await written({ "outcome.json": outcome })).toBe("finished");
    expect(await written({ "outcome.json": { ...outcome, stopped: "KL is above" } })).toBe("stopped");
    expect(await written({ "outcome.json": { ...outcome, interrupted: "stop file" } })).toBe("stopped");
    expect(await written({ "outcome.json": { ...outcome, error: "the loss is not finite" } })).toBe("failed");
    expect(await written({ "outcome.json": outcome, "running.json": { pid: ended, ...here } })).toBe("finished");
  });

  it("changes with its process, though no file does", async () => {
    const { folder, look, index } = runsFolder();
    const run = writeRun(join(folder, "a"));
    const child = (await import("node:child_process")).spawn(process.execPath, ["-e", "setTimeout(() => {}, 60_000)"]);
    run.write("running.json", { pid: child.pid, ...here });
    await look();
    expect(index.summaries()[0]!.state).toBe("running");
    child.kill("SIGKILL");
    await new Promise((resolve) => child.once("exit", resolve));
    expect((await look()).changed).toMatchObject([{ run: { state: "interrupted" }, files: [] }]);
  });

  it("of one that ended in its first part is that part's", async () => {
    const { folder, summary } = runsFolder();
    writeRun(join(folder, "a"), { steps: 0 });
    writeRun(join(folder, "a", "sft")).write("outcome.json", { ...outcome, interrupted: "signal" });
    expect((await summary("a"))!.state).toBe("stopped");
  });

  it("says how long it will take", async () => {
    const { folder, summary } = runsFolder();
    const run = writeRun(join(folder, "a"), { steps: 30 });
    run.write("running.json", { pid: process.pid, ...here });
    // A step a second, as its lines' times say, and 70 of them are left.
    expect((await summary("a"))!.remaining).toBeCloseTo(70, 6);
  });
});
