/** What a chart shows, apart from how it is drawn: on a canvas (Chart.svelte), as SVG (svg.ts), as text (in the legend). */

import { bytes, fixed, percent, short } from "../format.ts";
import { linear, logarithmic } from "../scale.ts";

export interface Line {
  /** Unlike that of every other line of the chart. */
  readonly key: string;
  readonly label: string;
  /** A CSS variable: `--chosen`. */
  readonly colour: string;
  readonly width: number;
  readonly dash: readonly number[];
  /** Whether each value is marked: those of evaluations are few. */
  readonly points: boolean;
  /** Strictly increasing. */
  readonly x: readonly number[];
  readonly y: readonly number[];
  /** The values before they were smoothed. */
  readonly raw?: readonly number[];
  /** The least and greatest of what each point stands for. */
  readonly low?: readonly number[];
  readonly high?: readonly number[];
}

/** A place on the x axis that something is said about. */
export interface Mark {
  readonly at: number;
  readonly label: string;
}

type XKind = "number" | "seconds";

export interface Plot {
  readonly title: string;
  /** What y is counted in: `nats`, `share`, `bytes`; empty for a pure number. */
  readonly unit: string;
  readonly xTitle: string;
  readonly xKind: XKind;
  /** What part of the x axis is shown. */
  readonly from: number;
  readonly to: number;
  /** Logarithmic in y, where the values allow it. */
  readonly log: boolean;
  readonly lines: readonly Line[];
  readonly marks: readonly Mark[];
}

export interface YAxis {
  readonly domain: readonly [number, number];
  readonly log: boolean;
}

/** How far the values reach within what is shown, with a little air, and whether the axis is logarithmic. */
export function yDomain(plot: Plot): YAxis {
  let [low, high, leastPositive, negative] = [
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    Number.POSITIVE_INFINITY,
    false,
  ];
  for (const line of plot.lines) {
    for (const values of [line.y, line.low, line.high, line.low ? undefined : line.raw]) {
      values?.forEach((value, i) => {
        if (line.x[i]! < plot.from || line.x[i]! > plot.to) return;
        low = Math.min(low, value);
        high = Math.max(high, value);
        if (value > 0) leastPositive = Math.min(leastPositive, value);
        else if (value < 0) negative = true;
      });
    }
  }
  if (low > high) return { domain: [0, 1], log: false };
  if (plot.log && !negative && high > 0) {
    const air = Math.max((high / leastPositive) ** 0.05, 1.1);
    return { domain: [leastPositive / air, high * air], log: true };
  }
  const air = high > low ? (high - low) * 0.06 : Math.max(Math.abs(high) * 0.1, 1e-9);
  return { domain: [low - air, high + air], log: false };
}

/** Whether doubles can tell places between two ends apart: where they can't, counting from one to the other would never end. */
function isResolved(from: number, to: number): boolean {
  return Number.isFinite(to - from) && to - from > 1e-12 * Math.max(Math.abs(from), Math.abs(to));
}

/** Round values on the y axis: about `count`. */
export function yTicks(domain: readonly [number, number], log: boolean, count: number): number[] {
  if (!isResolved(...domain)) return [];
  if (!log) return linear(domain, [0, 1]).ticks(count);
  const powers = logarithmic(domain, [0, 1]).ticks();
  if (powers.length > count) return powers.filter((_, i) => i % Math.ceil(powers.length / count) === 0);
  if (powers.length >= 3) return powers;
  const factors = Math.log10(domain[1] / domain[0]) < 0.6 ? [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9] : [1, 2, 5];
  const first = Math.floor(Math.log10(domain[0]));
  const decades = Array.from({ length: Math.ceil(Math.log10(domain[1])) - first + 1 }, (_, i) => 10 ** (first + i));
  const ticks = decades
    .flatMap((power) => factors.map((factor) => Number((factor * power).toPrecision(3))))
    .filter((tick) => tick >= domain[0] && tick <= domain[1]);
  return ticks.length >= 2 ? ticks : linear(domain, [0, 1]).ticks(count);
}

const SPANS = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400, 172800, 604800];

