/**
 * Direct preference optimization on rankings, Rafailov et al. 2023 (arXiv 2305.18290), appendix A.3, equation 20. Under the
 * Plackett-Luce model a ranking comes about by choosing the best completion, then the best of the rest, and so on, each time
 * with a probability in proportion to e^r. With r = beta log(pi(y|x) / pi_ref(y|x)) and y_1 the best of N:
 *
 *   L = -sum over k of log(e^r_k / sum over j >= k of e^r_j)
 *     =  sum over k of log(1 + sum over j > k of e^(r_j - r_k))
 *
 * The last of them has nothing left to win against and adds 0. For N = 2 it is DPO's loss, bit for bit.
 *
 * Ties make it a partial order, of which the sum takes what is known: each completion k against those that are strictly worse,
 *
 *   L = sum over k of log(1 + sum over j worse than k of e^(r_j - r_k)),
 *
 * so that tied completions never compete with each other, and each of them competes with the same others. Without ties that is
 * the loss above; with two classes, good and bad, it is each good completion's choice among the bad ones.
 */

import {
  add,
  div,
  greaterOrEqual,
  logSumExp,
  matmul,
  mul,
  reduceSum,
  reshape,
  softplus,
  sub,
  type Tensor,
  transpose,
  where,
} from "../tensor/index.ts";
import { defineObjective } from "./definition.ts";
import type { ScoredCompletions } from "./objective.ts";
import { beta, referenceFree } from "./options.ts";
import { sumBy } from "./sums.ts";

export const plackettLuceLoss = defineObjective({
  name: "plackett_luce",
  method: "dpo",
  rows: "ranked",
  title: "Plackett-Luce DPO",
  source: "Rafailov et al. 2023, arXiv 2305.18290, appendix A.3, equation 20",
  formula: "sum_k log(1 + sum_{j worse than k} exp(r_j - r_k))",
  use: "rankings or scores of several completions a prompt, which pairs would only sample from",
  options: { beta, referenceFree },
  build: ({ beta: scale, referenceFree: free }) => ({
    name: "plackett_luce",
    roles: "any",
    needsReference: !free,
    columns: { rank: "completion" },
    build(completions) {
      const ratios = free ? completions.policy : sub(completions.policy, completions.reference);
      const ranking = rankingOf(completions);
      return {
        losses: plackettLuce(ratios, ranking, scale),
        metrics: rankingMetrics(mul(scale, ratios), ranking),
      };
    },
  }),
});

/** Completions in the orders of their examples. */
interface Ranking {
  /** 1 where a completion is an example's, else 0 [E, C]. */
  readonly owners: Tensor;
  /** 1 where the completion of the row is strictly better than the column's, both of one example, else 0 [C, C]. */
  readonly better: Tensor;
}

/** The ranking in the column `rank`, where less is better. */
export function rankingOf({ owners, columns }: Pick<ScoredCompletions, "owners" | "columns">): Ranking {
  const rank = columns.rank!;
  const together = matmul(owners, owners, { transA: true }); // [C, C]
  return { owners, better: where(greaterOrEqual(asColumn(rank), asRow(rank)), 0, together) };
}

/** The negative log-likelihood of each example's ranking [E] where completions are chosen in proportion to e^(scale * scores), scores [C]. */
export function plackettLuce(scores: Tensor, ranking: Ranking, scale = 1): Tensor {
  const { owners, better } = ranking;
  const ahead = mul(scale, sub(asRow(scores), asColumn(scores))); // r_j - r_k at [k, j]
  const odds = asVector(logSumExp(where(isSet(better), ahead, NOT_COMPETING))); // [C]
  // The best completion's choice stands apart as one number an example: the engine rounds by a number's place in its tensor,
  // and there it is where DPO has it.
  const best = soleBest(ranking);
  const first = where(isSet(sumBy(owners, best)), sumBy(owners, mul(odds, best)), NOT_COMPETING);
  const others = where(isSet(best), NOT_COMPETING, odds);
  return add(softplus(first), sumBy(owners, softplus(others)));
}

/** Below every difference of scores, and far enough from the least float32 to be subtracted from: e to it is 0. */
const NOT_COMPETING = -1e30;

/** 1 for a completion that alone is its example's best [C]. */
function soleBest({ owners, better }: Ranking): Tensor {
  const best = unbeaten(better);
  const tied = matmul(owners, asColumn(sumBy(owners, best)), { transA: true });
  return where(greaterOrEqual(asVector(tied), 1.5), 0, best);
}

/** 1 for a completion that none of its example's is strictly better than [C]. */
function unbeaten(better: Tensor): Tensor {
  return where(isSet(reduceSum(better, [0])), 0, 1);
}

/**
 * Rewards [C] under names like those of pairs, [E] each: of the best and of the worst completions (the mean where several are tied),
 * their margin, and the share of an example's pairs of different rank that the rewards order right. A tie of rewards is not right.
 */
export function rankingMetrics(rewards: Tensor, { owners, better }: Ranking): Record<string, Tensor> {
  const right = where(greaterOrEqual(asRow(rewards), asColumn(rewards)), 0, better);
  const best = meanByExample(owners, rewards, unbeaten(better));
  const worst = meanByExample(owners, rewards, unbeaten(transpose(better, [1, 0])));
  return {
    "rewards/best": best,
    "rewards/worst": worst,
    "rewards/margins": sub(best, worst),
    "rewards/accuracies": div(sumBy(owners, reduceSum(right, [1])), sumBy(owners, reduceSum(better, [1]))),
  };
}

/** The mean of the values [C] that are counted, over each example's completions [E]. */
function meanByExample(owners: Tensor, values: Tensor, counted: Tensor): Tensor {
  return div(sumBy(owners, mul(values, counted)), sumBy(owners, counted));
}

function isSet(flags: Tensor): Tensor {
  return greaterOrEqual(flags, 0.5);
}

function asVector(values: Tensor): Tensor {
  return reshape(values, [values.shape[0]!]);
}

function asColumn(values: Tensor): Tensor {
  return reshape(values, [values.shape[0]!, 1]);
}

function asRow(values: Tensor): Tensor {
  return reshape(values, [1, values.shape[0]!]);
}
