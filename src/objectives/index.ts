/** Every objective, by name and as functions. */

import { dpo } from "./dpo.ts";
import { ipo } from "./ipo.ts";
import type { Objective } from "./objective.ts";

export { type DpoOptions, dpo } from "./dpo.ts";
export { type IpoOptions, ipo } from "./ipo.ts";
export { likelihood } from "./likelihood.ts";
export type { Objective, ObjectiveOutputs, ScoredCompletions } from "./objective.ts";

export interface ObjectiveSettings {
  readonly beta: number;
  readonly labelSmoothing: number;
  readonly referenceFree: boolean;
  readonly ipoSum: boolean;
}

/** What `--loss` names. */
export const objectives = {
  sigmoid: (s: ObjectiveSettings): Objective => dpo(s),
  ipo: (s: ObjectiveSettings): Objective => ipo({ ...s, sum: s.ipoSum }),
} as const;

export type LossName = keyof typeof objectives;
