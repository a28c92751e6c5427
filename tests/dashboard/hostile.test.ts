/** Run directories that somebody else has made: whatever their files hold, every route answers. */

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { EvalRowPage, RunDetail, RunList, SamplePage, SeriesAnswer } from "../../src/dashboard/protocol.ts";
import { type Dashboard, startDashboard } from "../../src/dashboard/server.ts";
import type { LedgerReport } from "../../src/data/ledger.ts";
import { scratchFolder } from "../support/scratch.ts";
import { Browser } from "./support.ts";

const { at } = scratchFolder();
const folder = at("runs", "a");

let dashboard: Dashboard;
let browser: Browser;
beforeAll(async () => {
  mkdirSync(join(folder, "checkpoints"), { recursive: true });
  writeFileSync(join(folder, "metrics.jsonl"), "");
  dashboard = await startDashboard({ folder: at("runs"), page: false });
  browser = await Browser.open(dashboard);
});
afterAll(() => dashboard[Symbol.asyncDispose]());

/** A value that has some of the fields that are looked for, of any type. */
const like = (...fields: string[]) =>
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record(Object.fromEntries(fields.map((name) => [name, anything])), { requiredKeys: [] }),
    },
    { weight: 1, arbitrary: fc.jsonValue() },
  );
const anything = fc.oneof(
  fc.integer(),
  fc.double(),
  fc.string(),
  fc.constant(null),
  fc.boolean(),
  fc.jsonValue({ maxDepth: 2 }),
  fc.constant([{ role: "chosen", text: "t", logp: 1, tokens: { text: ["t"], policy: [1] } }]),
);
const object = (...fields: string[]) =>
  fc.oneof(
    { weight: 5, arbitrary: like(...fields).map((value) => JSON.stringify(value)) },
    { weight: 1, arbitrary: fc.string() },
  );
const log = (...fields: string[]) =>
  fc.array(object(...fields), { maxLength: 8 }).map((lines) => lines.map((line) => `${line}\n`).join(""));

const tallies = fc.oneof(fc.dictionary(fc.string(), like("count", "rows", "example")), anything);
const ledger = fc.record({
  ...Object.fromEntries(["read", "used", "shortened", "dropped"].map((name) => [name, fc.nat()])),
  ...Object.fromEntries(["droppedBy", "shortenedBy", "specialTokens"].map((name) => [name, tallies])),
  files: fc.array(anything),
  sources: fc.oneof(fc.array(like("name", "read", "used", "dropped", "weight", "mixed")), anything),
  labels: like("desirable", "undesirable"),
  boundaryMerged: like("count", "rows", "example"),
  shape: anything,
});

const files = fc.record({
  "config.json": object("method", "model", "data", "loss", "beta", "maxSteps", "batchSize", "epochs", "output"),
  "data.json": fc.oneof(
    object("train", "eval"),
    fc.record({ train: ledger, eval: ledger }).map((data) => JSON.stringify(data)),
  ),
  "environment.json": object("node"),
  "outcome.json": object("step", "steps", "stopped", "error", "best", "suspects"),
  "running.json": object("pid", "host", "started"),
  "metrics.jsonl": log("step", "loss", "time", "examples", "eval_loss", "rewards/margins", "__proto__", "two\nlines"),
  "samples.jsonl": log("step", "prompt", "reference", "policy", "policy_tokens"),
  "eval-rows.jsonl": log("step", "file", "line", "prompt", "completions", "margin", "loss"),
  "warnings.jsonl": log("step", "name", "found", "advice"),
  "suspects.jsonl": log("file", "line", "seen", "mean_weight", "last_step", "last_margin"),
});

