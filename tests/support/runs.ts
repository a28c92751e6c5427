/** What tests of whole runs share: interrupting one, and what two can be compared by. */

import type { RunControl } from "../../src/training/run.ts";
import { scratchFolder } from "./scratch.ts";

/** A scratch folder in which runs are. */
export function runsFolder() {
  const scratch = scratchFolder();
  return {
    ...scratch,
    /** The lines of a run's metrics.jsonl, timeless. */
    metricsOf: (...names: string[]) => scratch.lines(...names, "metrics.jsonl").map(timeless),
  };
}

/** Interrupts a run after this many of its steps, as Ctrl-C does; without a number it comes to its end. */
export function interruptAfter(count: number | undefined, control: RunControl = {}): RunControl {
  const abort = new AbortController();
  let steps = 0;
  return {
    signal: abort.signal,
    ...control,
    observer: {
      ...control.observer,
      onStep(metrics) {
        control.observer?.onStep?.(metrics);
        if (++steps === count) abort.abort();
      },
    },
  };
}

/** Metrics without what the clock says, which differs from run to run. */
export function timeless<T extends object>(metrics: T): T {
  return { ...metrics, examples_per_second: 0, tokens_per_second: 0, time: 0, memory_bytes: 0 };
}
