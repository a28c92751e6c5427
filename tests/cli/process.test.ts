/** What only a process can show: signals and pipes. */

import { spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync, readdirSync, writeFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { scratchFolder } from "../support/scratch.ts";
import { writeTinyModel } from "../support/tiny-model.ts";
import { executable, start } from "./support.ts";

describe.skipIf(!existsSync(executable))("the executable, as it is built in dist/", () => {
  const { at, folder } = scratchFolder();
  const model = writeTinyModel(at("model"));

  test("a score that is stopped leaves no file", async () => {
    const row = { prompt: "How is it? ".repeat(20), chosen: "good ".repeat(60), rejected: "bad ".repeat(60) };
    writeFileSync(at("long.jsonl"), `${JSON.stringify(row)}\n`.repeat(300));
    const words = ["score", "--model", model, "--data", at("long.jsonl"), "--output", at("scores.jsonl")];
    const { child, ended } = start([...words, "--threads", "1"]);
    while (!readdirSync(folder).some((name) => name.startsWith("scores.jsonl"))) await setTimeout(20);
    child.kill("SIGTERM");
    expect(await ended).toMatchObject({ code: 143, out: "", err: "\npreftune: stopped; nothing is written.\n" });
    expect(readdirSync(folder).toSorted()).toEqual(["long.jsonl", "model"]);
  });

  test("a reader that goes away ends the process quietly", async () => {
    const words = ["generate", "--model", model, "--prompt", "Hello", "--max-new-tokens", "400"];
    const { ended } = start(words, (child) => child.stdout!.destroy());
    expect(await ended).toMatchObject({ code: 141, err: "" });
  });

  test.skipIf(!existsSync("/dev/full"))("an output that is full is told without a stack", async () => {
    const output = openSync("/dev/full", "w");
    const words = ["inspect", "model", model, "--no-time"];
    const child = spawnSync(process.execPath, [executable, ...words], { stdio: ["ignore", output, "pipe"] });
    closeSync(output);
    expect({ code: child.status, err: String(child.stderr) }).toEqual({
      code: 1,
      err: "preftune: standard output can't be written (the disk is full).\n",
    });
  });
});
