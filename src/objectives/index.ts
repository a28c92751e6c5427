/** Every objective, by name and as functions. */

import { sigmoidLoss } from "./dpo.ts";
import { ipoLoss } from "./ipo.ts";
import { dftLoss, nllLoss } from "./likelihood.ts";

export { combine } from "./combine.ts";
export { defineObjective, type MethodName, type ObjectiveDefinition } from "./definition.ts";
export * from "./objective.ts";
export { definitions, type ObjectiveOptions, objectivesOf } from "./registry.ts";

/** DPO, for short. */
export const dpo = sigmoidLoss.create;
/** IPO, for short. */
export const ipo = ipoLoss.create;
/** Maximum likelihood, for short. */
export const nll = nllLoss.create;
/** Dynamic fine-tuning, for short. */
export const dft = dftLoss.create;
