/** What is said when a run is asked to stop, and when it has. */

import type { RunResult } from "../training/observer.ts";
import { commandLine } from "./shell.ts";

export const stoppingText = "preftune: finishing this step, then saving; Ctrl-C again to stop at once.";

/** How far the run came, and the command that goes on with it. */
export function stoppedText({ step, steps, output }: RunResult): string {
  const resume = commandLine("preftune", "dpo", "--resume", "--output", output);
  return `preftune: stopped after step ${step} of ${steps}. Go on with:\n  ${resume}`;
}
