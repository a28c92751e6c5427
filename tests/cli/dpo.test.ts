/** Whole runs by the built executable: its run directory, interruptions, and what a resumed run comes to. */

import type { ChildProcess } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { runsFolder } from "../support/runs.ts";
import { writePairs, writeTinyModel } from "../support/tiny-model.ts";
import { executable, preftune, start } from "./support.ts";

/** Sends a signal once, as soon as the output says that eight steps are done. */
function underWay(signal: NodeJS.Signals) {
  let sent = false;
  return (child: ChildProcess, out: string) => {
    if (sent || !/^step +8\//m.test(out)) return;
    sent = true;
    child.kill(signal);
  };
}

describe.skipIf(!existsSync(executable))("preftune dpo, as it is built in dist/", () => {
  const { at, folder, json, metricsOf, read } = runsFolder();
  const model = writeTinyModel(at("model"));
  const data = writePairs(at("pairs.jsonl"), 12);
  const evalData = writePairs(at("eval.jsonl"), 4, 0, "preferences-eval.jsonl");
  // 3 steps an epoch, 39 in all: a line every 4 steps, a checkpoint every 5.
  const settings = `model: ${model}\ndata: ${data}\neval-data: ${evalData}\nbatch-size: 4\nepochs: 13\nlearning-rate: 1e-3
lora-rank: 4\neval-every: 13\nsave-every: 5\nsample-tokens: 8\nthreads: 1\n`;
  writeFileSync(at("run.yaml"), settings);
  const run = (output: string, ...words: string[]) => [
    "dpo",
    "--config",
    at("run.yaml"),
    "--output",
    at(output),
    ...words,
  ];

  /** What a run has come to, without what depends on the clock. */
  const contents = (output: string) => ({
    metrics: metricsOf(output),
    samples: read(output, "samples.jsonl"),
    reference: read(output, "reference.jsonl"),
    data: read(output, "data.json"),
    adapter: readdirSync(at(output, "adapter")).map((file) => [file, readFileSync(at(output, "adapter", file), "hex")]),
  });

  const whole = start(run("whole")).ended;

  test("makes a run directory that says everything about the run", async () => {
    const { code, out, err } = await whole;
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(readdirSync(at("whole")).toSorted()).toEqual([
      "adapter",
      "checkpoints",
      "config.json",
      "data.json",
      "environment.json",
      "eval-rows.jsonl",
      "metrics.jsonl",
      "outcome.json",
      "reference.jsonl",
      "samples.jsonl",
      "suspects.jsonl",
    ]);
    const config = json("whole", "config.json");
    expect(config).toMatchObject({ model, data: [data], beta: 0.1, loraRank: 4, seed: 0, output: at("whole") });
    const { metrics } = contents("whole");
    const evaluations = metrics.filter((line) => "eval_loss" in line);
    expect(evaluations.map(({ step }) => step)).toEqual([0, 13, 26, 39]);
    expect(evaluations[0]!.eval_loss).toBeCloseTo(Math.LN2, 6);
    const steps = metrics.filter((line) => "grad_norm" in line);
    expect(steps.map(({ step }) => step)).toEqual(Array.from({ length: 39 }, (_, i) => i + 1));
    expect(Object.keys(steps[0]!)).toEqual(
      expect.arrayContaining([
        "step",
        "loss",
        "rewards/chosen",
        "rewards/rejected",
        "rewards/margins",
        "rewards/accuracies",
        "logps/chosen",
        "logps/rejected",
        "grad_norm",
        "learning_rate",
        "examples_per_second",
        "tokens_per_second",
      ]),
    );
    expect(steps.at(-1)!["rewards/margins"]).toBeGreaterThan(0.5);
    expect(out).toContain("on held-out rows");
    expect(out.trimEnd().split("\n").slice(-3)).toEqual([
      `result  ${at("whole", "adapter")}`,
      `try it  preftune generate --model ${model} --adapter ${at("whole", "adapter")} --prompt ...`,
      `see it  preftune ui ${at()}`,
    ]);
  });

  test("never overwrites a run", async () => {
    await whole;
    const before = statSync(at("whole", "metrics.jsonl")).mtimeMs;
    const { code, out, err } = await preftune(...run("whole"));
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err.replaceAll(folder, "")).toMatchInlineSnapshot(`
      "preftune: /whole: there is a run already. Go on with it by --resume, or give another --output.
      "
    `);
    expect(statSync(at("whole", "metrics.jsonl")).mtimeMs).toBe(before);
  });

  test("--resume of a run that has ended shows what it came to", async () => {
    await whole;
    const { code, out } = await preftune("dpo", "--resume", "--output", at("whole"));
    expect(code).toBe(0);
    expect(out).toContain("The run had come to its end already.");
    expect(out).toContain("step 39");
  });

  test("Ctrl-C finishes the step, saves, and says how to go on; the resumed run equals the uninterrupted one", async () => {
    const interrupted = await start(run("interrupted"), underWay("SIGINT")).ended;
    expect(interrupted.code).toBe(130);
    expect(interrupted.err).toContain("stopping once all is saved; Ctrl-C again to stop at once");
    const [, resume] = /Go on with:\n {2}preftune (.*)\n$/.exec(interrupted.err)!;
    expect(resume).toBe(`dpo --resume --output ${at("interrupted")}`);
    expect(existsSync(at("interrupted", "adapter"))).toBe(false);
    const [, stopped] = /stopped after step (\d+) of 39/.exec(interrupted.err)!;
    const checkpoints = readdirSync(at("interrupted", "checkpoints"));
    expect(checkpoints.at(-1)).toBe(`step-${stopped!.padStart(6, "0")}`);

    const resumed = await start(resume!.split(" ")).ended;
    expect(resumed).toMatchObject({ code: 0, err: "" });
    await whole;
    expect(contents("interrupted")).toEqual(contents("whole"));
  });

  test("a killed run goes on after its last checkpoint, and equals the uninterrupted one", async () => {
    const killed = await start(run("killed"), underWay("SIGKILL")).ended;
    expect(killed.signal).toBe("SIGKILL");
    expect(existsSync(at("killed", "running.json"))).toBe(true);
    const resumed = await start(["dpo", "--resume", "--output", at("killed"), "--quiet"]).ended;
    expect(resumed).toMatchObject({ code: 0, out: `${at("killed", "adapter")}\n`, err: "" });
    await whole;
    expect(contents("killed")).toEqual(contents("whole"));
  });

  test("a run that goes on is refused to a second process; a file stop ends it calmly", async () => {
    let second: ReturnType<typeof preftune> | undefined;
    const { child, ended } = start(run("asked", "--epochs", "100"), (_, out) => {
      if (second !== undefined || !/^step +30\//m.test(out)) return;
      second = preftune("dpo", "--resume", "--output", at("asked")).finally(() =>
        writeFileSync(at("asked", "stop"), ""),
      );
    });
    const { code, err } = await ended;
    expect({ code, err: err.replace(/step \d+/, "step N").replace(folder, "") }).toEqual({
      code: 1,
      err: "preftune: stopped as asked by the file stop, after step N of 300. Go on with:\n  preftune dpo --resume --output /asked\n",
    });
    expect(await second).toMatchObject({ code: 1, out: "" });
    expect((await second)!.err).toContain(`preftune: ${at("asked")}: process ${child.pid} works on this run since 20`);
    for (const file of ["stop", "running.json", "adapter"]) expect(existsSync(at("asked", file))).toBe(false);
  });

  test("a second Ctrl-C ends at once, in the middle of a step", async () => {
    // One step of so many tokens that it can't be over before the second signal.
    const row = { prompt: "How is it? ".repeat(20), chosen: "good ".repeat(60), rejected: "bad ".repeat(60) };
    writeFileSync(at("long.jsonl"), `${JSON.stringify(row)}\n`.repeat(400));
    const words = ["dpo", "--model", model, "--data", at("long.jsonl"), "--output", at("twice"), "--batch-size", "400"];
    let signals = 0;
    const { ended } = start([...words, "--threads", "1"], (child, out, err) => {
      if (signals === 0 && out.includes("writes")) signals += Number(child.kill("SIGINT"));
      else if (signals === 1 && err.includes("Ctrl-C again")) signals += Number(child.kill("SIGINT"));
    });
    expect(await ended).toMatchObject({ code: null, signal: "SIGINT" });
    expect(readdirSync(at("twice", "checkpoints"))).toEqual([]);
  });

  test("a resumed run keeps its settings", async () => {
    await whole;
    const { code, err } = await preftune("dpo", "--resume", "--output", at("whole"), "--beta", "0.5");
    expect(code).toBe(1);
    expect(err.replaceAll(folder, "")).toMatchInlineSnapshot(`
      "preftune: /whole: can't be resumed with other settings (beta was 0.1, now 0.5). Resume it with its own, or start a new run.
      "
    `);
  });

  test("a run's config.json can be passed back", async () => {
    await whole;
    const config = at("whole", "config.json");
    const words = ["dpo", "--config", config, "--output", at("again"), "--max-steps", "2", "--sample-prompts", "0"];
    expect(await preftune(...words, "--quiet")).toEqual({
      code: 0,
      out: `${at("again", "adapter")}\n`,
      err: "",
    });
    const passed = json("again", "config.json");
    const original = JSON.parse(readFileSync(config, "utf8"));
    expect(passed).toEqual({ ...original, output: at("again"), maxSteps: 2, samplePrompts: 0 });
  });

  test("a run's result can be exported, an unfinished run's can't", async () => {
    await whole;
    const exported = await preftune("export", "--run", at("whole"), "--output", at("merged"));
    expect(exported).toMatchObject({ code: 0, out: `${at("merged")}\n` });
    expect(exported.err).toMatch(/^The adapter was merged in float32\./);
    expect(readdirSync(at("merged"))).toContain("model.safetensors");
    const refused = await preftune("export", "--run", at("twice"), "--output", at("nothing"));
    expect(refused.code).toBe(1);
    expect(refused.err).toContain("has no result yet. Finish the run with: preftune dpo --resume --output");
  });
});
