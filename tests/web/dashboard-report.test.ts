/** The report of a run in a browser, as a file. */

import { writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { runReport } from "../../src/dashboard/report.ts";
import { violations } from "../support/accessibility.ts";
import { browserMissing, launched, whyNoBrowser } from "../support/browser.ts";
import { cursor, eventually, fullRun, go, open, reading, servedFolder, tokensOf } from "./dashboard-support.ts";

describe.skipIf(browserMissing)(`a run${whyNoBrowser}`, () => {
  const browser = launched();
  const { scratch } = servedFolder();

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
