/** A run on the dashboard, in a browser: its charts, samples and pairs. */

import { readFileSync } from "node:fs";
import type { Download } from "playwright-core";
import { describe, expect, it } from "vitest";
import { jsonLines, stepLine } from "../dashboard/support.ts";
import { browserMissing, launched, whyNoBrowser } from "../support/browser.ts";
import {
  BETA,
  chart,
  cursor,
  eventually,
  fullRun,
  go,
  open,
  openRun,
  reading,
  servedFolder,
} from "./dashboard-support.ts";

const LONG = 5000;

describe.skipIf(browserMissing)(`a run on the dashboard${whyNoBrowser}`, () => {
  const browser = launched();
  const { scratch, served } = servedFolder();

  it("moves the cursors of all charts together, by keyboard too", async () => {
    fullRun(scratch.at("cursors", "run"));
    await using dashboard = await served("cursors");
    await using opened = await open(await browser(), dashboard.url);
    const { page } = opened;
    await openRun(page, "run");
    await eventually(() => reading(page, "Loss")).toBe("2 lines, 0 to 100");
    await cursor(page, "Loss").press("End");
    const [held] = scratch.lines("cursors", "run", "metrics.jsonl").slice(-1);
    await eventually(() => reading(page, "Loss")).toBe(
      `step 100, training 0.6, held out ${Number(held!.eval_loss!.toPrecision(4))}`,
    );
    await eventually(() => reading(page, "Gradient norm")).toBe("step 100, training 1");
    await cursor(page, "Gradient norm").press("ArrowLeft");
    await eventually(() => reading(page, "Implicit reward")).toBe("step 99, chosen 0.98, rejected −1.96");
    await cursor(page, "Loss").hover();
    await eventually(() => reading(page, "Gradient norm")).toMatch(/^step [45]\d, training 1$/);
    expect(opened.errors).toEqual([]);
  });

  it("is asked for in finer points where it is zoomed into, down to every value", async () => {
    fullRun(scratch.at("long", "run"), LONG);
    await using dashboard = await served("long");
    await using opened = await open(await browser(), dashboard.url);
    const { page, requests } = opened;
    await openRun(page, "run");
    await eventually(() => reading(page, "Loss")).toBe("2 lines, 0 to 5\u202f000");
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
    const error = async () => {
      const [, at, loss] = /^step ([\d\u202f]+), training ([\d.−]+)/.exec((await reading(page, "Loss"))!)!;
      const logged = 0.7 - Number(at!.replace("\u202f", "")) / 1000;
      return Math.abs(logged - Number(loss!.replace("−", "-")));
    };
    await eventually(error).toBeLessThan(0.0005);
    await page.getByRole("button", { name: "Whole run" }).click();
    await eventually(() => reading(page, "Loss")).toBe("2 lines, 0 to 5\u202f000");
    expect(opened.errors).toEqual([]);
  });

  it("is drawn over time, logarithmically where its values allow it", async () => {
    fullRun(scratch.at("axes", "run"), LONG);
    await using dashboard = await served("axes");
    await using opened = await open(await browser(), dashboard.url);
    const { page } = opened;
    await openRun(page, "run");
    await page.getByLabel("Logarithmic").check();
    await chart(page, "Loss").getByText("linear: it has values below zero").waitFor();
    expect(await chart(page, "Gradient norm").getByText("linear").count()).toBe(0);
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

  it("asks for the samples of the prompt that is looked at, and no others", async () => {
    const run = fullRun(scratch.at("prompts", "run"));
    const sample = (prompt: string, step: number) => ({
      step,
      prompt,
      reference: `no ${prompt}`,
      policy: `${prompt} at ${step}`,
    });
    run.write("samples.jsonl", jsonLines([0, 100].flatMap((step) => [sample("one", step), sample("two", step)])));
    await using dashboard = await served("prompts");
    await using opened = await open(await browser(), dashboard.url);
    const { page, requests } = opened;
    await openRun(page, "run");
    await go(page, "Samples");
    await page.getByText("one at 100").waitFor();
    await page.getByLabel("Prompt").selectOption({ label: "2. two" });
    await page.getByText("two at 100").waitFor();
    await page.getByRole("slider", { name: "Evaluation at step" }).press("Home");
    await page.getByText("two at 0", { exact: true }).waitFor();
    const asked = requests.flatMap((url) => /samples\?prompt=(\d)/.exec(url)?.[1] ?? []);
    expect(asked).toEqual(["0", "1"]);
    await eventually(() => page.url()).toMatch(/samples\?prompt=2&step=0$/);
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

  it("shows every pair of a row that several were made of, page by page", async () => {
    const run = fullRun(scratch.at("ranked", "run"));
    const row = (i: number) => ({
      step: 100,
      file: "f.jsonl",
      line: 1,
      prompt: `prompt ${i}`,
      completions: [],
      margin: i,
      loss: 1,
    });
    run.write("eval-rows.jsonl", jsonLines(Array.from({ length: 25 }, (_, i) => row(i))));
    await using dashboard = await served("ranked");
    await using opened = await open(await browser(), dashboard.url);
    const { page } = opened;
    await openRun(page, "run");
    await go(page, "Pairs");
    const prompts = () => page.locator("article .prompt p").allTextContents();
    const numbered = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `prompt ${from + i}`);
    await eventually(prompts).toEqual(numbered(0, 20));
    await page.getByRole("button", { name: "Next" }).first().click();
    await eventually(prompts).toEqual(numbered(20, 25));
    expect(opened.errors).toEqual([]);
  });

  it("that has failed says why, where it lies, and draws the only step that it came to", async () => {
    const run = fullRun(scratch.at("failed", "run"), 1);
    run.write("metrics.jsonl", jsonLines([stepLine(1)]));
    run.write("outcome.json", { step: 1, steps: 9, error: "The loss is NaN.\nLower the rate.", suspects: 0 });
    await using dashboard = await served("failed");
    await using opened = await open(await browser(), dashboard.url, {
      permissions: ["clipboard-read", "clipboard-write"],
    });
    const { page } = opened;
    await openRun(page, "run");
    await page.getByText("Failed at step 1: The loss is NaN.").waitFor();
    await page.getByRole("button", { name: "Copy the folder" }).click();
    await page.getByRole("button", { name: "Copied the folder" }).waitFor();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(run.path);
    // A point: a line of one place is not seen.
    await eventually(() => chart(page, "Loss").locator("li circle").count()).toBe(1);
    expect(opened.errors).toEqual([]);
  });

  it("is shown again as it was left, by its address alone", async () => {
    fullRun(scratch.at("address", "run"));
    await using dashboard = await served("address");
    await using opened = await open(await browser(), dashboard.url);
    const { page } = opened;
    await openRun(page, "run");
    await page.getByLabel("Over").selectOption("examples");
    await page.getByLabel("Logarithmic").check();
    await page.getByRole("slider", { name: "Smoothing" }).press("End");
    await page.getByRole("button", { name: "Zoom in" }).click();
    await eventually(() => page.url()).toMatch(/\?over=examples&smoothing=0.99&scale=log&part=200..600$/);
    await page.reload();
    await eventually(() => reading(page, "Loss")).toBe("2 lines, 200 to 600");
    expect(await page.getByLabel("Over").inputValue()).toBe("examples");
    expect(await page.getByLabel("Logarithmic").isChecked()).toBe(true);
    expect(await page.getByRole("slider", { name: "Smoothing" }).inputValue()).toBe("0.99");

    await go(page, "Samples");
    await page.getByRole("slider", { name: "Evaluation at step" }).press("Home");
    await page.getByRole("button", { name: "Differences" }).click();
    await eventually(() => page.url()).toMatch(/samples\?step=0&show=differences$/);
    await go(page, "Pairs");
    await page.getByLabel("Order").selectOption("right");
    await page.getByLabel("Search").fill("needle");
    await eventually(() => page.url()).toMatch(/pairs\?order=right&words=needle$/);
    await page.reload();
    await eventually(() => page.locator("article").count()).toBe(1);
    expect(await page.getByLabel("Search").inputValue()).toBe("needle");
    await page.goBack();
    await page.getByText("Only the reference").waitFor();
    expect(await page.getByRole("slider", { name: "Evaluation at step" }).getAttribute("aria-valuetext")).toBe("0");
    expect(opened.errors).toEqual([]);
  });
});
