/** Direct Preference Optimization and the objectives that share its data and its reference: one call, one run directory. */

import { methods, resolveConfig, type TrainingOptions } from "./methods.ts";
import type { RunResult } from "./observer.ts";
import { type RunControl, tune } from "./run.ts";

export type DpoOptions = TrainingOptions;

/**
 * Tunes a model on preference pairs. Writes the run directory `output`; the result is `adapter/` or `model/` in it.
 * Throws PreftuneError with what to mend.
 */
export async function dpo(options: DpoOptions, control: RunControl = {}): Promise<RunResult> {
  return tune(resolveConfig(methods.dpo!, options), control);
}
