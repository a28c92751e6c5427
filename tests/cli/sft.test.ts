/** `preftune sft` and `preftune dpo --sft-first` as they are typed: what is said, what is left, and how an interrupted run goes on. */

import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { runProgram } from "../../src/cli/program.ts";
import { runsFolder } from "../support/runs.ts";
import { writePairs, writeTinyModel } from "../support/tiny-model.ts";
import { preftune, recorder } from "./support.ts";

const { at, folder, json, metricsOf, writeLines } = runsFolder();
const model = writeTinyModel(at("model"));
const common = ["--model", model, "--batch-size", "2", "--lora-rank", "2", "--sample-prompts", "0", "--threads", "1"];
const config = (...names: string[]) => json(...names, "config.json");

describe("preftune sft", () => {
  const film = (title: string) => ({
    messages: [
      { role: "user", content: `Review ${title}` },
      { role: "assistant", content: "It is good." },
      { role: "user", content: "Really?" },
      { role: "assistant", content: "Yes." },
    ],
  });
  const films = writeLines("films.jsonl", ["one", "two", "three", "four"].map(film));

  test("fine-tunes on conversations and says what it does", async () => {
    const { code, out, err } = await preftune(
      "sft",
      ...common,
      "--data",
      films,
      "--output",
      at("films"),
      "--epochs",
      "2",
    );
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toContain("nll loss");
    expect(out).toContain("4 texts of");
    expect(out).toContain("4 of 2 texts, adamw at 2e-4, linear");
    expect(config("films")).toMatchObject({ method: "sft", loss: ["nll"], average: "tokens" });
    expect(out.trimEnd().split("\n").at(-3)).toBe(`result  ${at("films", "adapter")}`);
  });

  test("--score says which tokens: fewer are learned of the assistant's turns than of all", async () => {
    const learned = async (score: string) => {
      const run = ["--data", films, "--output", at(score), "--score", score, "--max-steps", "1", "--quiet"];
      expect(await preftune("sft", ...common, ...run)).toMatchObject({ code: 0, err: "" });
      return metricsOf(score)[0]!["lengths/completion"]!;
    };
    const [all, assistant, completion] = [
      await learned("all"),
      await learned("assistant"),
      await learned("completion"),
    ];
    expect(all).toBeGreaterThan(assistant);
    expect(assistant).toBeGreaterThan(completion);
  });

  test("names what is wrong with a row, and what would mend it", async () => {
    const data = writeLines("plain.jsonl", [{ text: "Once upon a time." }]);
    const { code, err } = await preftune(
      "sft",
      ...common,
      "--data",
      data,
      "--output",
      at("plain"),
      "--score",
      "assistant",
    );
    expect(code).toBe(1);
    expect(err.replaceAll(folder, "")).toMatchInlineSnapshot(`
      "preftune: /plain.jsonl line 1: the row is one text, all of which is learned: --score assistant needs rows with messages. Mend the row, or skip such rows with --on-bad-row drop.
      "
    `);
    expect(existsSync(at("plain"))).toBe(false);
  });
});

describe("preftune dpo --sft-first", () => {
  const data = writePairs(at("pairs.jsonl"), 8);
  const words = ["dpo", "--sft-first", "--sft-learning-rate", "1e-2", ...common, "--data", data];
  // 4 steps in each part.
  const run = (output: string) => [...words, "--output", at(output)];
  const contents = (output: string) => ({
    first: metricsOf(output, "sft"),
    second: metricsOf(output),
    adapter: readFileSync(at(output, "adapter", "adapter_model.safetensors"), "base64"),
  });

  /** The command line, interrupted by Ctrl-C once its output has this. */
  async function interruptedAt(text: string | RegExp, args: readonly string[]) {
    const [stdout, stderr] = [recorder(), recorder()];
    let sent = false;
    const watching = {
      write(piece: string) {
        stdout.write(piece);
        if (sent || stdout.text().search(text) < 0) return;
        sent = true;
        process.emit("SIGINT", "SIGINT");
      },
    };
    const code = await runProgram(args, { stdout: watching, stderr });
    return { code, out: stdout.text(), err: stderr.text() };
  }

  test("says in which of its two parts it is, and ends in one result", async () => {
    const { code, out, err } = await preftune(...run("whole"));
    expect({ code, err }).toEqual({ code: 0, err: "" });
    const parts = out.split("\n").filter((line) => line.startsWith("part"));
    expect(parts).toEqual([
      "part      1 of 2, fine-tuning on the chosen completions",
      "part      2 of 2, tuning on preferences, from and against what came of the first",
    ]);
    expect(out).toContain(`writes    ${at("whole", "sft")}\n`);
    expect(out.trimEnd().split("\n").at(-3)).toBe(`result  ${at("whole", "adapter")}`);
    expect(config("whole")).toMatchObject({ method: "dpo", model, sftFirst: true, sftLearningRate: 0.01 });
  });

  test.each([
    ["first", /^step 2\/4/m],
    ["second", /part {6}2[\s\S]*^step 2\/4/m],
  ])("stopped in its %s part it goes on by one --resume, and comes to the same", async (part, moment) => {
    const { code, err } = await interruptedAt(moment, run(part));
    expect(code).toBe(130);
    expect(err).toContain(`stopped in its ${part} part after step`);
    const [, resume] = /Go on with:\n {2}preftune (.*)\n$/.exec(err)!;
    expect(resume).toBe(`dpo --resume --output ${at(part)}`);
    const resumed = await preftune(...resume!.split(" "));
    expect(resumed).toMatchObject({ code: 0, err: "" });
    expect(contents(part)).toEqual(contents("whole"));
  });

  test("refuses settings of a part that is not", async () => {
    const { code, err } = await preftune("dpo", ...common, "--data", data, "--output", at("idle"), "--sft-epochs", "2");
    expect(code).not.toBe(0);
    expect(err).toContain("--sft-epochs has no effect without --sft-first");
  });
});
