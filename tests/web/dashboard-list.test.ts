/** The list of runs in a browser, and the comparison of some of them. */

import { describe, expect, it } from "vitest";
import { evaluationLine } from "../dashboard/support.ts";
import { browserMissing, launched, whyNoBrowser } from "../support/browser.ts";
import { chart, eventually, fullRun, open, reading, servedFolder } from "./dashboard-support.ts";

describe.skipIf(browserMissing)(`the list of runs${whyNoBrowser}`, () => {
  const browser = launched();
  const { scratch, served } = servedFolder();

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

  it("keeps its order, groups and words in its address", async () => {
    const losses = { better: 0.25, good: 0.5, plain: 0.75 };
    for (const [name, eval_loss] of Object.entries(losses)) {
      const run = fullRun(scratch.at("ordered", "sweep", name));
      run.append(evaluationLine(100, { eval_loss }));
    }
    await using dashboard = await served("ordered");
    await using opened = await open(await browser(), dashboard.url);
    const { page } = opened;
    const names = () => page.getByRole("table").getByRole("rowheader").locator("a").allTextContents();
    await page.getByRole("button", { name: "Held-out loss" }).click();
    expect(await names()).toEqual(["sweep/better", "sweep/good", "sweep/plain"]);
    await page.getByRole("button", { name: "Held-out loss" }).click();
    await page.getByLabel("Group runs").selectOption("state");
    await page.getByLabel("Search runs").fill("sweep dpo");
    const settings = () => Object.fromEntries(new URLSearchParams(page.url().split("?")[1]));
    await eventually(settings).toEqual({ sort: "-evalLoss", group: "state", search: "sweep dpo" });
    await page.reload();
    await eventually(names).toEqual(["sweep/plain", "sweep/good", "sweep/better"]);
    expect(await page.getByLabel("Search runs").inputValue()).toBe("sweep dpo");
    expect(await page.locator("th[scope=rowgroup]").allTextContents()).toEqual(["finished 3"]);
    await page.goto(`${page.url().split("#")[0]}#/?sort=nonsense&group=constructor`);
    await page.reload();
    await eventually(names).toHaveLength(3);
    expect(opened.errors).toEqual([]);
  });

  it("lets a link lead where it says that is pressed while a setting is about to be written", async () => {
    fullRun(scratch.at("pressed", "a"));
    await using dashboard = await served("pressed");
    await using opened = await open(await browser(), dashboard.url);
    const { page } = opened;
    const link = page.getByRole("link", { name: "a", exact: true });
    const href = await link.getAttribute("href");
    // The page hears of a new address in an event of its own; here it comes when what was typed has long been due.
    await page.addInitScript(() => {
      const later = (event: Event) => {
        if (!event.isTrusted) return;
        event.stopImmediatePropagation();
        setTimeout(() => dispatchEvent(new HashChangeEvent("hashchange")), 400);
      };
      addEventListener("hashchange", later);
    });
    await page.reload();
    await page.getByLabel("Search runs").evaluate((field: HTMLInputElement) => {
      field.value = "a";
      field.dispatchEvent(new InputEvent("input", { bubbles: true }));
      document.querySelector<HTMLAnchorElement>("th[scope=row] a")!.click();
    });
    await page.getByRole("heading", { name: "a", exact: true }).waitFor();
    expect(new URL(page.url()).hash).toBe(href);
    expect(opened.errors).toEqual([]);
  });

  it("is compared with only those runs drawn that are wanted", async () => {
    for (const name of ["a", "b", "c"]) fullRun(scratch.at("drawn", name));
    await using dashboard = await served("drawn");
    await using opened = await open(await browser(), dashboard.url);
    const { page } = opened;
    for (const name of ["a", "b", "c"]) await page.getByLabel(`Compare ${name}`).check();
    await page.getByRole("link", { name: "Compare 3 runs" }).click();
    await eventually(() => reading(page, "Loss")).toMatch(/^6 lines/);
    await page.getByLabel("Draw b").uncheck();
    await eventually(() => reading(page, "Loss")).toMatch(/^4 lines/);
    expect(await chart(page, "Gradient norm").locator("li .label").allTextContents()).toEqual(["a", "c"]);
    await page.getByLabel("Draw b").check();
    await eventually(() => reading(page, "Loss")).toMatch(/^6 lines/);
    expect(opened.errors).toEqual([]);
  });
});
