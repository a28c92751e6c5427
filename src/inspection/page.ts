/**
 * The report as one HTML file: nothing of it comes from elsewhere, it has no scripts, and it follows the reader's light or dark
 * setting. Colour never says anything alone: what is special or scored is marked by a frame or an underline too.
 */

import { formatLedger } from "../data/ledger.ts";
import type { Finding } from "./check.ts";
import type { DataReport } from "./data.ts";
import type { LengthDistribution } from "./lengths.ts";
import { type Piece, type PreviewPart, type PreviewRow, placeOf } from "./preview.ts";

export function dataReportPage(report: DataReport): string {
  const { ledger, evalLedger, preview, lengths, findings } = report;
  const files = ledger.files.join(", ");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(`Rows of ${files}`)}</title>
<style>${style}</style>
</head>
<body>
<main>
<header>
<h1>${count(ledger.used)} of ${count(ledger.read)} rows are used</h1>
<p>${escaped(files)}, as <code>preftune ${report.method}</code> reads them for <code>${escaped(report.model)}</code>. ${limitText(report)}</p>
</header>
<section><h2>Found</h2>${findings.length === 0 ? "<p>Nothing.</p>" : findings.map(findingHtml).join("")}</section>
<section><h2>As the model sees them</h2>${legend}${preview.map(rowHtml).join("")}</section>
<section><h2>Lengths in tokens</h2><div class="charts">${lengths.map(chart).join("")}</div></section>
<section><h2>Ledger</h2><pre>${escaped(formatLedger(ledger))}</pre>${evalLedger ? `<h3>Held-out rows</h3><pre>${escaped(formatLedger(evalLedger))}</pre>` : ""}</section>
</main>
</body>
</html>
`;
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character]!);
}

const count = (n: number) => n.toLocaleString("en-US");
const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

function limitText({ limits, shortened, ledger }: DataReport): string {
  return `At most ${count(limits.maxLength)} tokens: ${count(ledger.shortened)} rows (${percent(shortened)}) are shortened.`;
}

function findingHtml({ name, level, count: n, share, rows, why, remedy }: Finding): string {
  const places = rows.map(
    ({ origin, detail }) =>
      `<li><code>${escaped(placeOf(origin))}</code>${detail === undefined ? "" : ` ${escaped(detail)}`}</li>`,
  );
  return `<article class="${level}"><h3><span class="level">${level}</span> ${escaped(name)} <small>${count(n)} (${percent(share)})</small></h3>
