/** What the routes answer: charts, texts, settings and files of runs, equal to what is in their directories. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { metricInfos } from "../../src/dashboard/metric-info.ts";
import type {
  Difference,
  EvalRow,
  EvalRowPage,
  RunDetail,
  SamplePage,
  SeriesAnswer,
  SuspectPage,
} from "../../src/dashboard/protocol.ts";
import { SeriesReader } from "../../src/dashboard/series.ts";
import { type Dashboard, startDashboard } from "../../src/dashboard/server.ts";
import { scratchFolder } from "../support/scratch.ts";
import { Browser, evaluationLine, jsonLines, stepLine, writeRun } from "./support.ts";

const { at } = scratchFolder();
const folder = at("runs");

/** 9,000 steps in 2.5 MB, with evaluations between them. */
const wave = (step: number) => Math.sin(step / 700) + (step === 4321 ? 40 : step === 77 ? -40 : 0);
const steps = Array.from({ length: 9000 }, (_, i) => i + 1);
const lines = [0, ...steps].flatMap((step) => [
  ...(step === 0 ? [] : [stepLine(step, { loss: wave(step), pad: "x".repeat(120) })]),
  ...(step % 1000 === 0 ? [evaluationLine(step)] : []),
]);
const first = writeRun(join(folder, "first"), { steps: 0, config: { learningRate: 1e-5, seed: 1 } });
first.write("metrics.jsonl", jsonLines(lines));
const second = writeRun(join(folder, "group", "second"), {
  config: { learningRate: 2e-5, seed: 1, data: [{ path: "a" }], more: null },
});

let dashboard: Dashboard;
let browser: Browser;
const id: Record<"first" | "second", string> = { first: "", second: "" };
beforeAll(async () => {
  dashboard = await startDashboard({ folder, page: false });
  browser = await Browser.open(dashboard);
  [id.first, id.second] = [await browser.idOf("first"), await browser.idOf("group/second")];
});
afterAll(() => dashboard[Symbol.asyncDispose]());

const series = async (query: string) => (await browser.json<SeriesAnswer>(`/api/series?${query}`)).series;

