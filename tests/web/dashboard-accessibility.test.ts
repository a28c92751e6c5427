/** Every view of the dashboard by the accessibility guidelines, on wide and narrow screens, light and dark. */

import { describe, expect, it } from "vitest";
import { overflow, violations } from "../support/accessibility.ts";
import { browserMissing, launched, whyNoBrowser } from "../support/browser.ts";
import {
  cursor,
  eventually,
  fullRun,
  go,
  open,
  openRun,
  reading,
  servedFolder,
  tokensOf,
} from "./dashboard-support.ts";

describe.skipIf(browserMissing)(`the dashboard${whyNoBrowser}`, () => {
  const browser = launched();
  const { scratch, served } = servedFolder();

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
});
