/** Which charts a run's metrics make, and their plots. */

import type { Axis, MetricInfo, MetricKind, RunDetail, Series } from "../../../src/dashboard/protocol.ts";
import { type Line, type Mark, type Plot, smoothed } from "../shared/chart/plot.ts";

export interface ChartGroup {
  readonly key: string;
  readonly title: string;
  readonly unit: string;
  /** Training first, so that evaluations are drawn over it. */
  readonly metrics: readonly MetricInfo[];
  /** Not among what is looked at first. */
  readonly more: boolean;
}

/** A run as charts draw it. */
export interface ChartRun {
  readonly id: string;
  readonly name: string;
  readonly detail: RunDetail;
  /** Of its lines, where several runs are compared. */
  readonly colour: string;
  readonly dash: readonly number[];
}

/** Kinds of which all metrics are in one chart, in the order of the page. */
const TITLES: Partial<Record<MetricKind, string>> = {
  loss: "Loss",
  margins: "Reward margin",
  accuracies: "Reward accuracy",
  rewards: "Implicit reward",
  logps: "Log-probability",
  kl: "KL to the reference",
  lengths: "Completion length",
  "grad-norm": "Gradient norm",
  "learning-rate": "Learning rate",
  memory: "Resident memory",
  drift: "Log-ratio to the reference",
  "gradient-weights": "Gradient weight",
};
const FIRST: readonly MetricKind[] = [
  "loss",
  "margins",
  "accuracies",
  "rewards",
  "logps",
  "kl",
  "lengths",
  "grad-norm",
  "learning-rate",
  "throughput",
  "memory",
];
const STANDARD_ERROR = "_stderr";

/** Charts for one run; for several (`compared`) every chart has one metric of each, so that it stays readable. */
export function chartGroups(metrics: readonly MetricInfo[], compared: boolean): ChartGroup[] {
  const groups = new Map<string, MetricInfo[]>();
  for (const metric of metrics) {
    const key = compared || isGap(metric) || !(metric.kind in TITLES) ? metric.base : metric.kind;
    if (metric.base.endsWith(STANDARD_ERROR) && compared) continue;
    groups.set(key, [...(groups.get(key) ?? []), metric]);
  }
  return [...groups].map(([key, members]) => {
    const { kind, label, base, unit } = members[0]!;
    const gap = isGap(members[0]!);
    const title = TITLES[kind] ?? spoken(base);
    const part = gap ? "training minus held out" : compared && kind in TITLES ? label : "";
    return {
      key,
      title: part ? `${title}, ${part}` : title,
      unit,
      metrics: members.toSorted((a, b) => Number(a.of === "evaluation") - Number(b.of === "evaluation")),
      more: gap || !FIRST.includes(kind),
    };
  });
}

/** `gap/margins` is of the kind of margins, and far smaller than they are. */
function isGap({ base }: MetricInfo): boolean {
  return base.startsWith("gap/");
}