describe("series", () => {
  it("keep what stands out of a long log in few points", async () => {
    const [loss] = await series(`run=${id.first}&metric=loss&points=100&exact=1`);
    expect(loss).toMatchObject({ run: id.first, metric: "loss", axis: "step", count: 9000, bucket: 128, exact: true });
    expect(loss!.x.length).toBe(71);
    expect(Math.max(...loss!.max!)).toBe(wave(4321));
    expect(Math.min(...loss!.min!)).toBe(wave(77));
    expect(loss!.x.at(-1)).toBe(9000);
  });

  it("are the logged values where there are few", async () => {
    const [loss, accuracy] = await series(`run=${id.second}&metric=loss&metric=eval_rewards%2Faccuracies`);
    expect(loss).toEqual({
      run: id.second,
      metric: "loss",
      axis: "step",
      count: 3,
      bucket: 1,
      exact: true,
      x: [1, 2, 3],
      mean: [0.699, 0.698, 0.697],
    });
    expect(accuracy).toMatchObject({ x: [0], mean: [0.5] });
  });

  it("of a part of the axis are finer", async () => {
    const [loss] = await series(`run=${id.first}&metric=loss&points=100&from=4300&to=4350&exact=1`);
    expect(loss).toMatchObject({ count: 51, bucket: 1 });
    expect(loss!.mean).toEqual(Array.from({ length: 51 }, (_, i) => wave(4300 + i)));
    expect(await series(`run=${id.first}&metric=loss&from=1e9`)).toMatchObject([{ count: 0, x: [] }]);
  });

  it("are over time and examples too", async () => {
    const over = async (axis: string) => (await series(`run=${id.second}&metric=loss&axis=${axis}`))[0]!.x;
    expect(await over("time")).toEqual([1, 2, 3].map((step) => 1_700_000_000 + step));
    expect(await over("examples")).toEqual([8, 16, 24]);
  });

  it("of several runs and metrics come run by run, without those that a run has not", async () => {
    const found = await series(`run=${id.second}&run=${id.first}&metric=eval_loss&metric=nothing&metric=loss`);
    expect(found.map(({ run, metric }) => [run, metric])).toEqual([
      [id.second, "eval_loss"],
      [id.second, "loss"],
      [id.first, "eval_loss"],
      [id.first, "loss"],
    ]);
  });

  it("of a log that is too long to be read at once are first drawn from evenly spaced lines", async () => {
    const long = writeRun(at("long"), { steps: 0 });
    const padded = steps.map((step) => stepLine(step, { loss: wave(step), pad: "x".repeat(600) }));
    long.write("metrics.jsonl", jsonLines([evaluationLine(0), ...padded, evaluationLine(9000)]));
    const reader = new SeriesReader();
    const ask = (deadline: number) =>
      reader.series(
        { id: "long", path: long.path },
        { metrics: ["loss", "eval_loss"], axis: "step", points: 50, runs: 1, deadline },
      );
    const [rough] = await ask(performance.now());
    expect(rough).toMatchObject({ exact: false, bucket: 1 });
    expect(rough!.x.length).toBeGreaterThan(40);
    expect(rough!.x.length).toBeLessThanOrEqual(55);
    expect([rough!.x[0], rough!.x.at(-1)]).toEqual([1, 9000]);
    rough!.x.forEach((step, i) => {
      expect(rough!.mean[i]).toBe(wave(step));
    });
    // Evaluations are few and quickly found among the other lines.
    const [, evaluations] = await ask(performance.now() + 1e6);
    expect(evaluations).toMatchObject({ exact: true, x: [0, 9000] });
    const [exact] = await ask(Infinity);
    expect(exact).toMatchObject({ exact: true, count: 9000 });
    // What was read once is at hand.
    expect((await ask(performance.now()))[0]).toEqual(exact);
  });

  it("as CSV are every value as it was logged", async () => {
    const query = `run=${id.second}&run=${id.first}&metric=loss&metric=eval_kl`;
    const { text, headers } = await browser.ask(`/api/series.csv?${query}`);
    expect(headers["content-type"]).toBe("text/csv; charset=utf-8");
    expect(headers["content-disposition"]).toBe('attachment; filename="metrics.csv"');
    const rows = text.split("\r\n");
    expect(rows.slice(0, 5)).toEqual([
      "run,step,time,examples,loss,eval_kl",
      "group/second,0,1700000000.5,0,,0",
      "group/second,1,1700000001,8,0.699,",
      "group/second,2,1700000002,16,0.698,",
      "group/second,3,1700000003,24,0.697,",
    ]);
    expect(rows.length).toBe(1 + 4 + lines.length + 1);
    const written = rows.find((row) => row.startsWith("first,4321,"))!.split(",")[4];
    expect(Number(written)).toBe(wave(4321));
  });
});

describe("a run", () => {
  it("has its settings, metrics in order, axes and ends", async () => {
    first.write("environment.json", { node: "v20" });
    const ledger = { files: ["a.jsonl"], read: 11, used: 10, shortened: 0, dropped: 1, shortenedBy: {}, droppedBy: {} };
    first.write("data.json", { train: { ...ledger, specialTokens: {} }, other: { used: 3 } });
    first.write("outcome.json", { step: 9000, steps: 9000, suspects: 2 });
    const detail = await browser.json<RunDetail>(`/api/runs/${id.first}`);
    await browser.list();
    expect(detail.config).toMatchObject({ learningRate: 1e-5, output: first.path });
    expect(detail.environment).toEqual({ node: "v20" });
    expect(detail.axes).toEqual(["step", "time", "examples"]);
    expect(detail.range).toEqual({ step: [0, 9000], time: [1_700_000_000.5, 1_700_009_000.5], examples: [0, 72_000] });
    expect(detail.metrics.map(({ name }) => name)).toEqual([
      "loss",
      "eval_loss",
      "rewards/margins",
      "eval_rewards/margins",
      "eval_rewards/accuracies",
      "eval_kl",
      "learning_rate",
      "examples_per_second",
      "memory_bytes",
    ]);
    expect(detail.problems).toEqual([]);
    const after = await browser.json<RunDetail>(`/api/runs/${id.first}`);
    expect(after).toMatchObject({
      data: { train: { ...ledger, specialTokens: {} } },
      outcome: { step: 9000 },
      summary: { state: "finished" },
    });
    expect(Object.keys(after.data)).toEqual(["train"]);
    expect(after.resume).toBeUndefined();
  });

  it("has its warnings where they were given, on every axis", async () => {
    const warning = { name: "overfitting", found: "accuracy differs", advice: "Train less." };
    first.write("warnings.jsonl", `${jsonLines([{ step: 6789, ...warning }])}broken\n${jsonLines([{ step: "x" }])}`);
    const { warnings } = await browser.json<RunDetail>(`/api/runs/${id.first}`);
    expect(warnings).toEqual([{ step: 6789, ...warning, time: 1_700_006_789, examples: 54_312 }]);
  });

  it("that can be resumed says how, and what of it can't be read", async () => {
    second.append("no object", stepLine(4));
    await browser.list();
    const detail = await browser.json<RunDetail>(`/api/runs/${id.second}`);
    expect(detail.summary.state).toBe("interrupted");
    expect(detail.resume).toBe(`preftune dpo --resume --output ${second.path}`);
    expect(detail.problems).toEqual(["metrics.jsonl has 1 line that can't be read and are left out."]);
  });

  it("differs from others in some settings, of which those that one has not are null", async () => {
    const difference = await browser.json<Difference>(`/api/difference?run=${id.first}&run=${id.second}`);
    expect(difference.runs).toEqual([id.first, id.second]);
    expect(difference.settings).toEqual([
      { name: "data", values: [["pairs.jsonl"], [{ path: "a" }]] },
      { name: "learningRate", values: [1e-5, 2e-5] },
    ]);
    // method, loss, model, beta, maxSteps, seed; and `more`, which is null here and missing there.
    expect(difference.same).toBe(7);
  });
});

