/** Every objective, by the command that offers it. A new one is a file of its own and a line here. */

import { alphapoLoss } from "./alphapo.ts";
import { aotLoss } from "./aot.ts";
import { aotUnpairedLoss } from "./aot-unpaired.ts";
import { apoDownLoss } from "./apo-down.ts";
import { apoZeroLoss } from "./apo-zero.ts";
import { bcoLoss } from "./bco.ts";
import { bcoPairLoss } from "./bco-pair.ts";
import { bradleyTerryLoss } from "./bradley-terry.ts";
import { sftLoss } from "./chosen-likelihood.ts";
import { cpoHingeLoss, cpoIpoLoss, cpoSigmoidLoss } from "./cpo.ts";
import type { MethodName, ObjectiveDefinition } from "./definition.ts";
import { discopopLoss } from "./discopop.ts";
import { sigmoidLoss } from "./dpo.ts";
import { exoPairLoss } from "./exo-pair.ts";
import { hingeLoss } from "./hinge.ts";
import { ipoLoss } from "./ipo.ts";
import { apoZeroUnpairedLoss, ktoLoss } from "./kto.ts";
import { dftLoss, nllLoss } from "./likelihood.ts";
import { mpoLoss } from "./mpo.ts";
import { ncaPairLoss } from "./nca-pair.ts";
import { orpoLoss } from "./orpo.ts";
import { plackettLuceLoss } from "./plackett-luce.ts";
import { plackettLuceRewardLoss } from "./plackett-luce-reward.ts";
import { robustLoss } from "./robust.ts";
import { sigmoidNormLoss } from "./sigmoid-norm.ts";
import { simpoLoss } from "./simpo.ts";
import { sppoHardLoss } from "./sppo-hard.ts";
import { tdpo1Loss, tdpo2Loss } from "./tdpo.ts";

export const definitions = [
  sigmoidLoss,
  hingeLoss,
  ipoLoss,
  robustLoss,
  exoPairLoss,
  ncaPairLoss,
  bcoPairLoss,
  sppoHardLoss,
  aotLoss,
  aotUnpairedLoss,
  apoZeroLoss,
  apoDownLoss,
  discopopLoss,
  sigmoidNormLoss,
  tdpo1Loss,
  tdpo2Loss,
  sftLoss,
  plackettLuceLoss,
  orpoLoss,
  simpoLoss,
  alphapoLoss,
  cpoSigmoidLoss,
  cpoHingeLoss,
  cpoIpoLoss,
  mpoLoss,
  ktoLoss,
  apoZeroUnpairedLoss,
  bcoLoss,
  nllLoss,
  dftLoss,
  bradleyTerryLoss,
  plackettLuceRewardLoss,
] as const;

type Definition = (typeof definitions)[number];

/** The definitions of a method; the first is its default. */
export function objectivesOf(method: MethodName): readonly ObjectiveDefinition[] {
  return definitions.filter((definition) => definition.method === method) as unknown as readonly ObjectiveDefinition[];
}

/** An objective without options takes Record<string, never>, which would forbid all others'. */
type Named<O> = string extends keyof O ? Record<never, never> : O;
type Options<D> = D extends { create(options?: infer O): unknown } ? Named<NonNullable<O>> : never;
type Intersection<U> = (U extends unknown ? (x: U) => void : never) extends (x: infer I) => void ? I : never;

/** All options of the objectives, each as a user may give it. */
export type ObjectiveOptions = Partial<Intersection<Options<Definition>>>;
