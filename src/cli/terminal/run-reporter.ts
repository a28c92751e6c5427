/** Tells a person at a terminal, or a log file, how a run goes. */

import type { HubEvent } from "../../hub/index.ts";
import type { Metrics, RunObserver, RunResult, RunSummary, Warning } from "../../training/observer.ts";
import { comparisonLines, sampleLines } from "./outcome.ts";
import { evaluationLine, progressLine, RecentSteps } from "./progress.ts";
import type { Screen } from "./screen.ts";
import { summaryLines } from "./summary.ts";
import { clip, textWidth } from "./text.ts";
import { TransferReporter } from "./transfer.ts";
import { findingLines, warningLines } from "./warnings.ts";

/** How many lines of training steps a log gets. */
const loggedSteps = 10;
const shownSamples = 2;

type Stage = Parameters<NonNullable<RunObserver["onStage"]>>[0];

const stages: Partial<Record<Stage, string>> = {
  opening: "opening the model",
  reading: "reading the data",
  loading: "reading the weights",
  compiling: "compiling the programs",
  checking: "checking that the run starts right",
  evaluating: "evaluating",
  sampling: "writing samples",
  saving: "saving",
};

export class RunReporter implements RunObserver {
  private steps = 0;
  private recent: RecentSteps | undefined;
  private readonly transfer: TransferReporter;

  constructor(
    private readonly screen: Screen,
    /** Seconds that never go back. */
    private readonly now: () => number = () => performance.now() / 1000,
  ) {
    this.transfer = new TransferReporter(screen, now);
  }

  onHub(event: HubEvent): void {
    this.transfer.onEvent(event);
  }

  onStage(stage: Stage): void {
    const text = stages[stage];
    if (text !== undefined) this.screen.status(this.progressText(`${text} ...`));
  }

  onStart(summary: RunSummary): void {
    if (this.recent !== undefined) this.screen.print("");
    this.steps = summary.steps;
    this.recent = new RecentSteps(summary.steps, summary.unit);
    this.screen.print(...summaryLines(summary, this.screen.width, this.screen.paint), "");
  }

  onStep(metrics: Metrics): void {
    this.recent?.add(metrics, this.now());
    const every = Math.ceil(this.steps / loggedSteps);
    if (this.screen.interactive) this.screen.status(this.progressText());
    else if (metrics.step % every === 0 || metrics.step === this.steps) this.screen.print(this.progressText());
  }

  onEvaluation(metrics: Metrics): void {
    this.screen.print(evaluationLine(metrics, this.steps));
  }

  onWarning(warning: Warning): void {
    this.screen.print(...warningLines(warning, this.screen.width, this.screen.paint));
  }

  /** The run's numbers and answers, before and after, and what else there is to look at. */
  finish(result: RunResult): void {
    const { screen } = this;
    const { before, after, samples } = result;
    if (this.recent === undefined) screen.print("The run had come to its end already.");
    const comparison = comparisonLines({ before, after }, screen.paint);
    if (comparison.length > 0) screen.print("", ...comparison);
    const last = samples.at(-1)?.step;
    for (const sample of samples.filter(({ step }) => step === last).slice(0, shownSamples)) {
      screen.print("", ...sampleLines(sample, screen.width, screen.paint));
    }
    screen.print(...findingLines(result, screen.paint));
  }

  /** Takes away the line that is written over, so that what follows stands alone. */
  clear(): void {
    this.screen.clearStatus();
  }

  /** How training goes, with what is being done besides at its end. */
  private progressText(besides = ""): string {
    const room = this.screen.width - 1;
    if (this.recent === undefined || this.recent.isEmpty) return clip(besides, room);
    const progress = progressLine(this.recent.progress(), room - textWidth(besides) - 2);
    return clip(besides === "" ? progress : `${progress}  ${besides}`, room);
  }
}
