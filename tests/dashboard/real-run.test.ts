/** A real run as the dashboard sees it: it appears by itself, is followed, stopped at its next step, and explained afterwards. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { EvalRowPage, RunDetail, RunList, SamplePage, SeriesAnswer } from "../../src/dashboard/protocol.ts";
import { startDashboard } from "../../src/dashboard/server.ts";
import { dpo } from "../../src/training/tuners.ts";
import { scratchFolder } from "../support/scratch.ts";
import { writePairs, writeTinyModel } from "../support/tiny-model.ts";
import { Browser } from "./support.ts";

const { at, lines } = scratchFolder();

it("a run that begins meanwhile is followed to its next step after it was asked to stop, and told with its rows and tokens", async () => {
  await using dashboard = await startDashboard({ folder: at("runs"), interval: 10, page: false });
  const browser = await Browser.open(dashboard);
  using events = await browser.events();
  expect((await events.next()).data as RunList).toMatchObject({ exists: false, runs: [] });

  const running = dpo({
    model: writeTinyModel(at("model")),
    data: writePairs(at("pairs.jsonl"), 8),
    evalData: writePairs(at("held-out.jsonl"), 3, 100),
    output: at("runs", "first"),
    batchSize: 2,
    epochs: 100_000,
    evalEvery: 2,
    learningRate: 1e-3,
    loraRank: 2,
    samplePrompts: 1,
    sampleTokens: 4,
    threads: 1,
  });
  const { data } = await events.next(({ event, data }) => event === "changed" && data.run.step >= 4, 60_000);
  expect(data.run).toMatchObject({
    name: "first",
    state: "running",
    method: "dpo",
    objective: ["sigmoid"],
    steps: 400_000,
  });
  const { id } = data.run;
  const stop = await browser.ask(`/api/runs/${id}/stop`, {
    method: "POST",
    headers: { origin: `http://127.0.0.1:${dashboard.port}`, "x-preftune": "stop" },
  });
  expect(stop.status).toBe(200);
  const { step, interrupted } = await running;
  expect(interrupted).toBe("stop file");
  await events.next(({ data }) => data.run?.state === "stopped");
  expect(existsSync(at("runs", "first", "stop"))).toBe(false);

  const detail = await browser.json<RunDetail>(`/api/runs/${id}`);
  expect(detail.summary).toMatchObject({ state: "stopped", stopping: false, step });
  expect(detail.axes).toEqual(["step", "time", "examples"]);
  expect(detail.checkpoints).toEqual([step]);
  expect(detail.data.train).toMatchObject({ used: 8 });
  expect(detail.problems).toEqual([]);
  expect(detail.resume).toBe(`preftune dpo --resume --output ${at("runs", "first")}`);
  const logged = lines(join("runs", "first", "metrics.jsonl"));
  const metrics = logged
    .flatMap((line) => Object.keys(line))
    .filter((name) => !detail.axes.some((axis) => axis === name));
  expect(new Set(detail.metrics.map(({ name }) => name))).toEqual(new Set(metrics));
  for (const axis of detail.axes) {
    const { series } = await browser.json<SeriesAnswer>(
      `/api/series?run=${id}&metric=loss&metric=eval_loss&axis=${axis}&points=4000`,
    );
    const [loss, evalLoss] = series;
    expect(loss!.mean).toEqual(logged.flatMap((line) => line.loss ?? []));
    expect(evalLoss!.mean).toEqual(logged.flatMap((line) => line.eval_loss ?? []));
    expect(loss!.x).toEqual(logged.flatMap((line) => ("loss" in line ? line[axis]! : [])));
  }

  const { samples, prompts } = await browser.json<SamplePage>(`/api/runs/${id}/samples`);
  expect(prompts.length).toBe(1);
  for (const { policy, policy_tokens: tokens } of samples) {
    expect(tokens!.text.join("")).toBe(policy);
    expect([tokens!.policy.length, tokens!.reference!.length]).toEqual([tokens!.text.length, tokens!.text.length]);
  }
  const { rows, total } = await browser.json<EvalRowPage>(`/api/runs/${id}/eval-rows`);
  expect(total).toBe(3);
  expect(rows.map(({ margin }) => margin)).toEqual(rows.map(({ margin }) => margin).toSorted((a, b) => a! - b!));
  for (const { completions } of rows) {
    expect(completions.map(({ role }) => role)).toEqual(["chosen", "rejected"]);
    for (const { text, tokens, logp } of completions) {
      expect(tokens!.text.join("")).toBe(text);
      expect(tokens!.policy.reduce((a, b) => a + b, 0)).toBeCloseTo(logp!, 3);
    }
  }
});
