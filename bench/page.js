/** Pages in Chromium, for benchmarks and for tests, in JavaScript that Node runs as it is: where the browser is, and how a page is made. */
import { existsSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

const PLACES = [
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/usr/bin/google-chrome-stable",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

const named = process.env.PREFTUNE_CHROMIUM;

export const executablePath = (named === undefined ? PLACES : [named]).find((place) => existsSync(place));

export const whereSought =
  named === undefined
    ? "in its usual places: set PREFTUNE_CHROMIUM to one"
    : `at ${named}, which PREFTUNE_CHROMIUM names`;

export const GRAPHICS = {
  none: ["--disable-gpu"],
  webgpu: ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"],
};

export async function bundlePage(entry) {
  // Loaded here: most that need a browser bundle nothing, and the bundler takes a second.
  const { build } = await import("vite");
  const folder = mkdtempSync(join(tmpdir(), "preftune-page-"));
  await build({
    configFile: false,
    root: ROOT,
    logLevel: "error",
    publicDir: false,
    build: {
      outDir: folder,
      target: "es2023",
      minify: false,
      rolldownOptions: { input: join(ROOT, entry), output: { entryFileNames: "page.js" } },
    },
  });
  const script = '<script type="module" src="page.js"></script>';
  writeFileSync(join(folder, "index.html"), `<!doctype html><title>test</title>${script}`);
  return folder;
}
