/** What is said when a run is asked to stop, and when it has. */

import { commandLine } from "../command-line.ts";
import type { MethodName } from "../objectives/index.ts";
import type { RunResult } from "../training/observer.ts";

export const stoppingText = "preftune: stopping once all is saved; Ctrl-C again to stop at once.";

/** Why a run ended of itself before its last step, and which of its evaluations the result is of. */
export function endedText({ step, steps, stopped, best }: RunResult): string | undefined {
  const of = best === undefined || best.step === step ? "" : ` The result is the model of step ${best.step}.`;
  if (stopped !== undefined) return `stopped after step ${step} of ${steps}: ${stopped}.${of}`;
  return of === "" ? undefined : `${of.trim()} It was the best in ${best!.metric}.`;
}

/** How far the run came, and the command that goes on with it. */
export function stoppedText(method: MethodName, { part, step, steps, output, interrupted }: RunResult): string {
  const resume = commandLine("preftune", method, "--resume", "--output", output);
  const asked = interrupted === "stop file" ? " as asked by the file stop," : "";
  const where = part === undefined ? "" : ` in its ${part} part`;
  return `preftune: stopped${asked}${where} after step ${step} of ${steps}. Go on with:\n  ${resume}`;
}
