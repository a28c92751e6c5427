/** Logged values as CSV (RFC 4180), every one of them: what a chart shows, to be used elsewhere. */

import type { MetricLines } from "./metric-lines.ts";
import { tableOf } from "./series.ts";

const AXES = ["step", "time", "examples"] as const;
/** Lines that are handed over at once. */
const BATCH = 5000;

/** The line of names. */
export function csvHeader(metrics: readonly string[]): string {
  return csvLine(["run", ...AXES, ...metrics]);
}

/** A run's logged lines that have any of the metrics, some at a time: in order of their steps, training before evaluation. */
export function* csvLines(run: string, lines: MetricLines, metrics: readonly string[]): Generator<string> {
  const cursors = [lines.training, lines.evaluation].map((table) => ({
    rows: table.rows,
    row: 0,
    step: table.values("step"),
    axes: AXES.map((axis) => table.values(axis)),
    columns: metrics.map((metric) => (tableOf(lines, metric) === table ? table.values(metric) : undefined)),
  }));
  let pending: string[] = [];
  for (;;) {
    const open = cursors.filter(({ rows, row }) => row < rows);
    if (open.length === 0) break;
    const next = open.reduce((a, b) => (b.step![b.row]! < a.step![a.row]! ? b : a));
    const { row, axes, columns } = next;
    next.row++;
    if (columns.every((column) => column === undefined || Number.isNaN(column[row]))) continue;
    pending.push(csvLine([run, ...[...axes, ...columns].map((column) => shown(column?.[row]))]));
    if (pending.length === BATCH) {
      yield pending.join("");
      pending = [];
    }
  }
  yield pending.join("");
}

function shown(value: number | undefined): string {
  return value === undefined || Number.isNaN(value) ? "" : String(value);
}

function csvLine(fields: readonly string[]): string {
  return `${fields.map(quoted).join(",")}\r\n`;
}

function quoted(field: string): string {
  return /[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field;
}
