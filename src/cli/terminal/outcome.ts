/** What is said when a run has ended: its numbers before and after, and what the model says now. */

import type { Metrics, RunResult, Sample } from "../../training/observer.ts";
import { formatShare, formatSigned } from "./numbers.ts";
import { referenceText } from "./progress.ts";
import { type Paint, plain } from "./screen.ts";
import { columnLines } from "./table.ts";
import { padEnd, wrap } from "./text.ts";

interface Row {
  readonly label: string;
  readonly name: string;
  readonly format: (value: number) => string;
}

const rows: readonly Row[] = [
  { label: "loss", name: "loss", format: (value) => value.toFixed(4) },
  { label: "reward accuracy", name: "rewards/accuracies", format: (value) => formatShare(value) },
  { label: "reward margin", name: "rewards/margins", format: (value) => formatSigned(value) },
  { label: "KL on the data, nats", name: "kl", format: (value) => value.toFixed(3) },
  { label: "KL on samples, nats", name: "kl_samples", format: (value) => value.toFixed(3) },
  { label: "repeated 4-grams", name: "samples/repetition", format: (value) => formatShare(value) },
  { label: "samples that end", name: "samples/ended", format: (value) => formatShare(value) },
];

/** A small table of an evaluation's numbers before and after; empty where there are no two to compare. */
export function comparisonLines(
  { before, after }: Pick<RunResult, "before" | "after">,
  paint: Paint = plain,
): string[] {
  if (!before || !after || before.step === after.step) return [];
  const evaluated = "eval_loss" in after;
  const value = (metrics: Metrics, name: string) => metrics[evaluated ? `eval_${name}` : name];
  const cells = rows.flatMap(({ label, name, format }) => {
    const [first, last] = [value(before, name), value(after, name)];
    return first === undefined || last === undefined ? [] : [[label, format(first), format(last)] as const];
  });
  const rowsOf = evaluated ? "on held-out rows" : "on the training rows of a step";
  const title = [rowsOf, ...referenceText(after)].join(", ");
  return columnLines([[title, `step ${before.step}`, `step ${after.step}`], ...cells], paint, 3);
}

/** Columns narrower than this break nearly every line, so the answers go under each other. */
const narrowestColumn = 28;

/** A prompt with the reference's answer and the policy's, side by side where there is room. */
export function sampleLines(
  sample: Omit<Sample, "step" | "reference_tokens" | "policy_tokens">,
  width: number,
  paint: Paint = plain,
): string[] {
  const { prompt, reference, policy, reference_step: since = 0 } = sample;
  const before = since === 0 ? "before" : `step ${since}`;
  const gap = " │ ";
  const column = Math.floor((Math.min(width, 120) - gap.length) / 2);
  const question = wrap(shortPrompt(prompt), Math.min(width, 120)).map((line) => paint("bold", line));
  if (column < narrowestColumn) {
    const block = (title: string, text: string) => [
      paint("dim", title),
      ...wrap(text, width - 2).map((line) => `  ${line}`.trimEnd()),
    ];
    return [...question, ...block(before, reference), ...block("after", policy)];
  }
  const [left, right] = [wrap(reference, column), wrap(policy, column)];
  const heads = paint("dim", `${padEnd(before, column)}${gap}after`);
  const lines = Array.from({ length: Math.max(left.length, right.length) }, (_, i) =>
    `${padEnd(left[i] ?? "", column)}${gap}${right[i] ?? ""}`.trimEnd(),
  );
  return [...question, heads, ...lines];
}

/** The prompt's end, which is what the answers answer, without the special tokens that make a conversation of it. */
function shortPrompt(prompt: string, limit = 400): string {
  const text = prompt.replace(/<\|[^<>|]*\|>|<\/?s>/g, "").trim();
  return text.length <= limit ? text : `…${text.slice(-limit)}`;
}
