/** Runs that somebody else has made, in a browser: whatever their files hold, it is text, and every view is drawn. */

import { mkdirSync, writeFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { runReport } from "../../src/dashboard/report.ts";
import { jsonLines, stepLine, writeRun } from "../dashboard/support.ts";
import { browserMissing, launched, whyNoBrowser } from "../support/browser.ts";
import { chart, eventually, go, open, openRun, reading, servedFolder } from "./dashboard-support.ts";

const MARKUP = `<img src=x onerror="pwned=1"></script><script>pwned=1</script><!--\u2028]]>"'\`\${pwned=1}{@html pwned=1}`;
const TOKENS = { text: [MARKUP, "b", 5], policy: [-1, null, "x"], reference: [-2, {}, []] };

/** Markup wherever there is text, and numbers that are none. */
function markedRun(path: string) {
  const run = writeRun(path, {
    steps: 0,
    config: {
      method: MARKUP,
      loss: [MARKUP],
      model: MARKUP,
      data: [MARKUP, { path: MARKUP }],
      [MARKUP]: MARKUP,
      "a.b": 1,
      a: { b: 2 },
    },
  });
  const tally = { [MARKUP]: { count: 1, rows: [{ file: MARKUP, line: 1 }], example: MARKUP } };
  const counts = {
    read: 1,
    used: 1,
    shortened: 0,
    dropped: 1,
    droppedBy: tally,
    shortenedBy: {},
    specialTokens: tally,
  };
  const named = { [MARKUP]: 1, [`rewards/margins@${MARKUP}`]: 1, "two\nlines": 1 };
  const row = { step: 1, file: MARKUP, line: 1, prompt: MARKUP, loss: 1, margin: 1 };
  const suspect = { file: MARKUP, line: 1, seen: 1, mean_weight: 1, last_step: 1, last_margin: 1 };
  const broken = '{"step":4,"loss":1e400}\n{"step":5,"lo\n{"step":6,"loss":NaN}\n';
  run.write("metrics.jsonl", `${jsonLines([stepLine(1, named), stepLine(2, named)])}${broken}`);
  run.write("environment.json", { [MARKUP]: MARKUP });
  run.write("outcome.json", {
    step: 3,
    steps: 9,
    error: MARKUP,
    stopped: MARKUP,
    best: { step: 1, metric: MARKUP, value: 1 },
  });
  run.write("data.json", {
    [MARKUP]: { files: [MARKUP], shape: MARKUP, ...counts },
    train: { files: [1, {}], ...counts, droppedBy: { x: 3 } },
  });
  run.write("warnings.jsonl", jsonLines([{ step: 1, name: MARKUP, found: MARKUP, advice: MARKUP }]));
  run.write(
    "samples.jsonl",
    jsonLines([
      { step: 1, prompt: MARKUP, reference: MARKUP, policy: MARKUP, policy_tokens: TOKENS, reference_tokens: TOKENS },
    ]),
  );
  run.write(
    "eval-rows.jsonl",
    jsonLines(
      [row, row].map((one) => ({ ...one, completions: [{ role: MARKUP, text: MARKUP, tokens: TOKENS }, null, 7] })),
    ),
  );
  run.write("suspects.jsonl", jsonLines([suspect, suspect]));
  for (const step of ["5", "05"]) mkdirSync(`${path}/checkpoints/step-${step}`);
}

/** Opens every view, and says in which the markup stands as text. */
async function viewsWith(page: Page, markup: string): Promise<string[]> {
  const found: string[] = [];
  for (const view of ["Charts", "Samples", "Pairs", "Settings", "Data"]) {
    await go(page, view);
    await eventually(async () => (await page.locator("main").textContent())!.includes(markup)).toBe(true);
    if ((await page.locator("summary").count()) > 0) await page.locator("summary").click();
    found.push(view);
  }
  expect(await page.evaluate("typeof pwned")).toBe("undefined");
  expect(await page.locator("main img, main script").count()).toBe(0);
  return found;
}

describe.skipIf(browserMissing)(`a run that somebody else has made${whyNoBrowser}`, () => {
  const browser = launched();
  const { scratch, served } = servedFolder();

  it("is text in every view, and in its report", async () => {
    const name = `<img src=x onerror='pwned=1'>`;
    markedRun(scratch.at("marked", name));
    await using dashboard = await served("marked");
    await using opened = await open(await browser(), dashboard.url);
    await openRun(opened.page, name);
    expect(await viewsWith(opened.page, MARKUP)).toHaveLength(5);
    expect(opened.errors).toEqual([]);

    writeFileSync(scratch.at("report.html"), await runReport(scratch.at("marked", name)));
    await using report = await open(await browser(), `file://${scratch.at("report.html")}`);
    expect(await viewsWith(report.page, MARKUP)).toHaveLength(5);
    expect(report.errors).toEqual([]);
  });

  it.each([
    ["beyond all bounds", [1e300, -1e300, 0.5]],
    ["too near to each other to be counted", [2 ** 60, 2 ** 60 + 512]],
    ["the same", [1e300]],
  ])("with steps that are %s is drawn", async (what, steps) => {
    const run = writeRun(scratch.at(what, "run"), { steps: 0 });
    run.write("metrics.jsonl", jsonLines(steps.map((step) => ({ step, loss: step, time: step, examples: step }))));
    await using dashboard = await served(what);
    await using opened = await open(await browser(), dashboard.url);
    const { page } = opened;
    await openRun(page, "run");
    for (const axis of ["step", "time", "examples"]) {
      await page.getByLabel("Over").selectOption(axis);
      await eventually(() => reading(page, "Loss")).toMatch(/^1 line/);
    }
    await page.getByLabel("Logarithmic").check();
    await chart(page, "Loss").waitFor();
    expect(opened.errors).toEqual([]);
  });

  it("with more metrics than are asked for at once has charts of all", async () => {
    const run = writeRun(scratch.at("many", "run"), { steps: 0 });
    const margins = Object.fromEntries(
      Array.from({ length: 250 }, (_, i) => [`rewards/margins@a-long-source-name/${i}.jsonl`, i]),
    );
    run.write("metrics.jsonl", jsonLines([stepLine(1, margins), stepLine(2, margins)]));
    await using dashboard = await served("many");
    await using opened = await open(await browser(), dashboard.url);
    await openRun(opened.page, "run");
    await eventually(() => reading(opened.page, "Reward margin")).toMatch(/^251 lines/);
    expect(opened.errors).toEqual([]);
  });
});
