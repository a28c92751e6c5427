/** Run directories that somebody else has made: whatever their files hold, every route answers. */

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { EvalRowPage, RunDetail, RunList, SamplePage, SeriesAnswer } from "../../src/dashboard/protocol.ts";
import { type Dashboard, startDashboard } from "../../src/dashboard/server.ts";
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

const files = fc.record({
  "config.json": object("method", "model", "data", "loss", "beta", "maxSteps", "batchSize", "epochs", "output"),
  "data.json": object("train", "eval"),
  "environment.json": object("node"),
  "outcome.json": object("step", "steps", "stopped", "error", "best", "suspects"),
  "running.json": object("pid", "host", "started"),
  "metrics.jsonl": log("step", "loss", "time", "examples", "eval_loss", "rewards/margins", "__proto__"),
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
      const { metrics, axes } = await browser.json<RunDetail>(`/api/runs/${id}`);
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
