/** Says how files come from the hub and go to it: a line that is written over, and one that stays for what took its time. */

import type { HubEvent } from "../../hub/index.ts";
import { formatBytes, formatDuration } from "./numbers.ts";
import type { Screen } from "./screen.ts";
import { clip } from "./text.ts";

/** Smaller transfers are not worth a line. */
const worthALine = 1e6;
/** Seconds between two lines on the way where a line can't be written over, and between two writings of one that can. */
const logEvery = 30;
const writeEvery = 0.1;
/** A pause shorter than this, in seconds, is nobody's business. */
const worthAWord = 2;

type Progress = Extract<HubEvent, { kind: "progress" }>;

export class TransferReporter {
  private start: { readonly time: number; readonly done: number; readonly key: string } | undefined;
  private shown = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly screen: Screen,
    /** Seconds that never go back. */
    private readonly now: () => number = () => performance.now() / 1000,
  ) {}

  onEvent(event: HubEvent): void {
    if (event.kind === "progress") this.onProgress(event);
    else if (event.kind === "note") this.screen.print(`note: ${event.text}`);
    else if (event.seconds >= worthAWord) {
      this.screen.print(`${event.name}: ${event.reason}; trying again in ${formatDuration(event.seconds)}`);
    }
  }

  private onProgress(progress: Progress): void {
    const { name, direction, total, done, files } = progress;
    const key = [direction, name, total, files].join();
    const time = this.now();
    if (this.start?.key !== key) {
      this.start = { time, done, key };
      this.shown = this.screen.interactive ? Number.NEGATIVE_INFINITY : time;
    }
    if (done === total) {
      this.finish(progress, this.start);
      return;
    }
    if (time - this.shown < (this.screen.interactive ? writeEvery : logEvery)) return;
    this.shown = time;
    const line = this.line(progress, time - this.start.time, done - this.start.done);
    if (this.screen.interactive) this.screen.status(clip(line, this.screen.width - 1));
    else this.screen.print(line);
  }

  private line({ direction, name, done, total }: Progress, seconds: number, moved: number): string {
    const parts = [`${direction}ing ${name}`, `${formatBytes(done)} of ${formatBytes(total)}`];
    // The first second's speed says little of the rest.
    if (seconds >= 1 && moved > 0) {
      parts.push(
        `${(moved / seconds / 1e6).toFixed(1)} MB/s`,
        `${formatDuration(((total - done) * seconds) / moved)} left`,
      );
    }
    return parts.join("  ");
  }

  private finish({ direction, name, total, done }: Progress, start: NonNullable<typeof this.start>): void {
    this.start = undefined;
    this.screen.clearStatus();
    if (total < worthALine || done === start.done) return;
    const seconds = formatDuration(this.now() - start.time);
    const before = start.done > 0 ? ` (${formatBytes(start.done)} were there)` : "";
    this.screen.print(`${direction}ed ${name}: ${formatBytes(total)} in ${seconds}${before}`);
  }
}
