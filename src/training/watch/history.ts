/** What a run remembers of its numbers: all of it is in metrics.jsonl, so a resumed run remembers what the interrupted one did. */

import type { Metrics } from "../observer.ts";

/** Steps that a smoothed number is the mean of: a single batch's numbers jump too much to be judged by. */
export const WINDOW = 20;

export class History {
  /** The first training step. */
  first: Metrics | undefined;
  /** The last training steps, at most `WINDOW`. */
  readonly last: Metrics[] = [];
  readonly evaluations: Metrics[] = [];

  /** Adds a line of metrics.jsonl. */
  add(line: Metrics): void {
    if (!("loss" in line)) {
      this.evaluations.push(line);
      return;
    }
    this.first ??= line;
    this.last.push(line);
    if (this.last.length > WINDOW) this.last.shift();
  }

  /** The mean of a number over the last training steps; undefined where none has it. */
  recent(name: string): number | undefined {
    const values = this.last.flatMap((metrics) => metrics[name] ?? []);
    return values.length === 0 ? undefined : values.reduce((a, b) => a + b, 0) / values.length;
  }
}

/**
 * How much better the policy does on the rows that it has lately been trained on than on held-out ones, `eval_gap/NAME`.
 * In the first epoch a step's numbers are of rows that it had not seen, so the gap begins to tell of overfitting with the second.
 */
export function gaps(history: History, evaluation: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(
    ["rewards/margins", "rewards/accuracies"].flatMap((name) => {
      const [trained, held] = [history.recent(name), evaluation[`eval_${name}`]];
      return trained === undefined || held === undefined
        ? []
        : [[`eval_gap/${name.slice("rewards/".length)}`, trained - held]];
    }),
  );
}
