/** What the tests of the dashboard in a browser share: a run that has something in every view, the server of a folder, and where things are on the page. */

import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { expect } from "vitest";
import { type Dashboard, startDashboard } from "../../src/dashboard/server.ts";
import { evaluationLine, jsonLines, stepLine, writeRun } from "../dashboard/support.ts";
import { scratchFolder } from "../support/scratch.ts";

const QUESTION = "<|im_start|>user\nHow is the film?<|im_end|>\n<|im_start|>assistant\n";
export const BETA = 0.4;
const TOKENS = { text: ["A", " dull", " film", "."], policy: [-1, -4, -2, -0.5], reference: [-1, -2, -2.5, -0.25] };

const completion = (role: string, text: string, reward: number) => ({
  role,
  text,
  logp: -9 + reward,
  reference_logp: -9,
  reward,
  tokens: TOKENS,
});

/** A run that has something in every view: `steps` logged steps, two evaluations, samples, rows, a warning, a suspect. */
export function fullRun(path: string, steps = 100, config: object = {}) {
  const run = writeRun(path, { steps: 0, config: { beta: BETA, ...config } });
  const lines = Array.from({ length: steps }, (_, i) =>
    stepLine(i + 1, { "rewards/chosen": i / 100, "rewards/rejected": -i / 50, grad_norm: 1 }),
  );
  run.write("metrics.jsonl", jsonLines([evaluationLine(0), ...lines, evaluationLine(steps)]));
  run.write("outcome.json", { step: steps, steps, suspects: 1 });
  run.write("environment.json", { preftune: "0.1.0", platform: "linux x64" });
  const ledger = {
    files: ["pairs.jsonl"],
    read: 9,
    used: 8,
    shortened: 0,
    dropped: 1,
    shortenedBy: {},
    specialTokens: {},
  };
  run.write("data.json", {
    train: { ...ledger, droppedBy: { "empty completion": { count: 1, rows: [{ file: "pairs.jsonl", line: 4 }] } } },
  });
  run.write(
    "warnings.jsonl",
    jsonLines([{ step: 50, name: "length-bias", found: "margins follow length", advice: "Balance the lengths." }]),
  );
  run.write(
    "suspects.jsonl",
    jsonLines([{ file: "pairs.jsonl", line: 7, seen: 2, mean_weight: 0.8, last_step: 9, last_margin: -2 }]),
  );
  const sample = (step: number, policy: string) => ({
    step,
    prompt: QUESTION,
    reference: "A dull film.",
    policy,
    reference_tokens: TOKENS,
  });
  run.write(
    "samples.jsonl",
    jsonLines([
      sample(0, "A dull film."),
      { ...sample(steps, "A fine film."), policy_tokens: { ...TOKENS, text: ["A", " fine", " film", "."] } },
    ]),
  );
  const rows = [0.5, -1.5, 2].map((margin, i) => ({
    step: steps,
    file: "held-out.jsonl",
    line: i + 1,
    prompt: QUESTION,
    completions: [
      completion("chosen", "A dull film.", margin / 2),
      completion("rejected", i === 2 ? "A needle." : "A dull film.", -margin / 2),
    ],
    margin,
    loss: Math.log1p(Math.exp(-margin)),
  }));
  run.write("eval-rows.jsonl", jsonLines(rows));
  return run;
}

/** Milliseconds. Machines that test are busy. */
const PATIENCE = 20_000;
export const eventually: typeof expect.poll = (value, options) => expect.poll(value, { timeout: PATIENCE, ...options });

interface Opened extends AsyncDisposable {
  readonly page: Page;
  readonly errors: string[];
  readonly requests: string[];
}

export async function open(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Opened> {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const [errors, requests]: [string[], string[]] = [[], []];
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("request", (request) => requests.push(request.url()));
  await page.goto(url);
  return { page, errors, requests, [Symbol.asyncDispose]: () => context.close() };
}

export const go = (page: Page, name: string) =>
  page.getByRole("navigation", { name: "Views of this run" }).getByRole("link", { name }).click();
export const chart = (page: Page, title: string) => page.getByRole("figure", { name: title });
export const cursor = (page: Page, title: string) => page.getByRole("slider", { name: `${title}: cursor` });
export const reading = (page: Page, title: string) => cursor(page, title).getAttribute("aria-valuetext");
export const tokensOf = (page: Page) => page.getByRole("listbox").getByRole("option");
export const openRun = (page: Page, name: string) => page.getByRole("link", { name, exact: true }).click();

/** A scratch folder, and the server of a folder in it, which looks at its files ten times a second. */
export function servedFolder() {
  const scratch = scratchFolder();
  const served = (folder: string, port?: number): Promise<Dashboard> =>
    startDashboard({ folder: scratch.at(folder), interval: 100, port });
  return { scratch, served };
}