describe("texts", () => {
  const tokens = { text: ["go", "od"], policy: [-1, -2], reference: [-1.5, -2.5] };
  const sample = (step: number, prompt: string) => ({
    step,
    prompt,
    reference: "r",
    policy: "good",
    policy_tokens: tokens,
  });
  const row = (line: number, margin: number | undefined, loss: number, text = "bad"): Omit<EvalRow, "step"> => ({
    file: "held-out.jsonl",
    line,
    prompt: `Question ${line}?`,
    completions: [
      { role: "chosen", text: "good", logp: -3, reference_logp: -4, tokens },
      { role: "rejected", text, logp: -5 },
    ],
    ...(margin !== undefined && { margin }),
    loss,
  });

  it("of samples come prompt by prompt, with tokens where each has its number", async () => {
    const odd = { ...sample(20, "b?"), policy_tokens: { text: ["x"], policy: [] } };
    first.write(
      "samples.jsonl",
      `${jsonLines([sample(10, "a?"), sample(10, "b?"), sample(20, "a?"), odd, { step: 1 }])}{"half`,
    );
    const all = await browser.json<SamplePage>(`/api/runs/${id.first}/samples`);
    expect(all).toMatchObject({ prompts: ["a?", "b?"], steps: [10, 20], beta: 0.1, total: 4 });
    expect(all.samples.map(({ step, prompt }) => [step, prompt])).toEqual([
      [10, 0],
      [10, 1],
      [20, 0],
      [20, 1],
    ]);
    expect(all.samples[0]).toMatchObject({ reference: "r", policy: "good", policy_tokens: tokens });
    expect(all.samples[3]!.policy_tokens).toBeUndefined();
    const second = await browser.json<SamplePage>(`/api/runs/${id.first}/samples?prompt=1&offset=1`);
    expect(second).toMatchObject({ total: 2, offset: 1, samples: [{ step: 20, prompt: 1 }] });
    expect((await browser.json<SamplePage>(`/api/runs/${id.first}/samples?prompt=7`)).total).toBe(0);
  });

  it("of held-out rows come the most wrong first, or in other orders, a page at a time", async () => {
    const rows = [row(1, 0.5, 0.4), row(2, -2, 2), row(3, -0.5, 3), row(4, 1, 0.1), row(5, 0.1, 0.6, "BAD and ugly")];
    first.write("eval-rows.jsonl", jsonLines(rows.map((one) => ({ step: 9000, ...one }))));
    const page = (query: string) => browser.json<EvalRowPage>(`/api/runs/${id.first}/eval-rows?${query}`);
    const order = async (query: string) => (await page(query)).rows.map(({ line }) => line);
    const wrong = await page("");
    expect(wrong).toMatchObject({ step: 9000, beta: 0.1, total: 5, right: 3, ranked: 5, offset: 0 });
    expect(wrong.rows[0]).toEqual({ step: 9000, ...rows[1] });
    expect(await order("sort=wrong")).toEqual([2, 3, 5, 1, 4]);
    expect(await order("sort=right")).toEqual([4, 1, 5, 3, 2]);
    expect(await order("sort=loss")).toEqual([3, 2, 5, 1, 4]);
    expect(await order("sort=file")).toEqual([1, 2, 3, 4, 5]);
    expect(await order("offset=1&limit=2")).toEqual([3, 5]);
    expect(await page("search=Bad%20AND")).toMatchObject({ total: 1, right: 3, ranked: 5, rows: [{ line: 5 }] });
    expect(await order("search=question%204")).toEqual([4]);
  });

  it("of rows without a margin are ordered by their loss, and rewritten ones are read anew", async () => {
    const rows = [row(1, undefined, 0.4), row(2, undefined, 2)];
    first.write("eval-rows.jsonl", jsonLines(rows.map((one) => ({ step: 9500, ...one }))));
    const { step, ranked, rows: found } = await browser.json<EvalRowPage>(`/api/runs/${id.first}/eval-rows`);
    expect([step, ranked, found.map(({ line }) => line)]).toEqual([9500, 0, [2, 1]]);
  });

  it("of rows that may be labelled wrong come as they are listed", async () => {
    const suspects = [1, 2, 3].map((line) => ({
      file: "a.jsonl",
      line,
      seen: 1,
      mean_weight: 0.9,
      last_step: 5,
      last_margin: -2,
    }));
    first.write("suspects.jsonl", jsonLines(suspects));
    const page = await browser.json<SuspectPage>(`/api/runs/${id.first}/suspects?offset=1&limit=1`);
    expect(page).toEqual({ total: 3, offset: 1, rows: [suspects[1]] });
    const { counts } = await browser.json<RunDetail>(`/api/runs/${id.first}`);
    expect(counts).toEqual({ samples: 4, evalRows: 2, suspects: 3 });
  });

  it("that are not there yet are none", async () => {
    expect(await browser.json(`/api/runs/${id.second}/samples`)).toMatchObject({ prompts: [], total: 0, samples: [] });
    expect(await browser.json(`/api/runs/${id.second}/eval-rows`)).toMatchObject({ total: 0, rows: [] });
    writeFileSync(join(second.path, "eval-rows.jsonl"), "");
    expect(await browser.json(`/api/runs/${id.second}/eval-rows`)).toMatchObject({ total: 0, rows: [] });
  });
});

