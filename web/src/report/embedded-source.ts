/** The data source of a report: what the file itself holds. Nothing is asked of any server. */

import type { EvalRow, EvalRowSort, ReportData, Series } from "../../../src/dashboard/protocol.ts";
import { seriesToCsv } from "../dashboard/charts.ts";
import type { DataSource } from "../dashboard/source.ts";

export function embeddedSource(data: ReportData): DataSource {
  return {
    run: async () => data.detail,
    series: async ({ metrics, axis, from = Number.NEGATIVE_INFINITY, to = Number.POSITIVE_INFINITY }) =>
      (data.series[axis] ?? [])
        .filter(({ metric }) => metrics.includes(metric))
        .map((series) => between(series, from, to)),
    samples: async () => {
      const kept = new Set(data.samples.samples.map(({ step }) => step));
      return { ...data.samples, steps: data.samples.steps.filter((step) => kept.has(step)) };
    },
    evalRows: async (_, { sort, search, offset, limit }) => {
      const words = search.toLowerCase();
      const found = data.evalRows.rows.filter((row) => textOf(row).includes(words)).sort(ORDERS[sort]);
      return { ...data.evalRows, total: found.length, offset, rows: found.slice(offset, offset + limit) };
    },
    suspects: async (_, offset, limit) => ({
      total: data.suspects.rows.length,
      offset,
      rows: data.suspects.rows.slice(offset, offset + limit),
    }),
    difference: async () => {
      throw new Error("A report knows no other run.");
    },
    csv: async (_, metrics) => seriesToCsv((data.series.step ?? []).filter(({ metric }) => metrics.includes(metric))),
  };
}

/** What the file leaves out of the run, in sentences; runs can be larger than a file that is opened at once. */
export function leftOut({ detail, samples, evalRows, suspects }: ReportData): string[] {
  const missing = [
    ["sampled answers, the last ones", samples.samples.length, detail.counts.samples],
    ["held-out rows, the most wrong ones", evalRows.rows.length, detail.counts.evalRows],
    ["suspects, the most suspicious ones", suspects.rows.length, detail.counts.suspects],
  ] as const;
  return missing.filter(([, kept, all]) => kept < all).map(([what, kept, all]) => `${kept} of ${all} ${what}`);
}

const ORDERS: Readonly<Record<EvalRowSort, (a: EvalRow, b: EvalRow) => number>> = {
  wrong: (a, b) => wrongness(b) - wrongness(a),
  right: (a, b) => wrongness(a) - wrongness(b),
  loss: (a, b) => b.loss - a.loss,
  file: (a, b) => a.file.localeCompare(b.file) || a.line - b.line,
};

/** By the least margin; by the loss, where rows have no margin. */
function wrongness({ margin, loss }: EvalRow): number {
  return margin === undefined ? loss : -margin;
}

function textOf({ prompt, completions }: EvalRow): string {
  return [prompt, ...completions.map(({ text }) => text)].join("\n").toLowerCase();
}

function between(series: Series, from: number, to: number): Series {
  if (series.x.length === 0 || (series.x[0]! >= from && series.x.at(-1)! <= to)) return series;
  const first = series.x.findIndex((x) => x >= from);
  const start = first < 0 ? series.x.length : first;
  const after = series.x.findIndex((x) => x > to);
  const end = after < 0 ? series.x.length : after;
  return {
    ...series,
    x: series.x.slice(start, end),
    mean: series.mean.slice(start, end),
    ...(series.min && { min: series.min.slice(start, end) }),
    ...(series.max && { max: series.max.slice(start, end) }),
  };
}
