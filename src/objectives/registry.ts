/** Every objective, by the command that offers it. A new one is a file of its own and a line here. */

import type { MethodName, ObjectiveDefinition } from "./definition.ts";
import { sigmoidLoss } from "./dpo.ts";
import { ipoLoss } from "./ipo.ts";

export const definitions = [sigmoidLoss, ipoLoss] as const;

type Definition = (typeof definitions)[number];

/** The definitions of a method; the first is its default. */
export function objectivesOf(method: MethodName): readonly ObjectiveDefinition[] {
  return definitions.filter((definition) => definition.method === method) as unknown as readonly ObjectiveDefinition[];
}

type Options<D> = D extends { create(options?: infer O): unknown } ? NonNullable<O> : never;
type Intersection<U> = (U extends unknown ? (x: U) => void : never) extends (x: infer I) => void ? I : never;

/** All options of the objectives, each as a user may give it. */
export type ObjectiveOptions = Partial<Intersection<Options<Definition>>>;
