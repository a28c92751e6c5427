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

  it("trains an adapter with what settings it is given, and ends with its steps", async () => {
    await using tuning = await open({ settings: { loss: "ipo", beta: 0.2, limit: 8, batchSize: 8, loraRank: 4 } });
    expect(tuning.summary).toMatchObject({ family: "llama", parameters: 922_752, examples: 8, heldOut: 0 });
    expect(tuning.summary.trainable).toBeLessThan(100_000);
    expect(tuning.config).toMatchObject({ loss: ["ipo"], objective: { beta: 0.2 }, tuning: "lora", seed: 0 });
    expect(await tuning.next()).toMatchObject({ step: 1, loss: expect.closeTo((1 / (2 * 0.2)) ** 2, 3) });
    await expect(tuning.next()).rejects.toThrowErrorMatchingInlineSnapshot(
      `[TrainingError: Step 1 was the last. Give more epochs or maxSteps, or begin again.]`,
    );
    await expect(tuning.evaluate()).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: There are no held-out rows to evaluate on: give some when the session is opened.]`,
    );
  });

  it("answers any question, as the reference does before the first step", async () => {
    await using tuning = await open({
      settings: { limit: 8, batchSize: 8, tuning: "full", learningRate: 1e-2, sampleTokens: 8 },
    });
    const question = ['How was "The Last Train"?'];
    const [before] = await tuning.sample(question);
    expect(before).toMatchObject({
      step: 0,
      prompt: expect.stringContaining("The Last Train"),
      policy: before!.reference,
    });
    await tuning.next();
    const [after] = await tuning.sample(question);
    expect(after).toMatchObject({ step: 1, reference: before!.reference });
    expect(after!.policy).not.toBe(after!.reference);
    await expect(tuning.sample(["again and ".repeat(200)])).rejects.toThrow(
      /^A prompt has \d+ tokens, which leaves less than 8 of 256/,
    );
  });

  it("refuses what the command line would refuse, in its words", async () => {
    const refusal = (options: Partial<TuningOptions>) =>
      open(options).catch((error: Error) => `${error.name}: ${error.message}`);
    expect(await refusal({ settings: { batchSize: 0 } })).toMatchInlineSnapshot(
      `"ConfigError: batchSize: Too small: expected number to be >0"`,
    );
    expect(await refusal({ model: { ...model, "config.json": new Uint8Array() } })).toMatchInlineSnapshot(
      `"CheckpointError: model/config.json: the file is not valid JSON: Unexpected end of JSON input."`,
    );
    expect(await refusal({ train: { name: "mine.csv", text: "prompt,chosen\nHow?,Well." } })).toMatchInlineSnapshot(
      `"DataError: mine.csv line 2: the field \`rejected\` is missing (the row has only prompt, chosen). Mend the row, or skip such rows with --on-bad-row drop."`,
    );
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
