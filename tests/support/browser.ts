/**
 * Chromium for the tests of pages: that of PREFTUNE_CHROMIUM, or one that is installed. Where there is none the tests are
 * skipped, and their names say so:
 *
 *   describe.skipIf(browserMissing)(`the page${whyNoBrowser}`, () => {
 *     const browser = launched();
 *     it("...", async () => { const page = await (await browser()).newPage(); ... });
 *   });
 */

import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";
import { afterAll } from "vitest";

const PLACES = [
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/usr/bin/google-chrome-stable",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

const ARGUMENTS = [
  "--no-sandbox",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const named = process.env.PREFTUNE_CHROMIUM;
const executablePath = (named === undefined ? PLACES : [named]).find((place) => existsSync(place));

export const browserMissing = executablePath === undefined;

/** For the name of what is skipped without a browser: empty where there is one. */
export const whyNoBrowser = browserMissing
  ? ` (skipped: no Chromium found ${named === undefined ? "in its usual places: set PREFTUNE_CHROMIUM to one" : `at ${named}, which PREFTUNE_CHROMIUM names`})`
  : "";

/** Without a graphics processor, or with WebGPU on one that is simulated, which computes right but slowly. */
const GRAPHICS = {
  none: ["--disable-gpu"],
  webgpu: ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"],
} as const;

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
