/** Every objective, by the command that offers it. A new one is a file of its own and a line here. */

import { alphapoLoss } from "./alphapo.ts";
import { cpoHingeLoss, cpoIpoLoss, cpoSigmoidLoss } from "./cpo.ts";
import type { MethodName, ObjectiveDefinition } from "./definition.ts";
import { sigmoidLoss } from "./dpo.ts";
import { ipoLoss } from "./ipo.ts";
import { nllLoss } from "./likelihood.ts";
import { orpoLoss } from "./orpo.ts";
import { simpoLoss } from "./simpo.ts";

export const definitions = [
  sigmoidLoss,
  ipoLoss,
  orpoLoss,
  simpoLoss,
  alphapoLoss,
  cpoSigmoidLoss,
  cpoHingeLoss,
  cpoIpoLoss,
  nllLoss,
] as const;

type Definition = (typeof definitions)[number];

/** The definitions of a method; the first is its default. */
export function objectivesOf(method: MethodName): readonly ObjectiveDefinition[] {
  return definitions.filter((definition) => definition.method === method) as unknown as readonly ObjectiveDefinition[];
}

type Options<D> = D extends { create(options?: infer O): unknown } ? NonNullable<O> : never;
type Intersection<U> = (U extends unknown ? (x: U) => void : never) extends (x: infer I) => void ? I : never;

/** All options of the objectives, each as a user may give it. */
export type ObjectiveOptions = Partial<Intersection<Options<Definition>>>;
