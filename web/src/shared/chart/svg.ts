/** A chart as an SVG file of its own: axes, labels, legend, bands, lines and marks from the same plot as on the screen. */

import { linear, logarithmic } from "../scale.ts";
import { formatX, type Line, type Plot, tickLabels, unitTitle, xTicks, yDomain, yTicks } from "./plot.ts";

interface SvgOptions {
  readonly width: number;
  readonly height: number;
  /** Resolves a CSS variable to a colour that a file can name. */
  readonly colour: (variable: string) => string;
}

const FONT = "'Source Sans 3', 'Source Sans 3 Variable', system-ui, sans-serif";
const LEGEND_ROW = 20;
const CHARACTER = 6.6;

export function plotToSvg(plot: Plot, { width, height, colour }: SvgOptions): string {
  const legend = legendRows(plot.lines, width - 80);
  const [left, right, top, bottom] = [64, width - 16, 44 + legend.length * LEGEND_ROW, height - 46];
  const x = linear([plot.from, plot.to], [left, right]);
  const { domain, log } = yDomain(plot);
  const scale = (log ? logarithmic : linear)(domain, [bottom, top]);
  // A logarithmic axis has no place for zero: it is put at the lower edge.
  const y = (value: number) => scale(log ? Math.max(value, domain[0]) : value);
  const ticks = yTicks(domain, log, 5);
  const labels = tickLabels(plot.unit, ticks);
  const [ink, quiet, rule, paper, warning] = ["--ink", "--quiet", "--rule", "--paper", "--warning"].map(colour);
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="${FONT}" font-size="12">`,
    `<title>${escaped(plot.title)}</title>`,
    `<rect width="${width}" height="${height}" fill="${paper}"/>`,
    text(left, 24, plot.title, `font-size="15" font-weight="600" fill="${ink}"`),
    ...legend.flatMap((row, r) => row.map((entry) => legendEntry(entry, left, 46 + r * LEGEND_ROW, colour))),
    ...ticks.flatMap((tick, i) => [
      `<line x1="${left}" x2="${right}" y1="${place(y(tick))}" y2="${place(y(tick))}" stroke="${rule}"/>`,
      text(left - 8, y(tick) + 4, labels[i]!, `text-anchor="end" fill="${quiet}"`),
    ]),
    ...xTicks(plot, Math.floor((right - left) / 90)).map((tick) =>
      text(x(tick), bottom + 18, formatX(plot.xKind, tick), `text-anchor="middle" fill="${quiet}"`),
    ),
    text((left + right) / 2, height - 10, plot.xTitle, `text-anchor="middle" fill="${quiet}"`),
    unitTitle(plot.unit) &&
      `<text transform="translate(14 ${(top + bottom) / 2}) rotate(-90)" text-anchor="middle" fill="${quiet}">${escaped(unitTitle(plot.unit))}</text>`,
    `<clipPath id="area"><rect x="${left}" y="${top}" width="${right - left}" height="${bottom - top}"/></clipPath>`,
    `<g clip-path="url(#area)" fill="none" stroke-linejoin="round">`,
    ...plot.lines.map((line) => bandPath(line, x, y, colour(line.colour))),
    ...plot.lines.map((line) => linePaths(line, x, y, colour(line.colour))),
    `</g>`,
    ...plot.marks
      .filter(({ at }) => at >= plot.from && at <= plot.to)
      .flatMap(({ at, label }) => [
        `<line x1="${place(x(at))}" x2="${place(x(at))}" y1="${top}" y2="${bottom}" stroke="${warning}" stroke-dasharray="3 3"/>`,
        text(x(at) + 4, top + 12, label, `fill="${warning}"`),
      ]),
    `</svg>`,
  ];
  return parts.filter(Boolean).join("\n");
}

interface LegendEntry {
  readonly line: Line;
  readonly offset: number;
}

function legendRows(lines: readonly Line[], width: number): LegendEntry[][] {
  const rows: LegendEntry[][] = [];
  let offset = Number.POSITIVE_INFINITY;
  for (const line of lines) {
    const needed = 48 + line.label.length * CHARACTER;
    if (offset + needed > width) {
      rows.push([]);
      offset = 0;
    }
    rows.at(-1)!.push({ line, offset });
    offset += needed;
  }
  return rows;
}

function legendEntry({ line, offset }: LegendEntry, left: number, y: number, colour: SvgOptions["colour"]): string {
  const x = left + offset;
  const stroke = colour(line.colour);
  return (
    `<line x1="${x}" x2="${x + 22}" y1="${y - 4}" y2="${y - 4}" ${strokeOf(line, stroke)}/>` +
    (line.points ? `<circle cx="${x + 11}" cy="${y - 4}" r="3" fill="${stroke}"/>` : "") +
    text(x + 28, y, line.label, `fill="${colour("--ink")}"`)
  );
}

type Place = (value: number) => number;

function linePaths(line: Line, x: Place, y: Place, stroke: string): string {
  const raw = line.raw ? `<path d="${pathOf(line.x, line.raw, x, y)}" stroke="${stroke}" stroke-opacity="0.25"/>` : "";
  const dot = (at: number, i: number) =>
    `<circle cx="${place(x(at))}" cy="${place(y(line.y[i]!))}" r="2.5" fill="${stroke}"/>`;
  const dots = line.points ? line.x.map(dot) : [];
  return `${raw}<path d="${pathOf(line.x, line.y, x, y)}" ${strokeOf(line, stroke)}/>${dots.join("")}`;
}

function bandPath({ x: places, low, high }: Line, x: Place, y: Place, fill: string): string {
  if (!low || !high) return "";
  const there = places.map((at, i) => `${place(x(at))},${place(y(high[i]!))}`);
  const back = places.map((at, i) => `${place(x(at))},${place(y(low[i]!))}`).reverse();
  return `<polygon points="${[...there, ...back].join(" ")}" fill="${fill}" fill-opacity="0.15"/>`;
}

function pathOf(places: readonly number[], values: readonly number[], x: Place, y: Place): string {
  return places.map((at, i) => `${i === 0 ? "M" : "L"}${place(x(at))},${place(y(values[i]!))}`).join("");
}

function strokeOf({ width, dash }: Line, stroke: string): string {
  return `stroke="${stroke}" stroke-width="${width}"${dash.length > 0 ? ` stroke-dasharray="${dash.join(" ")}"` : ""}`;
}

function text(x: number, y: number, content: string, attributes: string): string {
  return `<text x="${place(x)}" y="${place(y)}" ${attributes}>${escaped(content)}</text>`;
}

const place = (value: number): string => String(Math.round(value * 10) / 10);

function escaped(content: string): string {
  return content.replace(
    /[&<>"]/g,
    (character) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[character]!,
  );
}
