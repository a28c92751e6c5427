/** What the page is told while runs go on: events of a stream, and after it was broken off. */

import { appendFileSync, mkdirSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Events } from "../../src/dashboard/events.ts";
import type { RunDetail, RunList, SeriesAnswer } from "../../src/dashboard/protocol.ts";
import { RunIndex } from "../../src/dashboard/run-index.ts";
import { startDashboard } from "../../src/dashboard/server.ts";
import { scratchFolder } from "../support/scratch.ts";
import { Browser, evaluationLine, jsonLines, stepLine, writeRun } from "./support.ts";

const { at } = scratchFolder();
let folders = 0;

/** A dashboard that looks at its files often, and a browser that is let in. */
async function opened(folder = at(`runs-${folders++}`)) {
  const dashboard = await startDashboard({ folder, interval: 20, page: false });
  const browser = await Browser.open(dashboard);
  const lossOf = async (id: string) => {
    const { series } = await browser.json<SeriesAnswer>(`/api/series?run=${id}&metric=loss&exact=1`);
    return series[0]?.x;
  };
  return { folder, browser, lossOf, [Symbol.asyncDispose]: () => dashboard[Symbol.asyncDispose]() };
}

describe("the stream of events", () => {
  it("begins with all runs, and tells of each as it goes on, with what the charts then show", async () => {
    await using open = await opened();
    const run = writeRun(join(open.folder, "a"));
    using events = await open.browser.events();
    const { event, data } = await events.next();
    expect(event).toBe("runs");
    expect((data as RunList).runs.map(({ name, step }) => [name, step])).toEqual([["a", 3]]);
    const { id } = (data as RunList).runs[0]!;
    for (const step of [4, 5, 6]) {
      run.append(stepLine(step));
      const { data: changed } = await events.next(({ data }) => data.run.step === step);
      expect(changed).toMatchObject({ run: { id, step }, files: ["metrics"] });
      expect((await open.lossOf(id))!.at(-1)).toBe(step);
    }
    run.append(evaluationLine(6));
    const { data: evaluated } = await events.next(({ data }) => data.run.evalLoss < 0.689);
    expect(evaluated).toMatchObject({ run: { id, step: 6, margin: 6 / 50 }, files: ["metrics"] });
  });

  it("waits for a folder that is not there yet, and for runs in it and in groups", async () => {
    await using open = await opened();
    using events = await open.browser.events();
    expect((await events.next()).data).toMatchObject({ exists: false, runs: [] });
    mkdirSync(open.folder);
    expect((await events.next()).data).toMatchObject({ exists: true });
    writeRun(join(open.folder, "group", "b"));
    expect((await events.next()).data).toMatchObject({ run: { name: "group/b" } });
  });

  it("tells everybody of a change once, however many look at the same time", async () => {
    await using open = await opened();
    const run = writeRun(join(open.folder, "a"));
    using events = await open.browser.events();
    using others = await open.browser.events();
    await events.next();
    await others.next();
    for (let step = 4; step < 14; step++) {
      run.append(stepLine(step));
      await Promise.all([open.browser.list(), open.browser.list(), open.browser.list()]);
    }
    for (const one of [events, others]) {
      const marks: string[] = [];
      for (let step = 0; step < 13; ) {
        const { data } = await one.next();
        step = data.run.step;
        marks.push(`${step} ${data.run.updated}`);
      }
      expect(marks).toEqual([...new Set(marks)]);
    }
  });

  it("says nothing of half a line until it is whole", async () => {
    await using open = await opened();
    const { path } = writeRun(join(open.folder, "a"));
    using events = await open.browser.events();
    const { id } = ((await events.next()).data as RunList).runs[0]!;
    const line = jsonLines([stepLine(4)]);
    appendFileSync(join(path, "metrics.jsonl"), line.slice(0, 20));
    expect((await events.next()).data.run.step).toBe(3);
    expect((await open.lossOf(id))!.at(-1)).toBe(3);
    appendFileSync(join(path, "metrics.jsonl"), line.slice(20));
    await events.next(({ data }) => data.run.step === 4);
    expect((await open.lossOf(id))!.at(-1)).toBe(4);
  });

  it("goes back with a log that a resumed run has cut, and on with it", async () => {
    await using open = await opened();
    const run = writeRun(join(open.folder, "a"), { steps: 8 });
    using events = await open.browser.events();
    const { id } = ((await events.next()).data as RunList).runs[0]!;
    expect(await open.lossOf(id)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    truncateSync(join(run.path, "metrics.jsonl"), jsonLines([evaluationLine(0), stepLine(1), stepLine(2)]).length);
    await events.next(({ data }) => data.run.step === 2);
    expect(await open.lossOf(id)).toEqual([1, 2]);
    run.append(stepLine(3, { loss: 0.25 }));
    await events.next(({ data }) => data.run.step === 3);
    expect(await open.lossOf(id)).toEqual([1, 2, 3]);
  });

  it("tells of a run that is deleted, whose address then leads nowhere, and of one that is moved", async () => {
    await using open = await opened();
    writeRun(join(open.folder, "a"));
    writeRun(join(open.folder, "b"));
    using events = await open.browser.events();
    await events.next();
    const [a, b] = [await open.browser.idOf("a"), await open.browser.idOf("b")];
    rmSync(join(open.folder, "a"), { recursive: true });
    expect(await events.next()).toMatchObject({ event: "removed", data: { id: a } });
    expect((await open.browser.ask(`/api/runs/${a}`)).status).toBe(404);
    renameSync(join(open.folder, "b"), join(open.folder, "c"));
    const told = [await events.next(), await events.next()].toSorted((one, other) =>
      one.event < other.event ? -1 : 1,
    );
    expect(told).toMatchObject([
      { event: "changed", data: { run: { name: "c" } } },
      { event: "removed", data: { id: b } },
    ]);
  });

  it("survives a log that vanishes under a run", async () => {
    await using open = await opened();
    const { path } = writeRun(join(open.folder, "a"));
    using events = await open.browser.events();
    const { id } = ((await events.next()).data as RunList).runs[0]!;
    rmSync(join(path, "metrics.jsonl"));
    await events.next(({ data }) => data.run.step === 0);
    expect(await open.lossOf(id)).toBeUndefined();
    const { problems } = await open.browser.json<RunDetail>(`/api/runs/${id}`);
    expect(problems).toEqual(["metrics.jsonl is not there: there is nothing to draw yet."]);
    writeFileSync(join(path, "metrics.jsonl"), jsonLines([stepLine(1)]));
    await events.next(({ data }) => data.run.step === 1);
  });
});

describe("a browser that comes back", () => {
  it("with the last event's id gets those that it missed, and no others", async () => {
    await using open = await opened();
    const run = writeRun(join(open.folder, "a"));
    let last: string;
    {
      using events = await open.browser.events();
      await events.next();
      run.append(stepLine(4));
      last = (await events.next()).id;
    }
    run.append(stepLine(5));
    await open.browser.list();
    run.append(stepLine(6));
    await open.browser.list();
    using events = await open.browser.events(last);
    // Not all runs anew, and no event from before.
    const missed = [await events.next(), await events.next(({ data }) => data.run.step === 6)];
    expect(missed.map(({ event }) => event)).toEqual(["changed", "changed"]);
    expect(missed[0]!.data.run.step).toBeGreaterThan(4);
    run.append(stepLine(7));
    await events.next(({ data }) => data.run.step === 7);
  });

  it("with an id of a server before, of the future or of nobody gets all anew", async () => {
    await using open = await opened();
    writeRun(join(open.folder, "a"));
    let last: string;
    {
      using events = await open.browser.events();
      last = (await events.next()).id;
    }
    const [server] = last.split(":");
    for (const id of [
      `other:${last.split(":")[1]}`,
      `${server}:999999`,
      `${server}:-5`,
      `${server}:x`,
      "x",
      "",
      "../..",
    ]) {
      using events = await open.browser.events(id);
      expect((await events.next()).event).toBe("runs");
    }
  });

  it("after more events than are remembered gets all anew", async () => {
    const folder = at(`runs-${folders++}`);
    const run = writeRun(join(folder, "a"));
    using events = new Events(new RunIndex(folder), 1e6, 3);
    const firstAfter = async (id: string) => {
      const reader = (await events.stream(id)).getReader();
      const decoder = new TextDecoder();
      await reader.read(); // When to try again.
      const text = decoder.decode((await reader.read()).value);
      await reader.cancel();
      return { id: /^id: (.*)$/m.exec(text)![1]!, event: /^event: (.*)$/m.exec(text)![1]! };
    };
    const first = await firstAfter("");
    for (const step of [4, 5, 6]) {
      run.append(stepLine(step));
      await events.refresh();
    }
    expect((await firstAfter(first.id)).event).toBe("changed");
    run.append(stepLine(7));
    expect((await firstAfter(first.id)).event).toBe("runs");
  });

  it("is told when to try again, and the end of the server ends its stream", async () => {
    const dashboard = await startDashboard({ folder: at("none"), page: false });
    const browser = await Browser.open(dashboard);
    const pending = browser.ask("/api/events");
    await new Promise((resolve) => setTimeout(resolve, 100));
    await dashboard[Symbol.asyncDispose]();
    const { headers, text } = await pending;
    expect(headers["content-type"]).toBe("text/event-stream; charset=utf-8");
    expect(text).toMatch(/^retry: 1000\n\nid: \S+:0\nevent: runs\ndata: \{/);
  });
});
