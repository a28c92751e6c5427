/** Figure 8: the page tunes the embedded model in a worker, in the same way as the command line. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { demoSettings, Tuning } from "../../src/browser/index.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { browserMissing, launched, whyNoBrowser } from "../support/browser.ts";
import { numberOf, openPage } from "../support/explanation.ts";

const EXAMPLE = fileURLToPath(new URL("../../examples/film-reviews/", import.meta.url));
const text = (name: string) => readFileSync(EXAMPLE + name, "utf8");
const MODEL = ["config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "model.safetensors"];

/** The loss of a step as Node's engine computes it. */
async function lossOfStep(step: number, beta: number): Promise<number> {
  await using tuning = await Tuning.open({
    model: Object.fromEntries(MODEL.map((name) => [name, new Uint8Array(readFileSync(`${EXAMPLE}model/${name}`))])),
    train: { name: "preferences.jsonl", text: text("preferences.jsonl") },
    runtime: nodeRuntime,
    settings: { ...demoSettings, beta },
  });
  while (tuning.step < step - 1) await tuning.next();
  const { loss } = await tuning.next();
  return loss!;
}

describe.skipIf(browserMissing)(`training on the page${whyNoBrowser}`, () => {
  const browser = launched();

  it("takes the steps of the command line, pauses, goes on, learns, and leaves the page free", async () => {
    await using open = await openPage(await browser(), { path: "index.html?train.beta=0.3", isolated: true });
    const { page } = open;
    const figure = page.locator("#train");
    const status = figure.locator("p[role=status]");
    const step = () => numberOf(page, "train", "step");
    expect(await status.textContent()).toContain("Nothing is loaded yet");
    expect(open.requests.filter((url) => url.endsWith(".wasm"))).toEqual([]);

    await figure.getByRole("button", { name: "Start" }).click();
    await expect.poll(step, { timeout: 60_000, interval: 20 }).toBe(2);
    await figure.getByRole("button", { name: "Pause" }).click();
    // The step that was under way is finished, and no other begins.
    await expect.poll(() => status.textContent(), { timeout: 30_000 }).toContain("paused");
    const paused = await step();
    expect(await numberOf(page, "train", "loss")).toBeCloseTo(await lossOfStep(paused, 0.3), 4);
    expect(await step()).toBe(paused);

    await figure.getByRole("button", { name: "Go on" }).click();
    const longest = await page.evaluate(async () => {
      const shown = document.querySelector<HTMLDataElement>('#train data[data-name="step"]')!;
      let longest = 0;
      for (let last = performance.now(); Number(shown.value) < 8; ) {
        const now = await new Promise<number>(requestAnimationFrame);
        longest = Math.max(longest, now - last);
        last = now;
      }
      return longest;
    });
    expect(longest).toBeLessThan(1000);
    await expect.poll(() => numberOf(page, "train", "eval-loss"), { timeout: 60_000 }).toBeLessThan(0.65);
    expect(await figure.locator('[data-name="engine"]').textContent()).toMatch(
      /^WebAssembly, \d+ threads?, onnxruntime-web 1\.30/,
    );
    expect(await numberOf(page, "train", "speed")).toBeGreaterThan(0);
    const tokens = figure.getByRole("listbox").first().getByRole("option");
    await expect.poll(() => tokens.count()).toBeGreaterThan(3);

    await figure.getByRole("button", { name: "Reset" }).click();
    expect(await status.textContent()).toContain("Nothing is loaded yet");
    expect(open.errors).toEqual([]);
  });

  it("says what is missing where the engine is not beside the page", async () => {
    await using open = await openPage(await browser());
    await open.page.route("**/engine/*", (route) => route.fulfill({ status: 404, body: "" }));
    await open.page.locator("#train").getByRole("button", { name: "Start" }).click();
    await expect
      .poll(() => open.page.locator("#train p[role=status]").textContent())
      .toContain("The engine can't be loaded");
  });
});
