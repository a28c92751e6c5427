/**
 * Chromium for the tests of pages: that of PREFTUNE_CHROMIUM, or one that is installed. Where there is none the tests are
 * skipped, and their names say so:
 *
 *   describe.skipIf(browserMissing)(`the page${whyNoBrowser}`, () => {
 *     const browser = launched();
 *     it("...", async () => { const page = await (await browser()).newPage(); ... });
 *   });
 */

import { type Browser, chromium } from "playwright-core";
import { afterAll } from "vitest";
import { executablePath, GRAPHICS, whereSought } from "../../bench/page.js";

const ARGUMENTS = [
  "--no-sandbox",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export const browserMissing = executablePath === undefined;

/** For the name of what is skipped without a browser: empty where there is one. */
export const whyNoBrowser = browserMissing ? ` (skipped: no Chromium found ${whereSought})` : "";

/** Starts Chromium. Close it. Throws where `browserMissing`. */
export async function launchBrowser(graphics: keyof typeof GRAPHICS = "none"): Promise<Browser> {
  if (executablePath === undefined) throw new Error(`There is no browser to start${whyNoBrowser}.`);
  return chromium.launch({ executablePath, args: [...ARGUMENTS, ...GRAPHICS[graphics]] });
}

/** One browser for all tests of a `describe`, started by the first that asks for it and closed after the last. */
export function launched(graphics: keyof typeof GRAPHICS = "none"): () => Promise<Browser> {
  let browser: Promise<Browser> | undefined;
  afterAll(async () => {
    await (await browser)?.close();
  });
  return () => {
    browser ??= launchBrowser(graphics);
    return browser;
  };
}