<p>${escaped(why)}</p><p class="remedy">${escaped(remedy)}</p>${places.length === 0 ? "" : `<details><summary>The first rows</summary><ul>${places.join("")}</ul></details>`}</article>`;
}

const legend = `<p class="legend"><span class="special">special token</span> <span class="scored chosen">scored, preferred</span> <span class="scored rejected">scored, not preferred</span> not scored</p>`;

const preferred: ReadonlySet<string> = new Set(["chosen", "desirable", "best", "text", "completion"]);

function rowHtml({ origin, parts, cut }: PreviewRow): string {
  const note = cut.length === 0 ? "" : `<p>Cut to fit: ${escaped(cut.join(", "))}.</p>`;
  return `<article><h3><code>${escaped(placeOf(origin))}</code></h3>${note}${parts.map(partHtml).join("")}</article>`;
}

function partHtml({ role, tokens, scored, pieces }: PreviewPart): string {
  const side = preferred.has(role) ? "chosen" : "rejected";
  return `<h4>${role} <small>${count(tokens)} token${tokens === 1 ? "" : "s"}, ${count(scored)} scored</small></h4><div class="text">${pieces.map((piece) => pieceHtml(piece, side)).join("")}</div>`;
}

function pieceHtml({ text, special, scored }: Piece, side: string): string {
  const kinds = [...(special ? ["special"] : []), ...(scored ? ["scored", side] : [])];
  return kinds.length === 0 ? escaped(text) : `<span class="${kinds.join(" ")}">${escaped(text)}</span>`;
}

const CHART = { width: 320, height: 96, axis: 16 };

function chart({ of, mean, percentiles, histogram }: LengthDistribution): string {
  const { width, height, axis } = CHART;
  const most = Math.max(1, ...histogram.map((bin) => bin.count));
  const step = width / Math.max(1, histogram.length);
  const bars = histogram.map(({ from, to, count: n }, i) => {
    const size = ((height - axis) * n) / most;
    const range = to === undefined ? `${from} or more` : `${from} to ${to - 1}`;
    return `<rect x="${(i * step).toFixed(1)}" y="${(height - axis - size).toFixed(1)}" width="${(step - 1).toFixed(1)}" height="${size.toFixed(1)}"><title>${range}: ${count(n)}</title></rect>`;
  });
  const last = histogram.at(-1);
  const end = last === undefined ? "" : last.to === undefined ? `${last.from}+` : String(last.to);
  const figures = [50, 90, 99, 100].map(
    (p) =>
      `<div><dt>${p === 50 ? "median" : p === 100 ? "longest" : `${p} %`}</dt><dd>${count(percentiles[p] ?? 0)}</dd></div>`,
  );
  return `<figure><figcaption>${of}</figcaption><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="Histogram of lengths: ${of}">${bars.join("")}<text x="0" y="${height - 2}">${histogram[0]?.from ?? 0}</text><text x="${width}" y="${height - 2}" text-anchor="end">${end}</text></svg><dl><div><dt>mean</dt><dd>${mean.toFixed(0)}</dd></div>${figures.join("")}</dl></figure>`;
}

const style = `
:root { color-scheme: light dark; --ink: light-dark(#1c1f23, #e6e6e3); --paper: light-dark(#fdfdfb, #16181b); --faint: light-dark(#5d646c, #9aa1a9); --line: light-dark(#d9dcd6, #34383d); --box: light-dark(#f4f5f1, #1e2125); --good: light-dark(#116329, #7ee2a0); --bad: light-dark(#a40e26, #ff9aa8); --warn: light-dark(#7a5200, #f0c674); --bar: light-dark(#4f6d8f, #8fb0d6); }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; overflow-wrap: anywhere; }
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; border-bottom: 1px solid var(--line); padding-bottom: .2rem; }
h3 { font-size: 1rem; margin: 0 0 .3rem; }
h4 { font-size: .9rem; margin: .8rem 0 .2rem; }
small { color: var(--faint); font-weight: normal; }
p { margin: .3rem 0; }
code, pre, .text { font-family: ui-monospace, monospace; font-size: .875rem; }
article { border: 1px solid var(--line); border-radius: .4rem; padding: .8rem 1rem; margin: .7rem 0; background: var(--box); }
.level { display: inline-block; font-size: .75rem; border: 1px solid currentcolor; border-radius: .8rem; padding: 0 .5rem; margin-right: .3rem; }
.problem .level { color: var(--bad); } .warning .level { color: var(--warn); } .note .level { color: var(--faint); }
.remedy::before { content: "→ "; }
.text { white-space: pre-wrap; border-left: 3px solid var(--line); padding-left: .7rem; }
.special { color: var(--warn); border: 1px solid currentcolor; border-radius: .2rem; padding: 0 .15rem; }
.scored { text-decoration: underline; text-decoration-thickness: 1px; text-underline-offset: .2em; }
.scored.chosen:not(.special) { color: var(--good); } .scored.rejected:not(.special) { color: var(--bad); }
.legend { color: var(--faint); font-size: .875rem; } .legend span { margin-right: .8rem; }
pre { overflow-x: auto; white-space: pre; padding: .8rem 1rem; background: var(--box); border: 1px solid var(--line); border-radius: .4rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); gap: 1.2rem; }
figure { margin: 0; } figcaption { font-weight: 600; font-size: .9rem; }
svg { width: 100%; height: auto; } rect { fill: var(--bar); } svg text { fill: var(--faint); font-size: 11px; }
dl { display: flex; flex-wrap: wrap; gap: .1rem 1rem; margin: .2rem 0; font-size: .85rem; } dl div { display: flex; gap: .35rem; } dt { color: var(--faint); } dd { margin: 0; font-variant-numeric: tabular-nums; }
ul { margin: .4rem 0 0; padding-left: 1.2rem; } summary { cursor: pointer; color: var(--faint); }
`;
