import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { type Metrics, Tuning, type TuningOptions } from "../../src/browser/index.ts";
import { demoRun } from "../../src/demo/demo.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { dpo } from "../../src/training/tuners.ts";
import { browserMissing, whyNoBrowser } from "../support/browser.ts";
import { type BundledPage, openBundled } from "../support/bundled-page.ts";
import type { testPage } from "./page.ts";
import type { Actions } from "./worker.ts";

const EXAMPLE = new URL("../../examples/film-reviews/", import.meta.url);
const bytes = (name: string) => new Uint8Array(readFileSync(new URL(name, EXAMPLE)));
const rows = (name: string) => ({ name, text: new TextDecoder().decode(bytes(name)) });
const model = Object.fromEntries(readdirSync(new URL("model/", EXAMPLE)).map((name) => [name, bytes(`model/${name}`)]));

/** A session with the embedded example, on Node's engine. */
const open = (options: Partial<TuningOptions> = {}) =>
  Tuning.open({ model, train: rows("preferences.jsonl"), runtime: nodeRuntime, ...options });

/** What is measured of a step, without how fast it was. */
function computed({ examples_per_second, tokens_per_second, ...metrics }: Metrics): Record<string, number> {
  return metrics;
}

describe("a session in memory", () => {
  it("takes the steps that the command line takes, to the bit", async () => {
    const output = join(mkdtempSync(join(tmpdir(), "preftune-browser-")), "run");
    onTestFinished(() => rmSync(join(output, ".."), { recursive: true }));
    const {
      output: _,
      model,
      data,
      evalData,
      ...settings
    } = { ...demoRun({ output, seed: 3 }), limit: 24, maxSteps: 2 };
    const expected: Metrics[] = [];
    await dpo(
      { ...settings, model, data, output, samplePrompts: 0 },
      { observer: { onStep: (m) => expected.push(m) } },
    );
    await using tuning = await open({ settings });
    const taken = [await tuning.next(), await tuning.next()];
    expect(tuning.step).toBe(2);
    expect(expected).toMatchObject(taken.map(computed));
  });
});

describe.skipIf(browserMissing)(`the embedded example in Chromium, in a worker${whyNoBrowser}`, () => {
  let page: BundledPage;
  let opened: Awaited<ReturnType<Actions["open"]>>;

  beforeAll(async () => {
    page = await openBundled("tests/browser/page.ts", {
      isolated: true,
      folders: { "/film-reviews/": "examples/film-reviews" },
    });
    opened = await ask("open", { runtime: { files: "/engine/" } });
  });
  afterAll(() => page[Symbol.asyncDispose]());

  /** Calls a function of the worker. */
  async function ask<Name extends keyof Actions>(name: Name, given?: Parameters<Actions[Name]>[0]) {
    const call = ([name, given]: [Name, unknown]) =>
      (globalThis as unknown as { testPage: typeof testPage }).testPage.ask(name, given as never);
    return (await page.page.evaluate(call as never, [name, given] as never)) as Awaited<ReturnType<Actions[Name]>>;
  }

  it("says what it runs on, and what the demo's run has of steps", () => {
    expect(opened.engine).toMatchObject({ device: "wasm", version: expect.stringMatching(/^1\.30/) });
    expect(opened.steps).toBe(32);
  });

  it("has Node's numbers in the first step, to 1e-4", async () => {
    await using tuning = await open();
    const [expected, [measured]] = [computed(await tuning.next()), await ask("next", 1)];
    expect(Object.keys(computed(measured!))).toEqual(Object.keys(expected));
    for (const [name, value] of Object.entries(expected)) {
      expect(Math.abs(measured![name]! - value), name).toBeLessThan(1e-4 * Math.max(1, Math.abs(value)));
    }
  });

  it("has a lower loss after a few more, on rows that it does not see", async () => {
    const steps = await ask("next", 3);
    expect(steps.at(-1)!.step).toBe(4);
    const { step, eval_loss: loss, "eval_rewards/accuracies": accuracy } = await ask("evaluate");
    expect(step).toBe(4);
    expect(loss).toBeLessThan(Math.LN2 - 0.02);
    expect(accuracy).toBeGreaterThan(0.6);
  });

  it("lets the page draw while it trains", async () => {
    const frames = () =>
      page.page.evaluate(() => (globalThis as unknown as { testPage: typeof testPage }).testPage.frames());
    const before = await frames();
    await ask("next", 1);
    expect((await frames()) - before).toBeGreaterThan(3);
  });

  it("answers prompts by policy and reference, each token with what either thinks of it", async () => {
    const [sample] = await ask("sample");
    const { policy, policy_tokens: tokens } = sample!;
    expect(tokens.text.join("")).toBe(policy);
    expect(tokens.policy).toHaveLength(tokens.text.length);
    expect(tokens.policy).not.toEqual(tokens.reference);
    expect(Math.max(...tokens.policy, ...tokens.reference)).toBeLessThanOrEqual(0);
  });
});
