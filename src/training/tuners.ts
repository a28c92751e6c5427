/** The methods of training as functions: one call, one run directory. */

import type { MethodName } from "../objectives/index.ts";
import { methods, type PairSettings, resolveConfig, type TrainingOptions, type TurnSettings } from "./methods.ts";
import type { RunResult } from "./observer.ts";
import { type RunControl, tune } from "./run.ts";
import type { RegularizationSettings } from "./step/regularization.ts";
import type { SftFirstSettings, SupervisedSettings } from "./supervised.ts";

/**
 * Tunes a model. Writes the run directory `output`; the result is `adapter/` or `model/` in it. Throws PreftuneError with
 * what to mend.
 */
type Tuner<Own> = (options: TrainingOptions & Own, control?: RunControl) => Promise<RunResult>;

/** `Own` are the settings of this method alone. */
function tuner<Own = unknown>(name: MethodName): Tuner<Own> {
  return async (options, control = {}) => tune(resolveConfig(methods[name]!, options), control);
}

/** Direct Preference Optimization and the objectives that share its data and its reference. */
export const dpo = tuner<PairSettings & TurnSettings & SftFirstSettings>("dpo");
/** Odds Ratio Preference Optimization. */
export const orpo = tuner<PairSettings & TurnSettings>("orpo");
/** Simple Preference Optimization, and AlphaPO as one of its losses. */
export const simpo = tuner<PairSettings & TurnSettings>("simpo");
/** Contrastive Preference Optimization. */
export const cpo = tuner<PairSettings & TurnSettings>("cpo");
/** Maximum Preference Optimization, with reference data of its own. */
export const mpo = tuner<PairSettings & TurnSettings & RegularizationSettings>("mpo");
/** Kahneman-Tversky Optimization, on labelled completions. */
export const kto = tuner<TurnSettings>("kto");
/** Binary Classifier Optimization, on labelled completions. */
export const bco = tuner<TurnSettings>("bco");
/** Supervised fine-tuning: next-token likelihood of completions, conversations or texts. */
export const sft = tuner<SupervisedSettings>("sft");
/** A Bradley-Terry reward model: the result is `model/`, a sequence classifier with one label. */
export const reward = tuner<PairSettings>("reward");

export type DpoOptions = TrainingOptions & PairSettings & TurnSettings & SftFirstSettings;
export type MpoOptions = TrainingOptions & PairSettings & TurnSettings & RegularizationSettings;
export type SftOptions = TrainingOptions & SupervisedSettings;
