/**
 * What all objectives over pairs share: the scores of chosen and rejected, and the metrics everybody knows.
 *
 * With a = log(pi(y_w|x) / pi_ref(y_w|x)) and c = log(pi(y_l|x) / pi_ref(y_l|x)) most of them are a function of the
 * scaled margin alone, z = beta (a - c): `marginObjective`. The others see both sides: `pairObjective`.
 */

import type { z } from "zod";
import { greaterOrEqual, mul, quotient, reshape, slice, sub, type Tensor, where } from "../tensor/index.ts";
import { defineObjective, type ObjectiveDefinition } from "./definition.ts";
import type { ScoredCompletions } from "./objective.ts";
import { beta, referenceFree } from "./options.ts";

export const pairRoles = ["chosen", "rejected"] as const;

/** A column of values of the chosen completions and one of the rejected, each [E]. */
export interface Pair {
  readonly chosen: Tensor;
  readonly rejected: Tensor;
}

/** Splits values of C = 2 E completions, chosen first in each pair. */
export function splitPairs(values: Tensor): Pair {
  const examples = quotient(values.shape[0]!, 2);
  const pairs = reshape(values, [examples, 2]);
  return {
    chosen: reshape(slice(pairs, 1, 0, 1), [examples]),
    rejected: reshape(slice(pairs, 1, 1, 2), [examples]),
  };
}

/** log pi(y | x) - log pi_ref(y | x) of both completions; reference-free: log pi(y | x) itself. */
export function logRatios(completions: ScoredCompletions, free: boolean): Pair {
  return splitPairs(free ? completions.policy : sub(completions.policy, completions.reference));
}

/**
 * Implicit rewards r(x, y) = beta log(pi(y | x) / pi_ref(y | x)) (Rafailov et al. 2023, section 5.1), under the names
 * that every trainer logs. A tie is not an accurate ranking.
 */
export function rewardMetrics(ratios: Pair, scale: number): Record<string, Tensor> {
  const chosen = mul(scale, ratios.chosen);
  const rejected = mul(scale, ratios.rejected);
  return {
    "rewards/chosen": chosen,
    "rewards/rejected": rejected,
    "rewards/margins": sub(chosen, rejected),
    "rewards/accuracies": where(greaterOrEqual(rejected, chosen), 0, 1),
  };
}

/** What a loss over pairs sees of each, [E]. */
export interface PairScores extends Pair {
  /** Scored tokens of each completion. */
  readonly lengths: Pair;
}

/** The options that every objective over pairs has. */
const pairOptions = { beta, referenceFree };
type PairOptions = typeof pairOptions;

type Described<Shape extends z.ZodRawShape> = Pick<
  ObjectiveDefinition<Shape>,
  "name" | "title" | "source" | "formula" | "use"
> & { readonly options?: Shape };

/** An objective over pairs, by its loss on the scores of both completions. */
export function pairObjective<Shape extends z.ZodRawShape = Record<never, never>>({
  loss,
  options,
  ...description
}: Described<Shape> & {
  readonly loss: (pair: PairScores, options: z.output<z.ZodObject<Shape & PairOptions>>) => Tensor;
}): ObjectiveDefinition<Shape & PairOptions> {
  return defineObjective({
    ...description,
    method: "dpo",
    rows: "pairs",
    options: { ...pairOptions, ...options } as Shape & PairOptions,
    build(settings) {
      const { beta: scale, referenceFree: free } = settings as z.output<z.ZodObject<PairOptions>>;
      return {
        name: description.name,
        roles: pairRoles,
        needsReference: !free,
        build(completions) {
          const ratios = logRatios(completions, free);
          const losses = loss({ ...ratios, lengths: splitPairs(completions.lengths) }, settings);
          return { losses, metrics: rewardMetrics(ratios, scale) };
        },
      };
    },
  });
}

/** An objective over pairs that is a function of the scaled margin z = beta (a - c) alone. */
export function marginObjective<Shape extends z.ZodRawShape = Record<never, never>>({
  loss,
  ...description
}: Described<Shape> & {
  readonly loss: (z: Tensor, options: z.output<z.ZodObject<Shape & PairOptions>>) => Tensor;
}): ObjectiveDefinition<Shape & PairOptions> {
  return pairObjective<Shape>({
    ...description,
    loss: ({ chosen, rejected }, options) => {
      const { beta: scale } = options as z.output<z.ZodObject<PairOptions>>;
      return loss(mul(scale, sub(chosen, rejected)), options);
    },
  });
}
