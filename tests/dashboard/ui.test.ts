/** `preftune ui`: what it says, and how it ends. */

import { writeFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { runProgram } from "../../src/cli/program.ts";
import { openBrowser } from "../../src/dashboard/open-browser.ts";
import { pageFolder } from "../../src/dashboard/static-files.ts";
import { preftune, recorder } from "../cli/support.ts";
import { scratchFolder } from "../support/scratch.ts";
import { ask, writeRun } from "./support.ts";

const built = (() => {
  try {
    return pageFolder() !== "";
  } catch {
    return false;
  }
})();

const { at } = scratchFolder();
writeRun(at("runs", "first"));
writeFileSync(at("file"), "");

/** Runs the command until it has printed an address, asks for what is there, and ends it as Ctrl-C does. */
async function opened(...words: string[]) {
  const [stdout, stderr] = [recorder(), recorder()];
  const running = runProgram(["ui", ...words, "--no-open"], { stdout, stderr });
  for (let i = 0; i < 500 && !stdout.text().includes("Ctrl-C"); i++) await setTimeout(10);
  const url = new URL(/^ {2}(http:\S+)$/m.exec(stdout.text())![1]!);
  const { headers } = await ask(Number(url.port), url.pathname + url.search);
  const cookie = headers["set-cookie"]![0]!.split(";")[0]!;
  const page = await ask(Number(url.port), headers.location!, { headers: { cookie } });
  const list = JSON.parse((await ask(Number(url.port), "/api/runs", { headers: { cookie } })).text);
  process.emit("SIGINT");
  const code = await running;
  return { code, out: stdout.text(), err: stderr.text(), url, page, list };
}

describe.skipIf(!built)(`preftune ui${built ? "" : " (skipped: the page is not built)"}`, () => {
  it("prints the address, serves the page and the runs there, and ends by Ctrl-C", async () => {
    const { code, out, err, url, page, list } = await opened(at("runs"));
    expect([code, err]).toEqual([0, ""]);
    expect(out).toBe(`${at("runs")} is shown at\n\n  ${url}\n\nCtrl-C ends it.\n\n`);
    expect(page).toMatchObject({ status: 200, headers: { "content-type": "text/html; charset=utf-8" } });
    expect(page.text).toContain('<div id="app">');
    expect(list).toMatchObject({ folder: at("runs"), exists: true, runs: [{ name: "first" }] });
    await expect(ask(Number(url.port), "/")).rejects.toThrow(/ECONNREFUSED/);
  });

  it("waits for a folder that is not there yet", async () => {
    const { out, list } = await opened(at("later"));
    expect(out).toContain(`${at("later")} is not there yet: runs appear as they begin.\n`);
    expect(list).toMatchObject({ exists: false, runs: [] });
  });
});

describe("what it can't show", () => {
  it("is said, with what to do", async () => {
    expect(await preftune("ui", at("file"), "--no-open")).toEqual({
      code: 2,
      out: "",
      err: `preftune: ${at("file")} is a file. Give the folder of runs, or of one run.\n`,
    });
    expect((await preftune("ui", "--port", "70000", "--no-open")).err).toBe(
      "preftune: --port must be at most 65535, but is 70000.\n",
    );
  });
});

describe("a machine without a browser", () => {
  it("shows the address in the terminal alone", async () => {
    const { PATH } = process.env;
    const heard: unknown[] = [];
    const hear = (error: unknown) => heard.push(error);
    process.on("uncaughtException", hear);
    try {
      process.env.PATH = at("nothing");
      openBrowser("http://127.0.0.1:1/");
      await setTimeout(200);
    } finally {
      process.env.PATH = PATH;
      process.off("uncaughtException", hear);
    }
    expect(heard).toEqual([]);
  });
});
