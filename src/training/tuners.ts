/** The methods of training as functions: one call, one run directory. */

import type { MethodName } from "../objectives/index.ts";
import { methods, resolveConfig, type TrainingOptions } from "./methods.ts";
import type { RunResult } from "./observer.ts";
import { type RunControl, tune } from "./run.ts";

/**
 * Tunes a model. Writes the run directory `output`; the result is `adapter/` or `model/` in it. Throws PreftuneError with
 * what to mend.
 */
type Tuner = (options: TrainingOptions, control?: RunControl) => Promise<RunResult>;

function tuner(name: MethodName): Tuner {
  return async (options, control = {}) => tune(resolveConfig(methods[name]!, options), control);
}

/** Direct Preference Optimization and the objectives that share its data and its reference. */
export const dpo = tuner("dpo");
/** Odds Ratio Preference Optimization. */
export const orpo = tuner("orpo");
/** Simple Preference Optimization, and AlphaPO as one of its losses. */
export const simpo = tuner("simpo");
/** Contrastive Preference Optimization. */
export const cpo = tuner("cpo");
/** A Bradley-Terry reward model: the result is `model/`, a sequence classifier with one label. */
export const reward = tuner("reward");

export type DpoOptions = TrainingOptions;
