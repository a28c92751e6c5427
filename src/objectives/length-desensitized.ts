/**
 * LD-DPO, Liu et al. 2024, "Length Desensitization in Direct Preference Optimization" (arXiv 2409.06411): of the longer
 * completion's log-probability, what lies beyond the length l that both completions of a pair have counts only alpha:
 *
 *   log pi(y | x) = sum_{t <= l} log p_t + alpha sum_{t > l} log p_t,   l = min(n_w, n_l)
 *
 * alpha 1 is the log-probability itself. As in TRL 1.13 it is done to the policy and to the reference, so that a policy
 * starts with rewards of 0; older versions did it to the policy alone.
 */

import { z } from "zod";
import {
  broadcastTo,
  greaterOrEqual,
  matmul,
  mul,
  neg,
  reduceMax,
  reshape,
  type Tensor,
  where,
} from "../tensor/index.ts";
import type { ScoredCompletions, StepScores } from "./objective.ts";
import { inPairs } from "./pair.ts";
import { sumBy } from "./sums.ts";

export const ldAlpha = z
  .number()
  .min(0)
  .max(1)
  .default(1)
  .describe("weight of the tokens beyond the shorter completion's length (LD-DPO); 1 is DPO");

/** The log-probabilities of policy and reference [C], so weighted. */
export function desensitized(
  { policy, reference, lengths, tokens }: ScoredCompletions,
  alpha: number,
): { policy: Tensor; reference: Tensor } {
  if (alpha === 1) return { policy, reference };
  const pairs = inPairs(lengths);
  const shared = reshape(broadcastTo(neg(reduceMax(neg(pairs))), pairs), lengths.shape);
  const { membership, index } = tokens;
  const [count, total] = membership.shape;
  const limits = reshape(matmul(reshape(shared, [1, count!]), membership), [total!]);
  const weights = where(greaterOrEqual(index, limits), alpha, 1);
  const sum = (logps: Tensor) => sumBy(membership, mul(weights, logps));
  return { policy: sum(tokens.policy), reference: sum(tokens.reference) };
}

/** The same of a whole step, as numbers. */
export function desensitizedStep(
  { policy, reference, lengths, tokens }: StepScores,
  alpha: number,
): Pick<StepScores, "policy" | "reference"> {
  if (alpha === 1) return { policy, reference };
  const partner = (i: number) => (i % 2 === 0 ? i + 1 : i - 1);
  const sum = (logps: ArrayLike<number>, i: number) =>
    Array.from(logps).reduce((n, logp, t) => n + (t >= lengths[partner(i)]! ? alpha : 1) * logp, 0);
  return { policy: tokens.policy.map(sum), reference: tokens.reference.map(sum) };
}
