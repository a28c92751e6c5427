/** The dashboard in a browser, as it is built, on run directories: real ones and written ones. */

import { readFileSync, renameSync, writeFileSync } from "node:fs";
import type { Browser, BrowserContextOptions, Download, Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { runReport } from "../../src/dashboard/report.ts";
import { type Dashboard, startDashboard } from "../../src/dashboard/server.ts";
import { demoRun } from "../../src/demo/demo.ts";
import { start } from "../cli/support.ts";
import { evaluationLine, jsonLines, stepLine, writeRun } from "../dashboard/support.ts";
import { overflow, violations } from "../support/accessibility.ts";
import { browserMissing, launched, whyNoBrowser } from "../support/browser.ts";
import { scratchFolder } from "../support/scratch.ts";

const QUESTION = "<|im_start|>user\nHow is the film?<|im_end|>\n<|im_start|>assistant\n";
const BETA = 0.4;
const TOKENS = { text: ["A", " dull", " film", "."], policy: [-1, -4, -2, -0.5], reference: [-1, -2, -2.5, -0.25] };
const LONG = 5000;

const completion = (role: string, text: string, reward: number) => ({
  role,
  text,
  logp: -9 + reward,
  reference_logp: -9,
  reward,
  tokens: TOKENS,
});

/** A run that has something in every view: `steps` logged steps, two evaluations, samples, rows, a warning, a suspect. */
function fullRun(path: string, steps = 100, config: object = {}) {
  const run = writeRun(path, { steps: 0, config: { beta: BETA, ...config } });
  const lines = Array.from({ length: steps }, (_, i) =>
    stepLine(i + 1, { "rewards/chosen": i / 100, "rewards/rejected": -i / 50, grad_norm: 1 }),
  );
  run.write("metrics.jsonl", jsonLines([evaluationLine(0), ...lines, evaluationLine(steps)]));
  run.write("outcome.json", { step: steps, steps, suspects: 1 });
  run.write("environment.json", { preftune: "0.1.0", platform: "linux x64" });
  const ledger = {
    files: ["pairs.jsonl"],
    read: 9,
    used: 8,
    shortened: 0,
    dropped: 1,
    shortenedBy: {},
    specialTokens: {},
  };
  run.write("data.json", {
    train: { ...ledger, droppedBy: { "empty completion": { count: 1, rows: [{ file: "pairs.jsonl", line: 4 }] } } },
  });
  run.write(
    "warnings.jsonl",
    jsonLines([{ step: 50, name: "length-bias", found: "margins follow length", advice: "Balance the lengths." }]),
  );
  run.write(
    "suspects.jsonl",
    jsonLines([{ file: "pairs.jsonl", line: 7, seen: 2, mean_weight: 0.8, last_step: 9, last_margin: -2 }]),
  );
  const sample = (step: number, policy: string) => ({
    step,
    prompt: QUESTION,
    reference: "A dull film.",
    policy,
    reference_tokens: TOKENS,
  });
  run.write(
    "samples.jsonl",
    jsonLines([
      sample(0, "A dull film."),
      { ...sample(steps, "A fine film."), policy_tokens: { ...TOKENS, text: ["A", " fine", " film", "."] } },
    ]),
  );
  const rows = [0.5, -1.5, 2].map((margin, i) => ({
    step: steps,
    file: "held-out.jsonl",
    line: i + 1,
    prompt: QUESTION,
    completions: [
      completion("chosen", "A dull film.", margin / 2),
      completion("rejected", i === 2 ? "A needle." : "A dull film.", -margin / 2),
    ],
    margin,
    loss: Math.log1p(Math.exp(-margin)),
  }));
  run.write("eval-rows.jsonl", jsonLines(rows));
  return run;
}

/** Milliseconds. Machines that test are busy. */
const PATIENCE = 20_000;
const eventually: typeof expect.poll = (value, options) => expect.poll(value, { timeout: PATIENCE, ...options });

interface Opened extends AsyncDisposable {
  readonly page: Page;
  readonly errors: string[];
  readonly requests: string[];
}

async function open(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Opened> {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const [errors, requests]: [string[], string[]] = [[], []];
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("request", (request) => requests.push(request.url()));
  await page.goto(url);
  return { page, errors, requests, [Symbol.asyncDispose]: () => context.close() };
}

const go = (page: Page, name: string) =>
  page.getByRole("navigation", { name: "Views of this run" }).getByRole("link", { name }).click();
const chart = (page: Page, title: string) => page.getByRole("figure", { name: title });
const cursor = (page: Page, title: string) => page.getByRole("slider", { name: `${title}: cursor` });
const reading = (page: Page, title: string) => cursor(page, title).getAttribute("aria-valuetext");
const tokensOf = (page: Page) => page.getByRole("listbox").getByRole("option");
const openRun = (page: Page, name: string) => page.getByRole("link", { name, exact: true }).click();

describe.skipIf(browserMissing)(`the dashboard${whyNoBrowser}`, () => {
  const browser = launched();
  const scratch = scratchFolder();
  const served = (folder: string, port?: number): Promise<Dashboard> =>
    startDashboard({ folder: scratch.at(folder), interval: 100, port });

  it("follows a run from before it begins, and stops it when that is confirmed", async () => {
    await using dashboard = await served("live");
    await using opened = await open(await browser(), dashboard.url);
    const { page } = opened;
    await page.getByRole("heading", { name: "No runs yet" }).waitFor();
    expect(await page.locator("pre").first().textContent()).toBe(`preftune demo --output ${scratch.at("live")}/demo`);

    const [films, output] = [demoRun({ output: scratch.at("live", "first"), seed: 0 }), scratch.at("live", "first")];
    const evalData = scratch.writeLines("held-out.jsonl", heldOut());
    const lengths =
      "--limit 16 --batch-size 2 --epochs 1000 --eval-every 8 --sample-prompts 1 --sample-tokens 8 --threads 1";
    const words = ["--model", films.model, "--data", films.data, "--eval-data", evalData, "--output", output];
    const run = start(["dpo", ...words, "--tuning", "full", ...lengths.split(" ")]);
    await openRun(page, "first");
    await page.getByText("running").waitFor();
    expect(await page.title()).toBe("first · preftune");
    await eventually(() => reading(page, "Loss")).toMatch(/^2 lines, 0 to \d+$/);
    const [before, step] = [await reading(page, "Loss"), page.locator("dd").first()];
    const stepBefore = await step.textContent();
    await eventually(() => reading(page, "Loss")).not.toBe(before);
    await eventually(() => step.textContent()).not.toBe(stepBefore);

    await page.getByRole("button", { name: "Stop" }).click();
    await page.getByRole("button", { name: "Let it run" }).click();
    await page.getByRole("button", { name: "Stop" }).click();
    expect(await violations(page)).toEqual([]);
    await page.getByRole("button", { name: "Stop the run" }).click();
    expect((await run.ended).err).toContain("--resume");
    await page.getByText("Go on with it:").waitFor();
    expect(await page.getByRole("button", { name: "Stop" }).count()).toBe(0);

    await go(page, "Samples");
    const token = tokensOf(page).first();
    await token.waitFor();
    const [sample] = scratch
      .lines<{ policy: string; policy_tokens: { text: string[] } }>("live", "first", "samples.jsonl")
      .slice(-1);
    const policy = page.getByRole("listbox", { name: "Policy, token by token" });
    expect(await policy.textContent()).toBe(sample!.policy_tokens.text.join(""));
    expect(opened.errors).toEqual([]);
  });

  it("shows every token's reward by colour, and exactly on hover and focus", async () => {
    fullRun(scratch.at("tokens", "run"));
    await using dashboard = await served("tokens");
    await using opened = await open(await browser(), dashboard.url);
    const { page } = opened;
    await openRun(page, "run");
    await go(page, "Samples");
    const tokens = page.getByRole("listbox", { name: "Policy, token by token" }).getByRole("option");
    const background = (i: number) => tokens.nth(i).evaluate((token) => getComputedStyle(token).backgroundColor);
    await tokens.first().waitFor();
    const colours = [await background(0), await background(1), await background(2)];
    expect(new Set(colours).size).toBe(3);

    const shown = async () => Number(await page.getByRole("tooltip").locator("data").getAttribute("value"));
    await tokens.nth(1).hover();
    expect(await shown()).toBeCloseTo(BETA * (-4 - -2), 12);
    await page.mouse.move(0, 0);
    await tokens.nth(0).focus();
    expect(await shown()).toBeCloseTo(0, 12);
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    expect(await shown()).toBeCloseTo(BETA * (-2 - -2.5), 12);
    await page.keyboard.press("Escape");
    expect(await page.getByRole("tooltip").count()).toBe(0);

    await page.getByRole("button", { name: "Differences" }).click();
    expect(await page.locator("section ins").allTextContents()).toEqual([" fine"]);
    expect(await page.locator("section del").allTextContents()).toEqual([" dull"]);
    const slider = page.getByRole("slider", { name: "Evaluation at step" });
    await slider.press("Home");
    expect(await slider.getAttribute("aria-valuetext")).toBe("0");
    expect(await page.locator("section ins").count()).toBe(0);
    expect(opened.errors).toEqual([]);
  });

  it("sorts pairs by how wrong they are, and finds words in them", async () => {
    fullRun(scratch.at("pairs", "run"));
    await using dashboard = await served("pairs");
    await using opened = await open(await browser(), dashboard.url);
    const { page } = opened;
    await openRun(page, "run");
    await go(page, "Pairs");
    const margins = () => page.locator("article header").allTextContents();
    await page.getByText("2 of 3").waitFor();
    expect((await margins()).map((text) => text.trim().split(/\s+/).slice(0, 3))).toEqual([
      ["wrong", "margin", "−1.500"],
      ["right", "margin", "+0.500"],
      ["right", "margin", "+2.000"],
    ]);
    await page.getByLabel("Order").selectOption("right");
    await eventually(async () => (await margins())[0]).toContain("+2.000");
    await page.getByLabel("Search").fill("needle");
    await eventually(async () => (await margins()).length).toBe(1);
    expect(opened.errors).toEqual([]);
  });

  it("moves the cursors of all charts together, by keyboard too, and asks for finer data when zoomed", async () => {
    fullRun(scratch.at("long", "run"), LONG);
    await using dashboard = await served("long");
    await using opened = await open(await browser(), dashboard.url);
    const { page, requests } = opened;
    await openRun(page, "run");
    await eventually(() => reading(page, "Loss")).toBe(`2 lines, 0 to 5\u202f000`);
    await cursor(page, "Loss").press("End");
    const end = Object.fromEntries(
      scratch
        .lines("long", "run", "metrics.jsonl")
        .slice(-1)
        .map((line) => ["loss", line.eval_loss]),
    )!;
    await expect
      .poll(() => reading(page, "Loss"))
      .toMatch(
        new RegExp(
          `^step 5.000, training [\\d.−]+, held out ${String(Number(end.loss!.toPrecision(3))).replace("-", "−")}$`,
        ),
      );
    await eventually(() => reading(page, "Gradient norm")).toBe("step 5\u202f000, training 1");

    await cursor(page, "Loss").scrollIntoViewIfNeeded();
    const { x, y, width } = (await cursor(page, "Loss").boundingBox())!;
    requests.length = 0;
    await page.mouse.move(x + 0.4 * width, y + 60);
    await page.mouse.down();
    await page.mouse.move(x + 0.9 * width, y + 70, { steps: 4 });
    await page.mouse.up();
    await eventually(() => requests.filter((url) => /api\/series\?.*from=1\d\d\d/.test(url)).length).toBeGreaterThan(0);
    requests.length = 0;
    await cursor(page, "Loss").press("+");
    await eventually(() => requests.filter((url) => /api\/series\?.*from=[1-9]/.test(url)).length).toBeGreaterThan(0);
    for (let i = 0; i < 5; i++) await cursor(page, "Loss").press("+");
    await cursor(page, "Loss").press("Home");
    await cursor(page, "Loss").press("ArrowRight");
    // So near that points are values again.
    const lossAt = async () => /^step ([\d\u202f]+), training ([\d.−]+)/.exec((await reading(page, "Loss"))!)!;
    const value = async () => {
      const [, at, loss] = await lossAt();
      const logged = 0.7 - Number(at!.replace("\u202f", "")) / 1000;
      return Math.abs(logged - Number(loss!.replace("−", "-")));
    };
    await eventually(value).toBeLessThan(0.005);
    await page.getByRole("button", { name: "Whole run" }).click();
    await page.getByLabel("Logarithmic").check();
    await chart(page, "Loss").getByText("linear: it has values below zero").waitFor();
    expect(await chart(page, "Gradient norm").getByText("linear").count()).toBe(0);
    await page.getByRole("slider", { name: "Smoothing" }).press("End");
    await page.getByLabel("Over").selectOption("time");
    await eventually(() => reading(page, "Loss")).toBe("2 lines, 0:00 to 1:23:20");
    await cursor(page, "Loss").press("End");
    await eventually(() => reading(page, "Loss")).toMatch(/^time since the start 1:23:2\d/);
    expect(opened.errors).toEqual([]);
  });

  it("saves a chart as SVG, PNG and CSV", async () => {
    fullRun(scratch.at("files", "run"));
    await using dashboard = await served("files");
    await using opened = await open(await browser(), dashboard.url);
    const { page } = opened;
    await openRun(page, "run");
    await eventually(() => reading(page, "Implicit reward")).toMatch(/^2 lines, 0 to 100$/);
    const save = async (format: string): Promise<Download> => {
      await chart(page, "Implicit reward").getByRole("button", { name: "Save the chart Implicit reward" }).click();
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        chart(page, "Implicit reward").getByRole("button", { name: format, exact: true }).click(),
      ]);
      return download;
    };
    const content = async (download: Download) => readFileSync(await download.path());

    const svg = await save("SVG");
    expect(svg.suggestedFilename()).toBe("implicit-reward.svg");
    const text = (await content(svg)).toString();
    const parsed = await page.evaluate((source) => {
      const document = new DOMParser().parseFromString(source, "image/svg+xml");
      const points = [...document.querySelectorAll("g path")].map(
        (path) => path.getAttribute("d")!.match(/[ML]/g)!.length,
      );
      return {
        wrong: document.querySelector("parsererror")?.textContent ?? "",
        texts: [...document.querySelectorAll("text")].map((node) => node.textContent),
        points,
      };
    }, text);
    expect(parsed).toMatchObject({ wrong: "", points: [100, 100] });
    expect(parsed.texts).toEqual(expect.arrayContaining(["Implicit reward", "chosen", "rejected", "step", "0", "100"]));
    expect(text).not.toContain("var(");

    const png = await content(await save("PNG"));
    expect(png.subarray(1, 4).toString()).toBe("PNG");
    expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([1600, 900]);

    const csv = (await content(await save("CSV"))).toString().trimEnd().split("\r\n");
    expect(csv[0]).toBe("run,step,time,examples,rewards/chosen,rewards/rejected");
    expect(csv).toHaveLength(1 + 100);
    expect(csv.at(-1)).toBe("run,100,1700000100,800,0.99,-1.98");
    expect(opened.errors).toEqual([]);
  });

  it("compares runs: one line each, and the settings that differ", async () => {
    fullRun(scratch.at("several", "a"));
    fullRun(scratch.at("several", "sweep", "b"), 100, { beta: 0.1 });
    fullRun(scratch.at("several", "sweep", "c"), 100, { loss: ["ipo"] });
    await using dashboard = await served("several");
    await using opened = await open(await browser(), dashboard.url);
    const { page } = opened;
    const names = () => page.getByRole("table").getByRole("rowheader").locator("a").allTextContents();
    await page.getByRole("button", { name: "Run", exact: true }).click();
    expect(await names()).toEqual(["a", "sweep/b", "sweep/c"]);
    await page.getByRole("button", { name: "Run", exact: true }).click();
    expect(await names()).toEqual(["sweep/c", "sweep/b", "a"]);
    await page.getByLabel("Group runs").selectOption("folder");
    expect(await page.locator("th[scope=rowgroup]").allTextContents()).toEqual(["(top) 1", "sweep 2"]);
    await page.getByLabel("Search runs").fill("ipo");
    await eventually(names).toEqual(["sweep/c"]);
    await page.getByLabel("Search runs").fill("");
    await page.getByLabel("Compare a", { exact: true }).check();
    await page.getByLabel("Compare sweep/b").check();
    await page.getByRole("link", { name: "Compare 2 runs" }).click();
    await eventually(() => reading(page, "Loss")).toMatch(/^4 lines/);
    const beta = page.getByRole("row", { name: "beta" });
    expect(await beta.getByRole("cell").allTextContents()).toEqual(["0.4", "0.1"]);
    await page.goBack();
    await page.getByRole("heading", { name: "Runs" }).waitFor();
    expect(await page.getByLabel("Compare sweep/b").isChecked()).toBe(true);
    expect(opened.errors).toEqual([]);
  });

  it("says calmly that the connection is lost, and goes on when the server is there again", async () => {
    fullRun(scratch.at("restart", "first"));
    const dashboard = await served("restart");
    await using opened = await open(await browser(), dashboard.url);
    const { page } = opened;
    await page.getByText("live", { exact: true }).waitFor();
    await dashboard[Symbol.asyncDispose]();
    await page.getByText("Connection lost").waitFor();
    expect(await page.getByRole("link", { name: "first" }).isVisible()).toBe(true);

    fullRun(scratch.at("restart", "second"));
    await using again = await served("restart", dashboard.port);
    // The new server has a new token. Once its address is opened anywhere in the browser, this page is let in too.
    await page.getByText("Open the address that preftune ui has printed").waitFor();
    const other = await page.context().newPage();
    await other.goto(again.url);
    await page.getByText("live", { exact: true }).waitFor();
    await page.getByRole("link", { name: "second" }).waitFor();
  });

  it("keeps what it shows of a run that is deleted meanwhile", async () => {
    fullRun(scratch.at("deleted", "first"));
    await using dashboard = await served("deleted");
    await using opened = await open(await browser(), dashboard.url);
    const { page } = opened;
    await openRun(page, "first");
    await eventually(() => reading(page, "Loss")).toMatch(/^2 lines/);
    renameSync(scratch.at("deleted", "first"), scratch.at("trash"));
    await page.getByText("This run's folder is gone.").waitFor();
    expect(await reading(page, "Loss")).toMatch(/^2 lines/);
    await page.reload();
    await page.getByRole("heading", { name: "There is no such run" }).waitFor();
    await page.getByRole("link", { name: "All runs" }).click();
    await page.getByRole("heading", { name: "No runs yet" }).waitFor();
  });

  it.each([
    ["light", 1280],
    ["dark", 1280],
    ["light", 360],
    ["dark", 360],
  ] as const)(
    "has nothing against the accessibility guidelines in any view (%s, %d pixels wide)",
    async (colorScheme, width) => {
      const folder = `views-${colorScheme}-${width}`;
      fullRun(scratch.at(folder, "a"));
      fullRun(scratch.at(folder, "b"), 50, { beta: 0.1 });
      await using dashboard = await served(folder);
      await using opened = await open(await browser(), dashboard.url, {
        colorScheme,
        viewport: { width, height: 800 },
        reducedMotion: "reduce",
      });
      const { page } = opened;
      const found: string[] = [];
      const check = async (view: string) => {
        found.push(...(await violations(page)).map((violation) => `${view}: ${violation}`));
        if ((await overflow(page)) > 0) found.push(`${view}: is wider than the window`);
      };
      await page.getByLabel("Compare a").check();
      await page.getByLabel("Compare b").check();
      await check("list");
      await page.getByRole("link", { name: "Compare 2 runs" }).click();
      await eventually(() => reading(page, "Loss")).toMatch(/^4 lines/);
      await check("comparison");
      await page.goBack();
      await openRun(page, "a");
      await eventually(() => reading(page, "Loss")).toMatch(/^2 lines/);
      await cursor(page, "Loss").press("End");
      await page.getByRole("button", { name: "Save the chart Loss" }).click();
      await check("charts");
      await go(page, "Samples");
      await tokensOf(page).nth(1).focus();
      await check("samples");
      await page.getByRole("button", { name: "Differences" }).click();
      await check("differences");
      await go(page, "Pairs");
      await tokensOf(page).first().waitFor();
      await check("pairs");
      await go(page, "Settings");
      await page.getByLabel("Differences to").selectOption("b");
      await page.getByRole("rowheader", { name: "beta" }).waitFor();
      await check("settings");
      await go(page, "Data");
      await page.getByText("pairs.jsonl:7").waitFor();
      await check("data");
      expect(found).toEqual([]);
      expect(opened.errors).toEqual([]);
    },
  );

  it("is made a report of: one file that asks for nothing else", async () => {
    fullRun(scratch.at("reported"));
    const file = scratch.at("report.html");
    writeFileSync(file, await runReport(scratch.at("reported")));
    await using opened = await open(await browser(), `file://${file}`);
    const { page } = opened;
    await eventually(() => reading(page, "Loss")).toBe("2 lines, 0 to 100");
    expect(await page.title()).toBe("reported · preftune report");
    await cursor(page, "Loss").press("End");
    await eventually(() => reading(page, "Implicit reward")).toBe("step 100, chosen 0.99, rejected −1.98");
    expect(await violations(page)).toEqual([]);
    await go(page, "Samples");
    await tokensOf(page).first().waitFor();
    await go(page, "Pairs");
    await page.getByText("2 of 3").waitFor();
    await page.getByLabel("Order").selectOption("right");
    await eventually(() => page.locator("article header").first().textContent()).toContain("+2.000");
    await go(page, "Settings");
    await page.getByRole("rowheader", { name: "beta" }).waitFor();
    await go(page, "Data");
    await page.getByText("pairs.jsonl:7").waitFor();
    await page.goBack();
    await page.getByRole("heading", { name: "Configuration" }).waitFor();
    expect(opened.requests.filter((url) => !url.startsWith("data:") && !url.startsWith("file://"))).toEqual([]);
    expect(opened.requests.filter((url) => url.startsWith("file://"))).toHaveLength(1);
    expect(opened.errors).toEqual([]);
  });
});

/** A few held-out pairs of the kind that the embedded model knows. */
function heldOut() {
  const user = (content: string) => [{ role: "user", content }];
  const assistant = (content: string) => [{ role: "assistant", content }];
  return ["The Blue Song", "The Lost Key"].map((title) => ({
    prompt: user(`Please review the film "${title}" in a few words.`),
    chosen: assistant(`"${title}" is a joy from start to finish.`),
    rejected: assistant(`"${title}" is a waste of two hours.`),
  }));
}