describe("a metric's name", () => {
  const about = (name: string) => {
    const { kind, of, base, label, unit } = metricInfos([name], [name])[0]!;
    return [kind, of, base, label, unit];
  };

  it("says which chart it is in, over which other, and what it counts", () => {
    expect(about("loss")).toEqual(["loss", "training", "loss", "", ""]);
    expect(about("eval_loss")).toEqual(["loss", "evaluation", "loss", "", ""]);
    expect(about("loss@poems.jsonl")).toEqual(["loss", "training", "loss@poems.jsonl", "@poems.jsonl", ""]);
    expect(about("loss/sft")).toEqual(["loss", "training", "loss/sft", "sft", ""]);
    expect(about("nll_loss")).toEqual(["loss", "training", "nll_loss", "nll", ""]);
    expect(about("rewards/chosen")).toEqual(["rewards", "training", "rewards/chosen", "chosen", ""]);
    expect(about("eval_rewards/margins")).toEqual(["margins", "evaluation", "rewards/margins", "", ""]);
    expect(about("eval_gap/accuracies")).toEqual(["accuracies", "evaluation", "gap/accuracies", "gap", "share"]);
    expect(about("eval_kl_samples")).toEqual(["kl", "evaluation", "kl_samples", "samples", "nats"]);
    expect(about("logps/rejected")).toEqual(["logps", "training", "logps/rejected", "rejected", "nats"]);
    expect(about("tokens_per_second")).toEqual(["throughput", "training", "tokens_per_second", "tokens", "1/s"]);
    expect(about("memory_bytes")).toEqual(["memory", "training", "memory_bytes", "", "bytes"]);
    expect(about("kto/z0")).toEqual(["other", "training", "kto/z0", "kto/z0", ""]);
  });
});
