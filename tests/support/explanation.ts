/** The built explanation in a browser, and the numbers that its figures show. */

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { expect } from "vitest";
import { serveFolders } from "./static-server.ts";

/** The pages as `npm run build` leaves them. */
export const BUILT_PAGES = fileURLToPath(new URL("../../dist/web", import.meta.url));

interface OpenPage extends AsyncDisposable {
  readonly page: Page;
  /** What went wrong in the page: errors it threw, and what it wrote to the console as one. */
  readonly errors: readonly string[];
  /** Where the page comes from, and everything that it asked for. */
  readonly origin: string;
  readonly requests: readonly string[];
}

interface OpenOptions extends BrowserContextOptions {
  /** The file of the page, with what a link may have behind it; default the explanation. */
  readonly path?: string;
  /** The folder that the pages are served under. */
  readonly under?: string;
  /** Serve it so that the page may have shared memory. */
  readonly isolated?: boolean;
}

/** Opens a built page from a server of its own. Dispose of it. */
export async function openPage(
  browser: Browser,
  { path = "index.html", under = "/", isolated = false, ...options }: OpenOptions = {},
): Promise<OpenPage> {
  if (!existsSync(BUILT_PAGES)) throw new Error("The pages are not built: run `npm run build` first.");
  const server = await serveFolders({ [under]: BUILT_PAGES }, { isolated });
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const errors: string[] = [];
  const requests: string[] = [];
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("request", (request) => requests.push(request.url()));
  await page.goto(`${server.url}${under}${path}`);
  return {
    page,
    errors,
    origin: server.url,
    requests,
    async [Symbol.asyncDispose]() {
      await context.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** A number of a figure in full, once it is one: the figure is brought into sight if it has to be. */
export async function numberOf(page: Page, figure: string, name: string): Promise<number> {
  const shown = page.locator(`#${figure} data[data-name="${name}"]`);
  const read = async () => Number(await shown.getAttribute("value"));
  if (Number.isNaN(await read())) await bringIntoSight(page, figure);
  await expect.poll(read, { timeout: 10_000 }).not.toBeNaN();
  return read();
}

/** Scrolls to a figure at once, and stays until the browser has seen it there: what is passed between two frames is not. */
export async function bringIntoSight(page: Page, figure: string): Promise<void> {
  await page.locator(`#${figure}`).evaluate(async (element) => {
    element.scrollIntoView({ behavior: "instant" });
    for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
  });
}

/** Waits until a figure shows these numbers, to within what one rounding in double precision may differ by. */
export async function expectNumbers(
  page: Page,
  figure: string,
  expected: Readonly<Record<string, number>>,
): Promise<void> {
  const read = async () => {
    const entries = Object.keys(expected).map(async (name) => [name, await numberOf(page, figure, name)] as const);
    const shown = Object.fromEntries(await Promise.all(entries));
    const wrong = Object.entries(expected).filter(([name, value]) => !isClose(shown[name]!, value));
    return wrong.map(([name, value]) => `${name}: shown ${shown[name]}, expected ${value}`);
  };
  await expect.poll(read, { timeout: 10_000 }).toEqual([]);
}

const isClose = (a: number, b: number): boolean => Math.abs(a - b) <= 1e-9 * Math.max(1, Math.abs(a), Math.abs(b));
