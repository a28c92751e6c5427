/** What the demo says of its film reviews. */

import type { DemoReport } from "../../demo/demo.ts";
import { type Review, tally } from "../../demo/reviews.ts";
import { formatShare } from "./numbers.ts";
import { sampleLines } from "./outcome.ts";
import { type Paint, plain } from "./screen.ts";
import { wrap } from "./text.ts";

/** Prompts that are shown with their reviews: the first, whatever they turned out to be. */
const SHOWN = 3;
const BAR = 30;

const INTRODUCTION =
  "A tiny language model, trained from nothing for this demo, writes reviews of films that do not exist: half of them praise, " +
  "half blame. DPO now shows it pairs of reviews of which the praising one is preferred. All numbers and texts below are " +
  "computed now, on this machine, in less than a minute.";

const JUDGEMENT =
  "A review counts as positive where words of praise outnumber words of blame, by the lists of the grammar that wrote the " +
  "training texts: sure for such reviews, no judge of English.";

export function introductionLines(width: number): string[] {
  return wrap(INTRODUCTION, Math.min(width, 100));
}

/** `before tuning: 98 of 200 reviews positive, 100 negative, 2 unclear` */
export function tallyLine(when: "before" | "after", reviews: readonly Review[]): string {
  const { positive, negative, unclear } = tally(reviews);
  return `${when} tuning: ${positive} of ${reviews.length} reviews positive, ${negative} negative, ${unclear} unclear`;
}

/** The first reviews side by side, the share of positive ones, and how far the model has moved. */
export function reviewLines({ before, after, divergence }: DemoReport, width: number, paint: Paint = plain): string[] {
  const textWidth = Math.min(width, 100);
  const pairs = before.slice(0, SHOWN).map((review, i) => {
    return { step: 0, prompt: review.question, reference: review.text, policy: after[i]!.text };
  });
  const { mean, standardError } = divergence;
  return [
    ...pairs.flatMap((pair) => [...sampleLines(pair, width, paint), ""]),
    paint("dim", `positive among ${after.length} reviews of films that no training text names, at temperature 1`),
    shareLine("before", before, paint),
    shareLine("after", after, paint),
    `KL(after || before) on the reviews after: ${mean.toFixed(2)} ± ${standardError.toFixed(2)} nats a review`,
    "",
    ...wrap(JUDGEMENT, textWidth).map((line) => paint("dim", line)),
  ];
}

function shareLine(label: string, reviews: readonly Review[], paint: Paint): string {
  const share = tally(reviews).positive / reviews.length;
  const full = Math.round(share * BAR);
  const bar = paint("green", "█".repeat(full)) + paint("dim", "░".repeat(BAR - full));
  return `${label.padEnd(6)}  ${bar}  ${formatShare(share)}`;
}
