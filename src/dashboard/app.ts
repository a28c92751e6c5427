/** The dashboard's routes. protocol.ts says what each answers. */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { type Context, Hono } from "hono";
import { systemReason } from "../checkpoints/files.ts";
import { PreftuneError, RunError } from "../errors.ts";
import { csvHeader, csvLines } from "./csv.ts";
import { AXES, describeRun } from "./detail.ts";
import { differenceOf } from "./difference.ts";
import type { Events } from "./events.ts";
import { type Guard, refused } from "./guard.ts";
import { choice, number, RequestError, wholeNumber } from "./parameters.ts";
import type { Axis, EvalRowSort, Series, SeriesAnswer, StopAnswer } from "./protocol.ts";
import { reportOf, reportPage } from "./report.ts";
import { RowReader } from "./rows.ts";
import type { RunIndex } from "./run-index.ts";
import { SeriesReader } from "./series.ts";
import type { StaticFiles } from "./static-files.ts";
import type { TrackedRun } from "./tracked-run.ts";

/** How long the first answer to a comparison may take, in milliseconds: what is not read by then is drawn from a part of its lines. */
const FIRST_ANSWER = 700;
const MOST_SERIES = 200;
const MOST_POINTS = 4000;
const MOST_OFFSET = 1e9;

const SORTS: readonly [EvalRowSort, ...EvalRowSort[]] = ["wrong", "right", "loss", "file"];

interface AppParts {
  readonly guard: Guard;
  readonly index: RunIndex;
  readonly events: Events;
  /** Undefined where the page is served by something else. */
  readonly files: StaticFiles | undefined;
}

export function dashboardApp({ guard, index, events, files }: AppParts): Hono {
  const app = new Hono();
  const readers = { series: new SeriesReader(), rows: new RowReader() };
  // Until the folder was looked through once, no run is known by its id.
  const ready = events.refresh();
  ready.catch(() => {});
  app.use(guard.middleware);
  app.use("/api/*", async (_, next) => {
    await ready;
    await next();
  });

  app.get("/api/runs", async (c) => {
    await events.refresh();
    return c.json(events.list());
  });
  app.get("/api/runs/:id", async (c) => c.json(await describeRun(runOf(c), readers)));
  app.get("/api/runs/:id/samples", async (c) => {
    const prompt = wholeNumber(queryOf(c), "prompt", { most: MOST_OFFSET, otherwise: -1 });
    return c.json(
      await readers.rows.samples(runOf(c), { ...pageOf(c, 50, 200), prompt: prompt < 0 ? undefined : prompt }),
    );
  });
  app.get("/api/runs/:id/eval-rows", async (c) => {
    const query = queryOf(c);
    const [sort, search] = [choice(query, "sort", SORTS), query("search") ?? ""];
    return c.json(await readers.rows.evalRows(runOf(c), { ...pageOf(c, 20, 200), sort, search }));
  });
  app.get("/api/runs/:id/suspects", async (c) => c.json(await readers.rows.suspects(runOf(c), pageOf(c, 50, 500))));
  app.get("/api/difference", (c) => c.json(differenceOf(runsOf(c))));

  app.get("/api/series", async (c) => {
    const query = queryOf(c);
    const runs = runsOf(c);
    const request = {
      runs: runs.length,
      metrics: metricsOf(c),
      axis: choice<Axis>(query, "axis", AXES),
      points: wholeNumber(query, "points", { least: 1, most: MOST_POINTS, otherwise: 500 }),
      from: number(query, "from"),
      to: number(query, "to"),
      deadline: query("exact") === "1" ? Infinity : performance.now() + FIRST_ANSWER,
    };
    const series: Series[] = [];
    for (const run of runs) {
      if (c.req.raw.signal.aborted) break;
      series.push(...(await readers.series.series(run, request)));
    }
    return c.json({ series } satisfies SeriesAnswer);
  });
  app.get("/api/series.csv", (c) => {
    const [runs, metrics] = [runsOf(c), metricsOf(c)];
    return download(csvOf(runs, metrics, readers.series), "text/csv; charset=utf-8", "metrics.csv");
  });
  app.get("/api/report/:id", async (c) => {
    const run = runOf(c);
    const page = reportPage(await reportOf(run, readers));
    return download([page], "text/html; charset=utf-8", `${run.name.replaceAll("/", "-")}.html`);
  });

  app.get("/api/events", async (c) => {
    const stream = await events.stream(c.req.header("last-event-id"));
    return c.body(stream, 200, { "content-type": "text/event-stream; charset=utf-8", "x-accel-buffering": "no" });
  });
  app.post("/api/runs/:id/stop", async (c) => {
    const run = runOf(c);
    const whole = run.parent?.summary.state === "running" ? run.parent : run;
    if (whole.summary.state !== "running")
      return refused(c, 409, `${run.name} is not running: nothing is to be stopped.`);
    await requestStop(whole);
    await events.refresh();
    return c.json({ run: whole.id } satisfies StopAnswer);
  });

  app.get("*", async (c) => {
    const name = c.req.path === "/" ? "dashboard.html" : c.req.path.slice(1);
    const answer = c.req.path.startsWith("/api/") ? undefined : await files?.answer(name, c.req.raw.headers);
    return answer ?? refused(c, 404, "There is nothing under this address.");
  });
  app.onError((error, c) => {
    if (error instanceof UnknownRun) return refused(c, 404, error.message);
    if (error instanceof RequestError) return refused(c, 400, error.message);
    if (error instanceof PreftuneError) return refused(c, 500, error.message);
    process.stderr.write(`preftune: ${error.stack ?? error.message}\n`);
    return refused(c, 500, "The server has failed at this; where preftune ui runs, it says how.");
  });
  return app;

  function runOf(c: Context): TrackedRun {
    return known(c.req.param("id") ?? "");
  }

  function runsOf(c: Context): TrackedRun[] {
    const ids = [...new Set(c.req.queries("run") ?? [])];
    if (ids.length === 0 || ids.length > MOST_SERIES)
      throw new RequestError(`Name 1 to ${MOST_SERIES} runs by run=ID.`);
    return ids.map(known);
  }

  function known(id: string): TrackedRun {
    const run = index.get(id);
    if (run === undefined) throw new UnknownRun("There is no such run, or not any more.");
    return run;
  }
}