/** `examples_per_second` is "Examples a second". */
function spoken(base: string): string {
  const words = base.replaceAll("_per_", " a ").replaceAll("_", " ").replaceAll("/", ", ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export const AXIS_TITLES: Readonly<Record<Axis, string>> = {
  step: "step",
  time: "time since the start",
  examples: "examples",
};

/** Seconds that are taken off a run's clock, so that runs of different days lie over each other. */
export function originOf(detail: RunDetail, axis: Axis): number {
  return axis === "time" ? (detail.range.time?.[0] ?? detail.summary.started) : 0;
}

interface PlotSettings {
  readonly axis: Axis;
  readonly smoothing: number;
  readonly log: boolean;
  readonly from: number;
  readonly to: number;
  /** Ids of runs whose lines are left out. */
  readonly hidden?: ReadonlySet<string>;
}

export function plotOf(
  group: ChartGroup,
  runs: readonly ChartRun[],
  find: (run: string, metric: string) => Series | undefined,
  settings: PlotSettings,
): Plot {
  const { axis, from, to, log, hidden } = settings;
  const compared = runs.length > 1;
  return {
    title: group.title,
    unit: group.unit,
    xTitle: AXIS_TITLES[axis],
    xKind: axis === "time" ? "seconds" : "number",
    from,
    to,
    log,
    lines: group.metrics
      .filter(({ base }) => !base.endsWith(STANDARD_ERROR) || group.metrics.length === 1)
      .flatMap((metric) =>
        runs.flatMap((run) => {
          const series = hidden?.has(run.id) ? undefined : find(run.id, metric.name);
          return series ? [lineOf(series, metric, group, run, compared, settings, find)] : [];
        }),
      ),
    marks: compared ? [] : marksOf(runs[0]!.detail, axis),
  };
}

function lineOf(
  series: Series,
  metric: MetricInfo,
  group: ChartGroup,
  run: ChartRun,
  compared: boolean,
  { axis, smoothing }: PlotSettings,
  find: (run: string, metric: string) => Series | undefined,
): Line {
  const origin = originOf(run.detail, axis);
  const held = metric.of === "evaluation";
  const smooth = !held && smoothing > 0;
  const error = find(run.id, metric.name + STANDARD_ERROR);
  const band =
    error && error.x.length === series.x.length ? around(series, error) : { low: series.min, high: series.max };
  return {
    key: `${run.id} ${metric.name}`,
    label: compared ? `${run.name}${held ? " (held out)" : ""}` : labelOf(metric, group),
    ...(compared ? { colour: run.colour, dash: run.dash } : { colour: colourOf(metric, group), dash: [] }),
    width: held ? 2 : 1.25,
    // A line of one value is not seen.
    points: held || series.x.length === 1,
    x: origin === 0 ? series.x : series.x.map((x) => x - origin),
    y: smooth ? smoothed(series.mean, smoothing) : series.mean,
    ...(smooth && !series.min && { raw: series.mean }),
    ...(band.low && band.high && { low: band.low, high: band.high }),
  };
}

/** One standard error to both sides. */
function around({ mean }: Series, error: Series): { low: number[]; high: number[] } {
  return { low: mean.map((value, i) => value - error.mean[i]!), high: mean.map((value, i) => value + error.mean[i]!) };
}

function labelOf({ label, of }: MetricInfo, group: ChartGroup): string {
  const rows = of === "evaluation" ? "held out" : "training";
  const both = group.metrics.some((other) => other.of !== of);
  if (!label) return rows;
  return both ? `${label}, ${rows}` : label;
}

/** Blue and orange are chosen and rejected throughout; what stands alone is told from its evaluations by its own two colours. */
function colourOf(metric: MetricInfo, group: ChartGroup): string {
  if (metric.label === "chosen" || metric.label === "rejected") return `--${metric.label}`;
  const labels = [...new Set(group.metrics.map(({ label }) => label))];
  if (labels.length === 1) return metric.of === "evaluation" ? "--series-2" : "--series-1";
  return `--series-${((labels.indexOf(metric.label) + 2) % 8) + 1}`;
}

/** The run's warnings by their numbers, in the order of the list that says what they are. */
export function marksOf(detail: RunDetail, axis: Axis): Mark[] {
  const origin = originOf(detail, axis);
  return detail.warnings.flatMap((warning, i) => {
    const at = warning[axis];
    return at === undefined ? [] : [{ at: at - origin, label: String(i + 1) }];
  });
}

const DASHES: readonly (readonly number[])[] = [[], [7, 3], [2, 3], [9, 3, 2, 3]];

/** How the i-th of several compared runs is drawn: neighbours differ in colour and in dashes. */
export function styleOf(i: number): { colour: string; dash: readonly number[] } {
  return { colour: `--series-${(i % 8) + 1}`, dash: DASHES[i % DASHES.length]! };
}

/** The series as text/csv, where the log itself is not at hand: every point with what it stands for. */
export function seriesToCsv(series: readonly Series[]): string {
  const lines = series.flatMap(({ run, metric, axis, bucket, x, mean, min, max }) =>
    x.map((at, i) =>
      [run, metric, axis, at, bucket, mean[i]!, (min ?? mean)[i]!, (max ?? mean)[i]!].map(cell).join(","),
    ),
  );
  return `${["run,metric,axis,x,values,mean,min,max", ...lines].join("\r\n")}\r\n`;
}

function cell(value: string | number): string {
  const text = String(value);
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
