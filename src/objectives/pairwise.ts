/**
 * What all objectives over pairs share: the log-ratios of chosen and rejected,
 *
 *   a = log(pi(y_w|x) / pi_ref(y_w|x)),   c = log(pi(y_l|x) / pi_ref(y_l|x)),
 *
 * the metrics everybody knows, and the term that can be added to any of them: the chosen completion's negative
 * log-likelihood a token, RPO (Pang et al. 2024, "Iterative Reasoning Preference Optimization", arXiv 2404.19733):
 *
 *   L + rpoAlpha (-log pi(y_w | x) / n_w)
 *
 * which each of several objectives then has, so that their sum has it by the sum of their weights,
 * and the weight that each pair's whole loss can have (wpo.ts).
 * Most objectives are functions of one margin of a and c alone: margin.ts.
 */

import { z } from "zod";
import { ConfigError } from "../errors.ts";
import { div, greaterOrEqual, mul, sub, type Tensor, where } from "../tensor/index.ts";
import { defineObjective, type ObjectiveDefinition } from "./definition.ts";
import { desensitized, ldAlpha } from "./length-desensitized.ts";
import type { Objective, ScoredCompletions, StepContext } from "./objective.ts";
import { beta, referenceFree } from "./options.ts";
import { type Pair, splitPairs } from "./pair.ts";
import { pairWeights, wpo } from "./wpo.ts";

export const pairRoles = ["chosen", "rejected"] as const;

/**
 * Implicit rewards r(x, y) = beta log(pi(y | x) / pi_ref(y | x)) (Rafailov et al. 2023, section 5.1), under the names
 * that every trainer logs, and like there whatever the loss makes of the log-ratios. A tie is not an accurate ranking.
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

/** The log-ratios of each pair, and what they are made of: the policy's log-probabilities, the values of rows and step. */
export interface PairInputs extends PairScores, Pick<ScoredCompletions, "columns" | "step"> {
  readonly policy: Pair;
}

/** The options that every objective over pairs has. */
const pairOptions = {
  beta,
  referenceFree,
  ldAlpha,
  rpoAlpha: z
    .number()
    .min(0)
    .default(0)
    .describe(
      "weight of the chosen completion's negative log-likelihood a token, added to the loss (RPO), to each of several",
    ),
  wpo,
};
export type PairOptions = typeof pairOptions;
export type PairSettings = z.output<z.ZodObject<PairOptions>>;

export type Described<Shape extends z.ZodRawShape> = Pick<
  ObjectiveDefinition<Shape>,
  "name" | "title" | "source" | "formula" | "use"
> & { readonly options?: Shape };

type Settings<Shape extends z.ZodRawShape> = z.output<z.ZodObject<Shape & PairOptions>>;

/** An objective over pairs, by its loss on the scores of both completions. */
export function pairObjective<Shape extends z.ZodRawShape = Record<never, never>>({
  loss,
  options,
  columns,
  context,
  sorted = false,
  check,
  ...description
}: Described<Shape> & {
  readonly loss: (pair: PairInputs, options: Settings<Shape>) => Tensor;
  /** The values that its rows must carry. */
  readonly columns?: (options: Settings<Shape>) => Objective["columns"];
  /** What it must know of the whole step. */
  readonly context?: (options: Settings<Shape>) => StepContext | undefined;
  /** Its terms are of places in a step's order, not of its pairs: they have no weight of their own. */
  readonly sorted?: boolean;
  /** Throws ConfigError for options that don't go together. */
  readonly check?: (options: Settings<Shape>) => void;
}): ObjectiveDefinition<Shape & PairOptions> {
  return defineObjective({
    ...description,
    method: "dpo",
    rows: "pairs",
    options: { ...pairOptions, ...options } as Shape & PairOptions,
    build(settings) {
      const shared = settings as PairSettings;
      if (sorted && shared.wpo) {
        throw new ConfigError(
          `--wpo weighs each pair, and the terms of --loss ${description.name} are not of pairs: it sorts the step. Leave one of them out.`,
        );
      }
      check?.(settings);
      const wanted = columns?.(settings);
      const known = context?.(settings);
      return {
        name: description.name,
        roles: pairRoles,
        needsReference: !shared.referenceFree,
        ...(wanted && { columns: wanted }),
        ...(known && { context: known }),
        ...(shared.wpo && { rowStatistics: ["logCollision"] as const }),
        build(completions) {
          const { policy, reference } = desensitized(completions, shared.ldAlpha);
          const ratios = splitPairs(shared.referenceFree ? policy : sub(policy, reference));
          const inputs = { ...completions, ...ratios, policy: splitPairs(policy) };
          const own = loss({ ...inputs, lengths: splitPairs(completions.lengths) }, settings);
          const losses = shared.rpoAlpha === 0 ? own : sub(own, mul(shared.rpoAlpha, chosenMean(completions)));
          const metrics = rewardMetrics(ratios, shared.beta);
          if (!shared.wpo) return { losses, metrics };
          const weights = pairWeights(completions);
          return { losses: mul(weights, losses), metrics: { ...metrics, "wpo/weights": weights } };
        },
      };
    },
  });
}

/** log pi(y_w | x) / n_w [E]. */
function chosenMean({ policy, lengths }: ScoredCompletions): Tensor {
  return div(splitPairs(policy).chosen, splitPairs(lengths).chosen);
}
