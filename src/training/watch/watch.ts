/**
 * What watches over a run: its history, the warnings that follow from it, rows that may be labelled wrong, and the best
 * evaluation. It writes warnings.jsonl, suspects.jsonl and best.json; what it knows is in the run's logs and checkpoints.
 */

import type { TokenizedExample } from "../../data/example.ts";
import { RowWatch } from "../../diagnostics/suspects.ts";
import type { RunDirectory } from "../directory/run-directory.ts";
import type { Best, Metrics, RunObserver, Warning } from "../observer.ts";
import type { StepOutput } from "../step/engine.ts";
import { History } from "./history.ts";
import { bestEvaluation, checkBestMetric, keepsBest, stopReason } from "./stopping.ts";
import { type Rule, type RunView, warningsOf } from "./warnings.ts";

interface WatchOptions extends Omit<RunView, "history" | "step"> {
  readonly run: RunDirectory;
  readonly observer: RunObserver | undefined;
}

export class Watch {
  readonly history = new History();
  private readonly o: WatchOptions;
  private readonly watched: RowWatch;
  private readonly given = new Set<string>();

  constructor(options: WatchOptions) {
    this.o = options;
    this.watched = new RowWatch(options.train);
  }

  /** What a checkpoint keeps of each row. */
  get rows(): Readonly<Record<string, Float32Array>> {
    return this.watched.rows;
  }

  /** Remembers what the logs hold, once they are as they were at the checkpoint that the run goes on from. */
  recall(): void {
    const { run } = this.o;
    for (const line of run.read<Metrics>("metrics.jsonl")) this.history.add(line);
    for (const { name } of run.read<Warning>("warnings.jsonl")) this.given.add(name);
  }

  /** Looks at the settings and the data, before the first step. */
  begin(step: number): void {
    this.warn("start", step);
  }

  /** Looks at a step's or an evaluation's numbers, after they are written. Throws ConfigError where the best of them can't be told. */
  add(metrics: Metrics): void {
    this.history.add(metrics);
    checkBestMetric(this.o.config, metrics);
    this.warn("running", metrics.step);
  }

  private warn(when: Rule["when"], step: number): void {
    const { run, observer, ...view } = this.o;
    for (const warning of warningsOf(when, { ...view, history: this.history, step }, this.given)) {
      this.given.add(warning.name);
      run.append("warnings.jsonl", warning);
      observer?.onWarning?.(warning);
    }
  }

  /** Notes the margins of pairs that a step, counted from 1, is about to learn from. */
  note(examples: readonly TokenizedExample[], { metrics }: StepOutput, step: number): void {
    const margins = metrics["rewards/margins"];
    if (margins === undefined) return;
    examples.forEach((example, i) => {
      this.watched.note(example, margins[i]!, step);
    });
  }

  /** Writes the rows that are suspected now, where margins tell what was learned. Returns how many. */
  writeSuspects(): number {
    if (!this.watched.watches || !beganUndecided(this.history)) return 0;
    const suspects = this.watched.suspects();
    this.o.run.writeLines("suspects.jsonl", suspects);
    return suspects.length;
  }

  /** The best evaluation, where its values are kept. */
  get best(): Best | undefined {
    const { config } = this.o;
    return keepsBest(config) ? bestEvaluation(this.history, config.bestMetric) : undefined;
  }

  /** Why the run ends here; undefined where it goes on. */
  get stopReason(): string | undefined {
    return stopReason(this.o.config, this.history);
  }
}

/**
 * Whether rewards began near 0, as they do against a reference and of a new reward model. Other objectives begin with the
 * likelihoods of the model as it is, which say nothing of labels.
 */
function beganUndecided({ first }: History): boolean {
  const [low, high] = [first?.["gradient_weights/p10"], first?.["gradient_weights/p90"]];
  return low !== undefined && high !== undefined && low > 0.45 && high < 0.55;
}
