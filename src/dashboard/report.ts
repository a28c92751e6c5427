/** A whole run as one HTML file that needs nothing else: the built page for it, with the run's data inside. */

import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { RunError } from "../errors.ts";
import { version } from "../version.ts";
import { describeRun } from "./detail.ts";
import { isObject } from "./files.ts";
import type { Axis, ReportData, Series } from "./protocol.ts";
import { RowReader } from "./rows.ts";
import { SeriesReader } from "./series.ts";
import { pageFolder } from "./static-files.ts";
import { TrackedRun } from "./tracked-run.ts";

const POINTS = 500;
/** Texts of so many characters as JSON are taken of samples and of rows each: a file that is opened at once. */
const MOST_TEXT = 2e6;
const MOST_ROWS = 500;

const PLACE = '<script type="application/json" id="preftune-report"></script>';

interface Readers {
  readonly series: SeriesReader;
  readonly rows: RowReader;
}

/** The report of a run directory. Throws RunError where there is no run, or the page is not built. */
export async function runReport(folder: string): Promise<string> {
  const path = resolve(folder);
  if (!existsSync(join(path, "config.json")) && !existsSync(join(path, "metrics.jsonl"))) {
    throw new RunError(`${folder}: has no config.json and no metrics.jsonl, so it is not a run.`);
  }
  if (!statSync(path).isDirectory()) throw new RunError(`${folder}: is not a folder.`);
  const name = basename(path) === "sft" ? `${basename(dirname(path))}/sft` : basename(path);
  const run = new TrackedRun(name, name, path, undefined);
  await run.look(Date.now() / 1000);
  return reportPage(await reportOf(run, { series: new SeriesReader(), rows: new RowReader() }));
}

export async function reportOf(run: TrackedRun, readers: Readers): Promise<ReportData> {
  // Read first, so that the metrics are all that there are.
  await readers.series.lines(run);
  const { resume: _resume, path: _path, ...detail } = await describeRun(run, readers);
  const metrics = detail.metrics.map(({ name }) => name);
  const series: Partial<Record<Axis, Series[]>> = {};
  for (const axis of detail.axes) {
    const request = { metrics, axis, points: POINTS, runs: 1, deadline: Infinity };
    series[axis] = (await readers.series.series(run, request)).map(shortened);
  }
  const { samples: sampleCount } = detail.counts;
  const last = Math.max(0, sampleCount - MOST_ROWS);
  const samples = await readers.rows.samples(run, { offset: last, limit: MOST_ROWS });
  const evalRows = await readers.rows.evalRows(run, { offset: 0, limit: MOST_ROWS, sort: "wrong", search: "" });
  const kept = fitting(samples.samples.toReversed()).toReversed();
  return {
    version,
    written: Date.now() / 1000,
    detail,
    series,
    samples: { ...samples, offset: sampleCount - kept.length, samples: kept },
    evalRows: { ...evalRows, rows: fitting(evalRows.rows) },
    suspects: await readers.rows.suspects(run, { offset: 0, limit: MOST_ROWS }),
  };
}

/** As many from the beginning as fit. */
function fitting<T>(values: readonly T[]): T[] {
  let left = MOST_TEXT;
  const kept: T[] = [];
  for (const value of values) {
    left -= JSON.stringify(value).length;
    if (left < 0) break;
    kept.push(value);
  }
  return kept;
}

/** With as many digits as a chart shows. */
function shortened(series: Series): Series {
  const short = (values: readonly number[]) => values.map((value) => Number(value.toPrecision(6)));
  const { mean, min, max } = series;
  return { ...series, mean: short(mean), ...(min && max && { min: short(min), max: short(max) }) };
}

/** The page with the data inside. Throws RunError where the page is not built. */
export function reportPage(data: ReportData): string {
  const file = join(pageFolder(), "report.html");
  const [before, after, ...more] = (existsSync(file) ? readFileSync(file, "utf8") : "").split(PLACE);
  if (before === undefined || after === undefined || more.length > 0) {
    throw new RunError(`${file}: is missing or not the page of reports. Make it with: npm run build`);
  }
  // Nothing in a run's texts may end the element that they stand in.
  const json = withoutFolders(JSON.stringify(data), data).replaceAll("<", "\\u003c");
  return `${before}${PLACE.replace("></", () => `>${json}</`)}${after}`;
}

/** The JSON with files of this machine named without their folders: a report is for others too. */
function withoutFolders(json: string, { detail: { config, data } }: ReportData): string {
  const given = [config.model, config.data, config.evalData, config.regularizationData, config.adapter, config.output];
  const read = Object.values(data).flatMap((part) => (isObject(part) && Array.isArray(part.files) ? part.files : []));
  const paths = [...given.flat(), ...read].map((one) => (isObject(one) ? one.path : one));
  const absolute = paths.filter(
    (path): path is string => typeof path === "string" && isAbsolute(path) && basename(path) !== "",
  );
  const longestFirst = absolute.toSorted((a, b) => b.length - a.length);
  return longestFirst.reduce((text, path) => text.replaceAll(atItsBeginning(path), () => inJson(basename(path))), json);
}

/** A path in JSON where it begins one, as `/m` does not in `rewards/margins`, but after the end of a line, which is `\n`. */
function atItsBeginning(path: string): RegExp {
  const literal = inJson(path).replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&");
  return new RegExp(`(?:(?<![\\w.~-])|(?<=\\\\[nrt]))${literal}`, "g");
}

/** A text as it stands within a JSON string. */
function inJson(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}
