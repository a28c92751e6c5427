/** What `preftune inspect data` prints. */

import { formatLedger } from "../../data/ledger.ts";
import type { Finding, Level } from "../../inspection/check.ts";
import type { DataReport } from "../../inspection/data.ts";
import type { LengthDistribution } from "../../inspection/lengths.ts";
import { type Piece, type PreviewPart, type PreviewRow, placeOf } from "../../inspection/preview.ts";
import { histogramLines } from "./histogram.ts";
import { formatCount, formatShare } from "./numbers.ts";
import { type Paint, plain, type Style } from "./screen.ts";
import { padEnd, printable, wrap } from "./text.ts";

/** The report's lines, none wider than `width` but for the ledger's table. */
export function dataReportLines(report: DataReport, width: number, paint: Paint = plain): string[] {
  const heading = (text: string) => ["", paint("bold", text)];
  const isPlain = paint("bold", "x") === "x";
  return [
    paint("bold", `rows, as preftune ${report.method} reads them`),
    ...printable(formatLedger(report.ledger)).split("\n"),
    ...(report.evalLedger
      ? [...heading("held-out rows"), ...printable(formatLedger(report.evalLedger)).split("\n")]
      : []),
    ...report.preview.flatMap((row) => [
      ...heading(`as the model sees ${placeOf(row.origin)}`),
      ...rowLines(row, width, paint, isPlain),
    ]),
    ...heading("lengths in tokens"),
    ...report.lengths.flatMap((lengths) => lengthLines(lengths, paint)),
    fitLine(report),
    ...heading(report.findings.length === 0 ? "nothing found" : `found, the gravest first`),
    ...report.findings.flatMap((finding) => findingLines(finding, width, paint)),
  ];
}

function rowLines(row: PreviewRow, width: number, paint: Paint, isPlain: boolean): string[] {
  const cut = row.cut.length === 0 ? [] : [paint("yellow", `cut to fit: ${row.cut.join(", ")}`)];
  return [...cut, ...row.parts.flatMap((part) => partLines(part, width, paint, isPlain))];
}

const COLOURS: Readonly<Record<PreviewPart["role"], Style | undefined>> = {
  prompt: undefined,
  chosen: "green",
  rejected: "red",
  desirable: "green",
  undesirable: "red",
  best: "green",
  other: "cyan",
  text: "green",
  completion: "green",
};

/** Lines of a part's text that are shown. */
const MOST_LINES = 14;

/**
 * Scored tokens have their completion's colour, all others none. Without colours a part says how many are scored, and where only
 * some are, they stand between ⟦ and ⟧.
 */
function partLines(
  { role, tokens, scored, pieces }: PreviewPart,
  width: number,
  paint: Paint,
  isPlain: boolean,
): string[] {
  const counted =
    role === "prompt"
      ? `${tokenCount(tokens)}, none scored`
      : `${tokenCount(tokens)}, ${scored === tokens ? "all" : formatCount(scored)} scored`;
  const marks = isPlain && scored > 0 && scored < tokens;
  const style = (piece: Piece): Style | undefined =>
    piece.special ? "yellow" : piece.scored ? COLOURS[role] : undefined;
  const text = pieces
    .map((piece) => (marks && piece.scored ? `⟦${piece.text}⟧` : piece.text))
    .join("")
    .replaceAll("⟧⟦", "");
  // Wrapped first and painted after, by counting characters: a colour has no width.
  const styles = marks
    ? undefined
    : pieces.flatMap((piece) => Array.from({ length: printable(piece.text).length }, () => style(piece)));
  const lines = paintedLines(printable(text), styles, width - 4, paint);
  const shown =
    lines.length <= MOST_LINES
      ? lines
      : [
          ...lines.slice(0, MOST_LINES / 2),
          paint("dim", `… ${lines.length - MOST_LINES} lines …`),
          ...lines.slice(-MOST_LINES / 2),
        ];
  return [`  ${paint("bold", role)}  ${paint("dim", counted)}`, ...shown.map((line) => `    ${line}`)];
}

function tokenCount(n: number): string {
  return `${formatCount(n)} token${n === 1 ? "" : "s"}`;
}

/** A text's wrapped lines, each character in the style that stands at its place. */
function paintedLines(
  text: string,
  styles: readonly (Style | undefined)[] | undefined,
  width: number,
  paint: Paint,
): string[] {
  let at = 0;
  return wrap(text, width).map((line) => {
    const start = line === "" ? at : text.indexOf(line, at);
    at = start + line.length;
    if (styles === undefined) return line;
    let painted = "";
    for (let i = start; i < at; ) {
      let end = i + 1;
      while (end < at && styles[end] === styles[i]) end++;
      const run = text.slice(i, end);
      painted += styles[i] === undefined ? run : paint(styles[i]!, run);
      i = end;
    }
    return painted;
  });
}

function lengthLines({ of, mean, percentiles, histogram }: LengthDistribution, paint: Paint): string[] {
  const p = (percent: number) => formatCount(percentiles[percent] ?? 0);
  const figures = `mean ${mean.toFixed(0)}, median ${p(50)}, 90 % up to ${p(90)}, 99 % up to ${p(99)}, longest ${p(100)}`;
  return [`  ${padEnd(of, 30)}${paint("dim", figures)}`, ...histogramLines(histogram).map((line) => `    ${line}`)];
}

function fitLine({ shortened, limits, ledger, lengths }: DataReport): string {
  const whole = lengths.at(-1)!.percentiles;
  const fits = `--max-length ${whole[95]} would hold 95 % whole, ${whole[100]} all`;
  return `  --max-length ${limits.maxLength} (prompts to ${limits.maxPromptLength} at least) shortens ${formatCount(ledger.shortened)} of ${formatCount(ledger.used)} rows (${formatShare(shortened)}); ${fits}.`;
}

const MARKS: Readonly<Record<Level, Style>> = { problem: "red", warning: "yellow", note: "cyan" };

function findingLines(
  { name, level, count, share, rows, why, remedy }: Finding,
  width: number,
  paint: Paint,
): string[] {
  const indented = (text: string) => wrap(text, width - 10).map((line) => `          ${line}`);
  return [
    `${paint(MARKS[level], padEnd(level, 10))}${paint("bold", printable(name))}  ${formatCount(count)} (${formatShare(share)})`,
    ...indented(why),
    ...indented(`→ ${remedy}`),
    ...rows.flatMap(({ origin, detail }) =>
      wrap(`${placeOf(origin)}${detail === undefined ? "" : `  ${detail}`}`, width - 12).map((line) =>
        paint("dim", `            ${line}`),
      ),
    ),
  ];
}