class UnknownRun extends Error {}

/** Makes the file that asks for a stop. Whatever has its name already is left as it is: it may be a link to something else. */
async function requestStop({ path }: TrackedRun): Promise<void> {
  const file = join(path, "stop");
  await writeFile(file, "", { flag: "wx" }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw new RunError(`${file}: can't be made (${systemReason(error)}).`);
  });
}

function queryOf(c: Context): (name: string) => string | undefined {
  return (name) => c.req.query(name);
}

function metricsOf(c: Context): string[] {
  const metrics = [...new Set(c.req.queries("metric") ?? [])];
  const [runs, most] = [c.req.queries("run")?.length ?? 0, MOST_SERIES];
  if (metrics.length > 0 && metrics.length * runs <= most) return metrics;
  throw new RequestError(`Name metrics by metric=NAME, for at most ${most} series of all runs.`);
}

function pageOf(c: Context, otherwise: number, most: number): { offset: number; limit: number } {
  const query = queryOf(c);
  return {
    offset: wholeNumber(query, "offset", { most: MOST_OFFSET, otherwise: 0 }),
    limit: wholeNumber(query, "limit", { least: 1, most, otherwise }),
  };
}

async function* csvOf(
  runs: readonly TrackedRun[],
  metrics: readonly string[],
  series: SeriesReader,
): AsyncGenerator<string> {
  yield csvHeader(metrics);
  for (const run of runs) yield* csvLines(run.name, await series.lines(run), metrics);
}

/** A text that the browser keeps as a file, made as fast as it is taken. */
function download(texts: AsyncIterable<string> | Iterable<string>, type: string, name: string): Response {
  const stream = Readable.toWeb(Readable.from(texts, { objectMode: false })) as ReadableStream<Uint8Array<ArrayBuffer>>;
  const fileName = name.replaceAll(/[^\w.-]/g, "_");
  return new Response(stream, {
    headers: { "content-type": type, "content-disposition": `attachment; filename="${fileName}"` },
  });
}
