/**
 * Completions that seem to have been cut off where they were made: they stop within a sentence or a code block, or many are exactly
 * as long as the longest, as a generator with a limit leaves them.
 */

import type { RowOrigin } from "../../data/example.ts";
import { type Check, type Finding, Tally } from "../check.ts";

/** Shorter answers ("yes", "Paris") need no full stop. */
const MIN_WORDS = 12;
/** A limit is this many completions of one length at the very end, this share of all, and more than in the tenth of lengths below. */
const PILE = { count: 5, share: 0.01, tokens: 32, below: 0.9 };

export function truncated(named: number): Check {
  const cut = new Tally(named);
  const longest = { tokens: 0, rows: [] as RowOrigin[] };
  const counts = new Map<number, number>();
  let [rows, completions] = [0, 0];
  const isLimit = (): boolean => {
    const { tokens } = longest;
    let below = 0;
    for (const [length, count] of counts) if (length < tokens && length > PILE.below * tokens) below += count;
    const count = counts.get(tokens) ?? 0;
    return tokens >= PILE.tokens && count > below && count >= Math.max(PILE.count, PILE.share * completions);
  };
  return {
    see({ origin, completions: all }) {
      rows++;
      const roles = all.filter(({ text }) => stopsWithin(text)).map(({ role }) => role);
      if (roles.length > 0) cut.add(origin, [...new Set(roles)].join(" and "));
      for (const { tokens } of all) {
        completions++;
        counts.set(tokens, (counts.get(tokens) ?? 0) + 1);
        if (tokens > longest.tokens) Object.assign(longest, { tokens, rows: [] });
        if (tokens === longest.tokens && longest.rows.length < named) longest.rows.push(origin);
      }
    },
    findings(): Finding[] {
      const count = counts.get(longest.tokens) ?? 0;
      return [
        ...cut.finding(
          {
            name: "completions that stop within a sentence",
            level: cut.count > rows / 20 ? "warning" : "note",
            why: "They end on a word, a comma or in an open code block, and then with an end token: the model learns to break off there.",
            remedy: "Sample them again with a larger limit, or remove them where the chosen completion is one.",
          },
          rows,
        ),
        ...(isLimit()
          ? [
              {
                name: "completions as long as a limit",
                level: "warning" as const,
                count,
                share: count / completions,
                rows: longest.rows.map((origin) => ({ origin, detail: `${longest.tokens} tokens` })),
                why: `${count} completions have exactly ${longest.tokens} tokens, and none has more: what made them had a limit and cut them off.`,
                remedy: "Sample them again with a larger limit, or remove them.",
              },
            ]
          : []),
      ];
    },
  };
}

/** Whether a text of some length ends where no sentence does. */
export function stopsWithin(text: string): boolean {
  const trimmed = text.trimEnd();
  if (wordCount(trimmed) < MIN_WORDS) return false;
  const fences = trimmed.match(/^\s*```/gm)?.length ?? 0;
  if (fences > 0) return fences % 2 === 1;
  const lastLine = trimmed.slice(trimmed.lastIndexOf("\n") + 1).trim();
  // Items of lists, headings, rows of tables, addresses and lines of verse end as they like.
  if (/^([-*•+#|>]|\d+[.)]|\S+:\s)/.test(lastLine) || endsInAddress(lastLine)) return false;
  if (trimmed.includes("\n") && wordCount(lastLine) < MIN_WORDS / 2) return false;
  return /[\p{L}\p{N},;([{–—-]$/u.test(trimmed);
}

function endsInAddress(line: string): boolean {
  return line.includes("://") && /\S:\/\/\S+$/.test(line);
}

function wordCount(text: string): number {
  let words = 0;
  for (let at = 0; words < MIN_WORDS; words++) {
    while (at < text.length && text.charCodeAt(at) <= 0x20) at++;
    if (at >= text.length) break;
    while (at < text.length && text.charCodeAt(at) > 0x20) at++;
  }
  return words;
}
