/** The explanation as a page: what it loads, where it works, and who can read it. */

import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import type { Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { overflow, violations } from "../support/accessibility.ts";
import { browserMissing, launched, whyNoBrowser } from "../support/browser.ts";
import { BUILT_PAGES, numberOf, openPage } from "../support/explanation.ts";

const BUDGET = 250_000;

/** The figures that compute, with the last number that each of them has. */
const NUMBERS = {
  "bradley-terry": "probability",
  tilt: "distance",
  landscape: "loss",
  "gradient-weight": "share-8",
  "worked-example": "gradient-rejected",
  deterministic: "gap-ipo",
};

/** Reads on to the end, and sees every figure's numbers. */
async function settled(page: Page): Promise<void> {
  for (const [figure, name] of Object.entries(NUMBERS)) await numberOf(page, figure, name);
}

/** The figures that show a number for what they compute. */
const computed = (page: Page) =>
  page.evaluate(
    (numbers) =>
      Object.entries(numbers).flatMap(([figure, name]) => {
        const shown = document.querySelector(`#${figure} data[data-name="${name}"]`);
        return Number.isNaN(Number(shown?.getAttribute("value"))) ? [] : [figure];
      }),
    NUMBERS,
  );

describe.skipIf(browserMissing)(`the explanation as a page${whyNoBrowser}`, () => {
  const browser = launched();

  it("loads less than 250 kB, all of it its own, before the engine is asked for", async () => {
    await using open = await openPage(await browser());
    await settled(open.page);
    const files = open.requests.map((url) => new URL(url));
    expect(files.filter(({ origin }) => origin !== open.origin)).toEqual([]);
    const sizes = files.map(({ pathname }) => {
      const content = readFileSync(`${BUILT_PAGES}${decodeURIComponent(pathname)}`);
      return pathname.endsWith(".woff2") ? content.length : gzipSync(content).length;
    });
    expect(sizes.reduce((a, b) => a + b, 0)).toBeLessThan(BUDGET);
    expect(files.filter(({ pathname }) => pathname.endsWith(".wasm"))).toEqual([]);
    expect(open.errors).toEqual([]);
  });

  it("lists its sections as they are headed, and leads to them", async () => {
    await using open = await openPage(await browser());
    const entries = open.page.getByRole("navigation", { name: "Contents" }).getByRole("link");
    const headings = await open.page.locator("section[aria-labelledby] > h2").allTextContents();
    expect(await entries.allTextContents()).toEqual(headings.slice(0, -1)); // The last is where to go from here.
    await entries.last().click();
    await open.page.locator("#train-heading:target").waitFor();
  });

  it.each([
    ["index.html", "Direct Preference Optimization, computed live"],
    ["source.html", "src/objectives/dpo.ts · preftune"],
    ["dashboard.html", "Runs · preftune"],
  ])("says on %s what it is, to a tab, a card and a browser's frame", async (path, title) => {
    await using open = await openPage(await browser(), { path, colorScheme: "dark" });
    await expect.poll(() => open.page.title()).toBe(title);
    const { head, paper } = await open.page.evaluate(() => ({
      head: Object.fromEntries(
        [...document.querySelectorAll("meta")].map((meta) => [
          `${meta.name || meta.getAttribute("property")} ${meta.media}`.trim(),
          meta.content,
        ]),
      ),
      paper: getComputedStyle(document.documentElement).backgroundColor,
    }));
    expect(head["og:description"]).toBe(head.description);
    expect(head["og:title"]).toMatch(/preftune|Direct Preference Optimization/);
    const channels = head["theme-color (prefers-color-scheme: dark)"]!.match(/\w\w/g)!.map((hex) => Number(`0x${hex}`));
    expect(`rgb(${channels.join(", ")})`).toBe(paper);
    expect(await open.page.locator("link[rel=icon]").getAttribute("href")).toBe("./icon.svg");
  });

  it("says what it lacks where scripts don't run", async () => {
    await using open = await openPage(await browser(), { javaScriptEnabled: false });
    expect(await open.page.locator("body").innerText()).toContain("JavaScript, which does not run here");
  });

  it("shows its drawings and which button is pressed where a reader has chosen all colours", async () => {
    await using open = await openPage(await browser(), { forcedColors: "active" });
    await settled(open.page);
    const background = (selector: string) =>
      open.page
        .locator(selector)
        .first()
        .evaluate((element) => getComputedStyle(element).backgroundColor);
    const paper = await background("html");
    for (const drawn of ["#pipelines .weights", "#bradley-terry .a", "#tilt .optimum .fill", "#tilt .handle"]) {
      expect(await background(drawn)).not.toBe(paper);
    }
    expect(await background("#pipelines [aria-pressed=true]")).not.toBe(
      await background("#pipelines [aria-pressed=false]"),
    );
  });

  it("works under any path", async () => {
    await using open = await openPage(await browser(), { under: "/some/where/" });
    await settled(open.page);
    expect(open.errors).toEqual([]);
  });

  it.each([
    ["light", 1280],
    ["dark", 1280],
    ["light", 360],
    ["dark", 360],
  ] as const)("has nothing against the accessibility guidelines (%s, %d pixels wide)", async (colorScheme, width) => {
    await using open = await openPage(await browser(), { colorScheme, viewport: { width, height: 800 } });
    await settled(open.page);
    expect(await violations(open.page)).toEqual([]);
    expect(await overflow(open.page)).toBe(0);
  });

  it("can be read at twice the size", async () => {
    await using open = await openPage(await browser(), { viewport: { width: 640, height: 400 }, deviceScaleFactor: 2 });
    await settled(open.page);
    expect(await overflow(open.page)).toBe(0);
  });

  it("keeps the colours that a reader chose", async () => {
    await using open = await openPage(await browser(), { colorScheme: "light" });
    const paper = () => open.page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    const light = await paper();
    await open.page.getByLabel("Colours").selectOption("dark");
    const dark = await paper();
    expect(dark).not.toBe(light);
    await open.page.reload();
    expect(await paper()).toBe(dark);
    await open.page.getByLabel("Colours").selectOption("system");
    expect(await paper()).toBe(light);
  });

  it("computes a figure when a reader comes near it, and none before", async () => {
    await using open = await openPage(await browser());
    await open.page.getByRole("heading", { level: 1 }).waitFor();
    expect(await computed(open.page)).not.toContain("deterministic");
    await open.page.getByRole("link", { name: "When everybody agrees" }).click();
    await expect.poll(() => computed(open.page)).toContain("deterministic");
  });

  it("computes the figure that a link leads to", async () => {
    await using open = await openPage(await browser(), { path: "index.html#worked-example" });
    await expect.poll(() => computed(open.page)).toContain("worked-example");
    expect(await computed(open.page)).not.toContain("bradley-terry");
  });

  it("prints every figure computed", async () => {
    await using open = await openPage(await browser());
    await open.page.getByRole("heading", { level: 1 }).waitFor();
    // Who listens after the page did sees what the printer sees.
    await open.page.evaluate(() => {
      addEventListener("beforeprint", () => {
        const last = document.querySelector('#deterministic data[data-name="gap-ipo"]');
        document.documentElement.dataset.printed = last!.textContent;
      });
    });
    await open.page.pdf();
    expect(await open.page.evaluate(() => document.documentElement.dataset.printed)).toBe("1.250");
    expect(await computed(open.page)).toEqual(Object.keys(NUMBERS));
  });

  it("does not move what is being read while it computes", async () => {
    await using open = await openPage(await browser());
    await settled(open.page);
    const shift = await open.page.evaluate(
      () =>
        new Promise<number>((resolve) => {
          const observer = new PerformanceObserver((list) => {
            const entries = list.getEntries() as (PerformanceEntry & { value: number; hadRecentInput: boolean })[];
            resolve(entries.filter((e) => !e.hadRecentInput).reduce((sum, e) => sum + e.value, 0));
          });
          observer.observe({ type: "layout-shift", buffered: true });
          setTimeout(() => resolve(0), 500);
        }),
    );
    expect(shift).toBeLessThan(0.02);
  });
});
