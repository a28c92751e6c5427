/** Every script of bench/ that measures runs, in its smallest form: what the numbers are is not the point here. */

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { browserMissing, whyNoBrowser } from "../support/browser.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const model = "examples/film-reviews/model";
const rows = ["--model", model, "--data", "examples/film-reviews/preferences-eval.jsonl", "--threads", "1"];

/** What a script prints. Fails with what it wrote to standard error where it fails. */
async function printed(script: string, ...words: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [script, ...words], { cwd: root });
  return stdout;
}

/** The cells of its table's rows, the heads left out. */
function cells(text: string): string[][] {
  const lines = text.split("\n").filter((line) => line.startsWith("| "));
  return lines.slice(1).map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

const NUMBER = /^\d+(\.\d+)?$/;

describe("the scripts of bench/ run, and print their numbers", () => {
  test("run.js, with sgemm.js, preftune.js and flops.js", async () => {
    const text = await printed("bench/run.js", ...rows, "--steps", "2", "--rounds", "1");
    const [[name, rate, ratio, megabytes, loss]] = cells(text) as [string[]];
    expect([name, ratio, loss]).toEqual(["preftune float32", "1.00 x", "0.6931"]);
    expect([rate, megabytes]).toEqual([expect.stringMatching(NUMBER), expect.stringMatching(NUMBER)]);
    expect(text).toMatch(/computes 1 GFLOP a pair in matrix products: \d+ GFLOP\/s, \d+ % of the SGEMM peak of \d+/);
  });

  test("profile.js: a row a kind of product, then a row an operation", async () => {
    const text = await printed("bench/profile.js", ...rows, "--rounds", "1");
    const kinds = cells(text.slice(text.indexOf("\nstep:"))).map(([kind]) => kind);
    const products = [
      "LoRA's products",
      "attention's products",
      "products with the model's weights",
      "the output head",
    ];
    expect(kinds).toEqual(expect.arrayContaining(products));
    expect(kinds.at(-1)).toBe("the rest");
  });

  test("objectives.js", async () => {
    const text = await printed(
      "bench/objectives.js",
      ...rows,
      "--rounds",
      "1",
      "--pairs",
      "2",
      "--only",
      "dpo hinge,kto kto",
    );
    expect(cells(text)).toEqual([
      ["dpo hinge", ...new Array(3).fill(expect.stringMatching(NUMBER))],
      ["kto kto, by completions", ...new Array(3).fill(expect.stringMatching(NUMBER))],
    ]);
  });

  test("estimates.js", async () => {
    const [[name, tuning, tokens, , , memory]] = cells(
      await printed("bench/estimates.js", "--only", "embedded lora"),
    ) as [string[]];
    expect([name, tuning, tokens]).toEqual(["embedded", "lora", "204"]);
    expect(Number(memory)).toBeGreaterThan(0.5);
  });

  test("large-models.js", async () => {
    const text = await printed(
      "bench/large-models.js",
      "--shapes",
      "tiny",
      "--forms",
      "q8_0",
      "--commands",
      "dpo,merge",
      "--tokenizer",
      model,
    );
    const commands = cells(text).map((row) => [row[4], row.at(-1)]);
    expect(commands).toEqual(["export", "dpo", "merge"].map((command) => [command, "0"]));
  });

  test.skipIf(browserMissing)(`browser.js${whyNoBrowser}`, async () => {
    expect(await printed("bench/browser.js", "--steps", "1", "--threads", "1")).toMatch(
      /^WebAssembly, 1 threads: median \d+\.\d pairs\/s/,
    );
  });

  test("mutations.js", async () => {
    expect(await printed("bench/mutations.js", "--files", "30")).toMatch(
      /^30 files in \d+ s, seed 1: 0 not as they should be/,
    );
  });

  test("dashboard.js", async () => {
    const text = await printed("bench/dashboard.js", "--runs", "2", "--steps", "100");
    expect(text).toMatch(/^its charts, exactly +\d+\.\d+ s/m);
  });

  test("docs/make-comparison.js", async () => {
    const words = ["--only", "dpo sigmoid", "--pairs", "32", "--samples", "2"];
    expect(cells(await printed("docs/make-comparison.js", ...words)).map(([name, steps]) => [name, steps])).toEqual([
      ["none: the model as it is", "0"],
      ["dpo sigmoid", "2"],
    ]);
  });
});

test("a script refuses a flag that is no number, and one that it does not have", async () => {
  await expect(printed("bench/profile.js", "--rounds", "many")).rejects.toThrow(
    "--rounds many: a whole number is needed.",
  );
  await expect(printed("bench/profile.js", "--round", "1")).rejects.toThrow("Unknown option '--round'");
});