/** Round values on the x axis: about `count`. */
export function xTicks(plot: Plot, count: number): number[] {
  if (!isResolved(plot.from, plot.to)) return [];
  const span = plot.to - plot.from;
  const step = SPANS.find((seconds) => seconds * count >= span) ?? span / count;
  if (plot.xKind === "number" || span < 2) {
    // There is no step 2.5.
    return linear([plot.from, plot.to], [0, 1])
      .ticks(count)
      .filter((tick) => plot.xKind === "seconds" || Number.isInteger(tick));
  }
  const ticks = [];
  for (let i = Math.ceil(plot.from / step); i * step <= plot.to; i++) ticks.push(i * step);
  return ticks;
}

/** 75 is "1:15", 3720 "1:02:00". */
export function elapsed(seconds: number): string {
  const whole = Math.round(Math.abs(seconds));
  const two = (value: number) => String(value).padStart(2, "0");
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return `${seconds < -0.5 ? "−" : ""}${h > 0 ? `${h}:${two(m)}` : m}:${two(s)}`;
}

export function formatX(kind: XKind, value: number): string {
  return kind === "seconds" ? elapsed(value) : thousands(value);
}

/** Labels of ticks, in order: with as many decimals as tell them apart where three figures do not, as those about ln 2. */
export function tickLabels(unit: string, ticks: readonly number[]): string[] {
  const labels = ticks.map((tick) => formatY(unit, tick));
  if (new Set(labels).size === labels.length) return labels;
  const thousands = Math.floor(Math.log10(Math.max(...ticks.map(Math.abs))) / 3);
  const suffix = unit === "share" ? " %" : unit === "bytes" ? bytes(1000 ** thousands).slice(1) : "";
  const scale = unit === "share" ? 100 : unit === "bytes" ? 1000 ** -thousands : 1;
  const step = scale * Math.min(...ticks.slice(1).map((tick, i) => tick - ticks[i]!));
  const decimals = Math.min(MOST_DECIMALS, Math.max(0, Math.ceil(-Math.log10(step) - 1e-9)));
  return ticks.map((tick) => fixed(scale * tick, decimals) + suffix);
}

const MOST_DECIMALS = 15;

/** A value that is read off, to four figures: the losses of a run's beginning differ in the fourth. */
export function readingText(unit: string, value: number): string {
  const size = Math.abs(value);
  if (unit === "bytes" || unit === "share" || !(size >= 1e-3 && size < 1e4)) return formatY(unit, value);
  return String(Number(value.toPrecision(4))).replace("-", "−");
}

/** A value with its unit. */
function formatY(unit: string, value: number): string {
  if (unit === "bytes") return bytes(value);
  if (unit === "share") return percent(value, Number.isInteger(Math.round(1000 * value) / 10) ? 0 : 1);
  if (value !== 0 && Math.abs(value) < 1e-3) return Number(value.toPrecision(3)).toExponential().replaceAll("-", "−");
  return Math.abs(value) >= 1e4 && Math.abs(value) < 1e6 ? thousands(value) : short(value);
}

/** Beside the title: what the axis counts in, where its labels don't say it. */
export function unitTitle(unit: string): string {
  return ["bytes", "share", "1/s"].includes(unit) ? "" : unit;
}

function thousands(value: number): string {
  const text = String(Number(value.toPrecision(7)));
  const [whole = "", part] = text.split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, "\u202f").replace("-", "−");
  return part === undefined ? grouped : `${grouped}.${part}`;
}

/** Index of the value that stands nearest to a place on the x axis; undefined where there is none. */
export function nearest({ x }: Line, at: number): number | undefined {
  if (x.length === 0) return undefined;
  let [low, high] = [0, x.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (x[middle]! <= at) low = middle;
    else high = middle;
  }
  return at - x[low]! <= x[high]! - at ? low : high;
}

/** Exponential moving average, without the pull to its first value; `weight` in [0, 1) is that of what came before. */
export function smoothed(values: readonly number[], weight: number): number[] {
  let [sum, norm] = [0, 0];
  return values.map((value) => {
    sum = weight * sum + (1 - weight) * value;
    norm = weight * norm + (1 - weight);
    return sum / norm;
  });
}
