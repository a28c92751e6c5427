/** All that is told of one run besides its charts and texts: settings, environment, ledger, warnings, how it ended. */

import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { commandLine } from "../command-line.ts";
import { evenlySpacedLines, type LogLine, lineOfStep } from "./excerpt.ts";
import { type OpenFile, openFile, parseObject, readObject, readText } from "./files.ts";
import { ledgersOf } from "./ledger.ts";
import { metricInfos } from "./metric-info.ts";
import type { MetricLines } from "./metric-lines.ts";
import type { Axis, RunDetail, Warning } from "./protocol.ts";
import type { RowReader } from "./rows.ts";
import type { SeriesReader } from "./series.ts";
import { finite } from "./summary.ts";
import type { TrackedRun } from "./tracked-run.ts";

export const AXES: readonly [Axis, ...Axis[]] = ["step", "time", "examples"];

/** Each is looked up in the log, and drawn. A run gives each of its kinds of warnings once. */
const MOST_WARNINGS = 100;
/** Lines of a long log in which its metrics' names are looked for, besides the first and the last. */
const LOOKED_AT = 64;

export async function describeRun(
  run: TrackedRun,
  { series, rows }: { readonly series: SeriesReader; readonly rows: RowReader },
): Promise<RunDetail> {
  await using log = await openFile(join(run.path, "metrics.jsonl"));
  const atHand = await series.linesAtHand(run);
  const lines = atHand ?? (log && (await evenlySpacedLines(log, LOOKED_AT)));
  const one = { offset: 0, limit: 0 };
  const [samples, evalRows, suspects] = await Promise.all([
    rows.samples(run, one),
    rows.evalRows(run, { ...one, sort: "file", search: "" }),
    rows.suspects(run, one),
  ]);
  const range = rangeOf(run);
  return {
    summary: run.summary,
    config: run.config,
    environment: (await readObject(join(run.path, "environment.json"))) ?? {},
    data: ledgersOf(run.data),
    warnings: await warningsOf(run, log),
    outcome: run.outcome,
    metrics: metricInfos(lines?.training.names ?? [], evaluationNames(run, lines)),
    axes: AXES.filter((axis) => axis in range),
    range,
    checkpoints: await checkpointSteps(run),
    counts: { samples: samples.total, evalRows: evalRows.total, suspects: suspects.total },
    problems: problemsOf(run, atHand),
    resume: resumeCommand(run),
    path: run.path,
  };
}

/** An evaluation is a line in a thousand: those that were looked at may have none. */
function evaluationNames({ log }: TrackedRun, lines: MetricLines | undefined): string[] {
  return [...new Set([...(lines?.evaluation.names ?? []), ...Object.keys(log.evaluation ?? {})])];
}

function rangeOf({ log: { first, tail } }: TrackedRun): RunDetail["range"] {
  const last = tail.at(-1);
  return Object.fromEntries(
    AXES.flatMap((axis) => {
      const [begin, end] = [finite(first?.[axis]), finite(last?.[axis])];
      return begin === undefined || end === undefined ? [] : [[axis, [begin, end]]];
    }),
  );
}

async function warningsOf({ path }: TrackedRun, log: OpenFile | undefined): Promise<Warning[]> {
  const text = (await readText(join(path, "warnings.jsonl"), 2 ** 24)) ?? "";
  const warnings: Warning[] = [];
  for (const line of text.split("\n")) {
    if (warnings.length === MOST_WARNINGS) break;
    const { step, name, found, advice } = parseObject(line) ?? {};
    if (typeof step !== "number" || ![name, found, advice].every((value) => typeof value === "string")) continue;
    const at: LogLine | undefined = log && (await lineOfStep(log, step));
    const place = { time: finite(at?.time), examples: finite(at?.examples) };
    warnings.push({ step, name: name as string, found: found as string, advice: advice as string, ...place });
  }
  return warnings;
}

async function checkpointSteps({ path }: TrackedRun): Promise<number[]> {
  const names = await readdir(join(path, "checkpoints")).catch(() => []);
  const steps = names.flatMap((name) => /^step-(\d+)$/.exec(name)?.[1] ?? []).map(Number);
  return [...new Set(steps)].filter(Number.isSafeInteger).sort((a, b) => a - b);
}

function problemsOf(run: TrackedRun, lines: MetricLines | undefined): string[] {
  const problems: string[] = [];
  if (Object.keys(run.config).length === 0)
    problems.push("config.json is missing or damaged: its settings are not known.");
  if (!run.has("metrics.jsonl")) problems.push("metrics.jsonl is not there: there is nothing to draw yet.");
  if (run.summary.warnings > MOST_WARNINGS) {
    problems.push(`warnings.jsonl has ${run.summary.warnings} lines: the first ${MOST_WARNINGS} warnings are shown.`);
  }
  const broken = lines?.broken ?? 0;
  if (broken > 0) {
    problems.push(
      `metrics.jsonl has ${broken} ${broken === 1 ? "line" : "lines"} that can't be read and are left out.`,
    );
  }
  return problems;
}

/** How to go on with a run that has come to no result, where its settings say so. */
function resumeCommand(run: TrackedRun): string | undefined {
  const whole = run.parent ?? run;
  const { state } = whole.summary;
  const { method } = whole.config;
  const ended = state === "interrupted" || state === "failed" || (state === "stopped" && !run.outcome?.stopped);
  if (!ended || typeof method !== "string" || !existsSync(join(whole.path, "config.json"))) return undefined;
  return commandLine("preftune", method, "--resume", "--output", whole.path);
}