it("files of any content are answered for, with what of them can be understood", async () => {
  await fc.assert(
    fc.asyncProperty(files, async (contents) => {
      for (const [name, text] of Object.entries(contents)) writeFileSync(join(folder, name), text);
      const { runs } = await browser.json<RunList>("/api/runs");
      expect(runs.length).toBe(1);
      const { id, step, data } = runs[0]!;
      expect([Number.isFinite(step), Array.isArray(data)]).toEqual([true, true]);
      const { metrics, axes, data: ledgers } = await browser.json<RunDetail>(`/api/runs/${id}`);
      for (const report of Object.values(ledgers)) expectLedger(report);
      const names = ["loss", "eval_loss", ...metrics.map(({ name }) => name)].slice(0, 200);
      const query = names.map((name) => `metric=${encodeURIComponent(name)}`).join("&");
      for (const axis of axes) {
        const { series } = await browser.json<SeriesAnswer>(`/api/series?run=${id}&${query}&axis=${axis}&exact=1`);
        for (const { x, mean } of series) {
          expect(x.every((place, i) => Number.isFinite(place) && (i === 0 || place > x[i - 1]!))).toBe(true);
          expect(mean.every(Number.isFinite)).toBe(true);
        }
      }
      const { samples } = await browser.json<SamplePage>(`/api/runs/${id}/samples`);
      for (const { policy, reference } of samples)
        expect([typeof policy, typeof reference]).toEqual(["string", "string"]);
      const { rows } = await browser.json<EvalRowPage>(`/api/runs/${id}/eval-rows?search=t`);
      for (const row of rows) expect([typeof row.prompt, Array.isArray(row.completions)]).toEqual(["string", true]);
      for (const route of ["suspects", "eval-rows?sort=file"]) {
        expect((await browser.ask(`/api/runs/${id}/${route}`)).status).toBe(200);
      }
      expect((await browser.ask(`/api/difference?run=${id}`)).status).toBe(200);
      expect((await browser.ask(`/api/series.csv?run=${id}&${query}`)).status).toBe(200);
    }),
    { numRuns: 60 },
  );
});

/** As the page counts on it. */
function expectLedger({ files, sources = [], droppedBy, shortenedBy, specialTokens, boundaryMerged }: LedgerReport) {
  expect([...files, ...sources.map(({ name }) => name)].every((name) => typeof name === "string")).toBe(true);
  const tallies = [droppedBy, shortenedBy, specialTokens].flatMap((tallies) => Object.values(tallies));
  for (const { count, rows } of [...tallies, ...(boundaryMerged ? [boundaryMerged] : [])]) {
    expect(Number.isFinite(count)).toBe(true);
    expect(rows.every(({ file, line }) => typeof file === "string" && Number.isFinite(line))).toBe(true);
  }
}

const write = (name: string, text: string) => writeFileSync(join(folder, name), text);
const detail = async () =>
  browser.json<RunDetail>(`/api/runs/${(await browser.json<RunList>("/api/runs")).runs[0]!.id}`);

it("settings nested beyond all reason are none", async () => {
  write("config.json", `${'{"a":'.repeat(20_000)}1${"}".repeat(20_000)}`);
  expect((await detail()).problems).toContain("config.json is missing or damaged: its settings are not known.");
});

it("more warnings than a run gives are not all looked up", async () => {
  const warning = { step: 1, name: "n", found: "f", advice: "a" };
  write("warnings.jsonl", `${JSON.stringify(warning)}\n`.repeat(50_000));
  const { warnings, problems } = await detail();
  expect(warnings.length).toBe(100);
  expect(problems).toContain("warnings.jsonl has 50000 lines: the first 100 warnings are shown.");
});

it("checkpoints of the same step are one, and those of none are not there", async () => {
  for (const step of ["5", "000005", "9".repeat(40)]) mkdirSync(join(folder, "checkpoints", `step-${step}`));
  expect((await detail()).checkpoints).toEqual([5]);
});

it("hundreds of metrics with long names are answered for at once", async () => {
  const names = Array.from({ length: 190 }, (_, i) => `rewards/margins@${"folder/".repeat(12)}source-${i}.jsonl`);
  write(
    "metrics.jsonl",
    `${JSON.stringify({ step: 1, loss: 1, ...Object.fromEntries(names.map((name) => [name, 1])) })}\n`,
  );
  const { summary } = await detail();
  const query = names.map((name) => `metric=${encodeURIComponent(name)}`).join("&");
  const { series } = await browser.json<SeriesAnswer>(`/api/series?run=${summary.id}&${query}`);
  expect(series.length).toBe(190);
});
