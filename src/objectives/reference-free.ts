/**
 * What objectives over pairs without a reference share: a preference term of the policy's own log-probabilities, and
 * maximum likelihood of the chosen completions beside it,
 *
 *   L = preference(y_w, y_l) + weight * NLL,   NLL = -sum log pi(y_w|x) / sum |y_w|   over the pairs of the step
 *
 * NLL is in nats a token. It is the mean over all chosen tokens of the optimizer step, as in the methods' official code
 * and in TRL, which take it over a micro-batch: there the loss depends on how the step is cut up, here it does not.
 */

import type { z } from "zod";
import { add, div, mul, neg, type Tensor } from "../tensor/index.ts";
import { meanChosenTokens } from "./chosen-likelihood.ts";
import { defineObjective, type ObjectiveDefinition } from "./definition.ts";
import type { ScoredCompletions } from "./objective.ts";
import { type Pair, splitPairs } from "./pair.ts";
import { type PairScores, pairRoles, rewardMetrics } from "./pairwise.ts";

/** The preference term of each pair [E], the rewards that it compares, and further metrics. */
interface Preference {
  readonly losses: Tensor;
  readonly rewards: Pair;
  readonly metrics?: Readonly<Record<string, Tensor>>;
}

type Described<Shape extends z.ZodRawShape> = Pick<
  ObjectiveDefinition<Shape>,
  "name" | "method" | "title" | "source" | "formula" | "use" | "options"
>;

/** An objective over pairs without a reference, by its preference term on summed log-probabilities. */
export function referenceFreeObjective<Shape extends z.ZodRawShape>({
  preference,
  nllWeight,
  ...description
}: Described<Shape> & {
  readonly preference: (pair: PairScores, options: z.output<z.ZodObject<Shape>>) => Preference;
  readonly nllWeight: (options: z.output<z.ZodObject<Shape>>) => number;
}): ObjectiveDefinition<Shape> {
  const { name, method } = description;
  // Named after the objective, so that several of them can be added up.
  const tokens = `${method}-${name}-chosen-tokens`;
  return defineObjective({
    ...description,
    rows: "pairs",
    build(options) {
      const weight = nllWeight(options);
      return {
        name,
        roles: pairRoles,
        needsReference: false,
        ...(weight > 0 && { context: meanChosenTokens(tokens) }),
        build(completions) {
          const pair = policyScores(completions);
          const { losses, rewards, metrics } = preference(pair, options);
          const common = { ...rewardMetrics(rewards, 1), ...metrics };
          if (weight === 0) return { losses, metrics: common };
          const nll = neg(div(pair.chosen, completions.step[tokens]!));
          return { losses: add(losses, mul(weight, nll)), metrics: { ...common, nll_loss: nll } };
        },
      };
    },
  });
}

function policyScores({ policy, lengths }: ScoredCompletions): PairScores {
  return { ...splitPairs(policy), lengths: splitPairs(lengths) };
}

/** Log-probabilities in nats a token, each completion by its own length. */
export function averaged({ chosen, rejected, lengths }: PairScores): Pair {
  return { chosen: div(chosen, lengths.chosen), rejected: div(rejected, lengths.rejected) };
}

/** Both values times a number: rewards of scores. */
export function scaled({ chosen, rejected }: Pair, scale: number): Pair {
  return { chosen: mul(scale, chosen), rejected: mul(scale, rejected) };
}
