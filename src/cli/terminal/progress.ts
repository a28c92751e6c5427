/** The line that says how training goes. */

import type { Metrics } from "../../training/observer.ts";
import { formatCount, formatDuration, formatRate, formatShare, formatSigned } from "./numbers.ts";
import { clip, textWidth } from "./text.ts";

export interface Progress {
  readonly step: number;
  readonly steps: number;
  readonly loss: number;
  readonly margin: number | undefined;
  readonly accuracy: number | undefined;
  readonly examplesPerSecond: number;
  /** What an example is called. */
  readonly unit: string;
  /** Undefined until it can be told. */
  readonly secondsLeft: number | undefined;
}

/** One line of at most `width` cells: parts that have no room are left out, the least important first. */
export function progressLine(progress: Progress, width: number): string {
  const { step, steps, loss, margin, accuracy, examplesPerSecond, unit, secondsLeft } = progress;
  const count = formatCount(steps);
  const parts = [
    { text: `step ${formatCount(step).padStart(count.length)}/${count}`, rank: 0 },
    { text: `loss ${loss.toFixed(4)}`, rank: 1 },
    { text: margin === undefined ? "" : `margin ${formatSigned(margin)}`, rank: 4 },
    { text: accuracy === undefined ? "" : `accuracy ${formatShare(accuracy, 0)}`, rank: 3 },
    { text: `${formatRate(examplesPerSecond)} ${unit}/s`, rank: 5 },
    { text: secondsLeft === undefined || step === steps ? "" : `${formatDuration(secondsLeft)} left`, rank: 2 },
  ].filter(({ text }) => text !== "");
  const separator = "  ";
  const line = () => parts.map(({ text }) => text).join(separator);
  while (parts.length > 1 && textWidth(line()) > width) {
    const least = parts.reduce((a, b) => (b.rank > a.rank ? b : a));
    parts.splice(parts.indexOf(least), 1);
  }
  return clip(line(), width);
}

/** What an evaluation says of held-out examples and of the policy's own samples, as a line that stays. */
export function evaluationLine(metrics: Metrics, steps: number): string {
  const count = formatCount(steps);
  const [loss, margin, accuracy] = ["loss", "rewards/margins", "rewards/accuracies"].map(
    (name) => metrics[`eval_${name}`],
  );
  const divergence = divergenceText(metrics);
  return [
    `eval ${formatCount(metrics.step).padStart(count.length)}/${count}`,
    ...(loss === undefined ? [] : [`loss ${loss.toFixed(4)}`]),
    ...(margin === undefined ? [] : [`margin ${formatSigned(margin)}`]),
    ...(accuracy === undefined ? [] : [`accuracy ${formatShare(accuracy)}`]),
    ...(divergence === undefined ? [] : [divergence]),
    ...referenceText(metrics),
  ].join("  ");
}

/** What the numbers are measured against, where it is a later step's policy. */
export function referenceText({ reference_step: step }: Metrics): string[] {
  return step === undefined || step === 0 ? [] : [`against step ${step}`];
}

/** On the policy's samples where there are any, else on the data. */
function divergenceText({ eval_kl_samples, eval_kl_samples_stderr, eval_kl }: Metrics): string | undefined {
  if (eval_kl_samples !== undefined)
    return `KL on samples ${eval_kl_samples.toFixed(2)} ± ${eval_kl_samples_stderr!.toFixed(2)}`;
  return eval_kl === undefined ? undefined : `KL ${eval_kl.toFixed(3)}`;
}

/** The last steps, from which the progress line takes means: a single batch's numbers jump too much to be read. */
export class RecentSteps {
  private readonly steps: { readonly metrics: Metrics; readonly at: number }[] = [];

  constructor(
    private readonly total: number,
    private readonly unit: string,
    private readonly size = 10,
  ) {}

  /** Adds a step that ended at a time in seconds. */
  add(metrics: Metrics, at: number): void {
    this.steps.push({ metrics, at });
    if (this.steps.length > this.size) this.steps.shift();
  }

  get isEmpty(): boolean {
    return this.steps.length === 0;
  }

  progress(): Progress {
    const first = this.steps[0]!;
    const last = this.steps.at(-1)!;
    const { step } = last.metrics;
    // Between ends of steps, so that evaluations and checkpoints on the way count into the time left.
    const pace = this.steps.length < 2 ? undefined : (last.at - first.at) / (this.steps.length - 1);
    return {
      step,
      steps: this.total,
      loss: this.mean("loss")!,
      margin: this.mean("rewards/margins"),
      accuracy: this.mean("rewards/accuracies"),
      examplesPerSecond: this.mean("examples_per_second")!,
      unit: this.unit,
      secondsLeft: pace === undefined ? undefined : pace * (this.total - step),
    };
  }

  private mean(name: string): number | undefined {
    const values = this.steps.flatMap(({ metrics }) => metrics[name] ?? []);
    return values.length === 0 ? undefined : values.reduce((a, b) => a + b, 0) / values.length;
  }
}
