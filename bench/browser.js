// How fast the embedded example is tuned in Chromium, by WebAssembly on one thread and on several, and by WebGPU where there is
// an adapter: node bench/browser.js [--steps 5] [--threads 1,2] [--webgpu]
//
// Besides the clock it tells the processor's time a step, which other programs on the machine disturb less: on one thread that is
// how long a step takes on an idle machine.

import { cpSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { preview } from "vite";
import { bundlePage, executablePath, GRAPHICS, whereSought } from "./page.js";
import { beside, flags } from "./support.js";

const { steps, ...given } = flags({ steps: 5, threads: "1,2", webgpu: false });
const isolation = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };
if (executablePath === undefined) throw new Error(`There is no Chromium ${whereSought}.`);

const folder = await bundlePage("tests/browser/page.ts");
cpSync(beside("../node_modules/onnxruntime-web/dist"), join(folder, "engine"), { recursive: true });
cpSync(beside("../examples/film-reviews"), join(folder, "film-reviews"), { recursive: true });
const server = await preview({
  configFile: false,
  root: tmpdir(),
  build: { outDir: folder },
  preview: { host: "127.0.0.1", port: 0, headers: isolation },
});
const [url] = server.resolvedUrls?.local ?? [];

async function measure(runtime, graphics) {
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", ...graphics] });
  try {
    const page = await browser.newPage();
    await page.goto(url);
    const ask = (name, value) => page.evaluate(([name, value]) => globalThis.testPage.ask(name, value), [name, value]);
    const started = performance.now();
    const { engine } = await ask("open", { runtime: { files: "/engine/", ...runtime } });
    const opening = (performance.now() - started) / 1000;
    await ask("next", 1);
    const session = await browser.newBrowserCDPSession();
    const processorTime = async () => {
      const { processInfo } = await session.send("SystemInfo.getProcessInfo");
      return processInfo.reduce((total, { type, cpuTime }) => total + (type === "renderer" ? cpuTime : 0), 0);
    };
    const before = await processorTime();
    const metrics = await ask("next", steps);
    const processor = ((await processorTime()) - before) / steps;
    const rates = metrics.map(({ examples_per_second: rate }) => rate).sort((a, b) => a - b);
    const [median, best] = [rates[Math.floor(rates.length / 2)], rates.at(-1)];
    const what = engine.device === "webgpu" ? `WebGPU (${engine.adapter})` : `WebAssembly, ${engine.threads} threads`;
    const show = (rate) => `${rate.toFixed(1)} pairs/s, ${(rate / 16).toFixed(2)} steps/s`;
    console.log(
      `${what}: median ${show(median)}; best ${show(best)}; ${processor.toFixed(2)} s of the processor a step; ready after ${opening.toFixed(1)} s`,
    );
  } finally {
    await browser.close();
  }
}

try {
  for (const threads of given.threads.split(",").map(Number)) await measure({ threads }, GRAPHICS.none);
  if (given.webgpu) await measure({ device: "webgpu" }, GRAPHICS.webgpu);
} finally {
  await server.close();
  rmSync(folder, { recursive: true });
}
