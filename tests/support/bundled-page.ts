/** A page of a test in Chromium: a source file and all it imports, bundled as a page's build does, with the engine's files beside it. */

import { rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { afterAll } from "vitest";
import { bundlePage } from "../../bench/page.js";
import { launchBrowser } from "./browser.ts";
import { serveFolders } from "./static-server.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

export interface BundledPage extends AsyncDisposable {
  readonly page: Page;
}

export interface PageOptions {
  /** Whether the page is cross-origin isolated, so that it may have threads. */
  readonly isolated?: boolean;
  readonly graphics?: Parameters<typeof launchBrowser>[0];
  /** Folders that it can fetch from besides, by the beginning of the path; paths from the repository's root. */
  readonly folders?: Readonly<Record<string, string>>;
}

/** Opens a page with the module `entry`, a path from the repository's root; the engine is at `engine/`. Dispose of it. */
export async function openBundled(entry: string, options: PageOptions = {}): Promise<BundledPage> {
  const folder = await bundled(entry);
  const fetched = Object.entries(options.folders ?? {}).map(([path, from]) => [path, join(ROOT, from)]);
  const engine = join(ROOT, "node_modules/onnxruntime-web/dist");
  const server = await serveFolders({ "/": folder, "/engine/": engine, ...Object.fromEntries(fetched) }, options);
  const browser = await launchBrowser(options.graphics);
  const page = await browser.newPage();
  await page.goto(`${server.url}/`);
  return {
    page,
    async [Symbol.asyncDispose]() {
      await browser.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

const folders = new Map<string, Promise<string>>();
afterAll(async () => {
  for (const folder of await Promise.all(folders.values())) rmSync(folder, { recursive: true });
});

/** The folder with the page of a module, made once for all tests of a file. */
function bundled(entry: string): Promise<string> {
  const folder = folders.get(entry) ?? bundlePage(entry);
  folders.set(entry, folder);
  return folder;
}
