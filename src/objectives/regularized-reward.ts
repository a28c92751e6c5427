/**
 * The problem that DPO solves, over a finite set of answers to one prompt, where its optimum is a table that can be written
 * down (Rafailov et al. 2023, arXiv 2305.18290). A policy earns its expected reward and pays for leaving the reference
 * (equation 3):
 *
 *   J(pi) = E_pi[r] - beta KL(pi || pi_ref)
 *
 * Over all distributions the best is the reference tilted by the exponential of the reward (equation 4, appendix A.1; the
 * same step makes reward-weighted regression, Peters and Schaal 2007, "Reinforcement learning by reward-weighted regression
 * for operational space control"):
 *
 *   pi*(y) = pi_ref(y) e^(r(y) / beta) / Z,   Z = sum over y of pi_ref(y) e^(r(y) / beta)
 *
 * because J(pi) = beta log Z - beta KL(pi || pi*), whose divergence is 0 for pi* alone. Solved for the reward, which the
 * optimum therefore knows but for the prompt's own log Z (equation 5):
 *
 *   r(y) = beta log(pi*(y) / pi_ref(y)) + beta log Z
 *
 * No model is trained by this: a language model's answers can't be enumerated, which is why DPO is needed. It is what
 * the explanation draws, and what the objectives' closed forms rest on.
 */

import {
  add,
  broadcastTo,
  type Dim,
  div,
  exp,
  klDivergence,
  logSumExp,
  maximum,
  mul,
  type Operand,
  reduceSum,
  reshape,
  sub,
  type Tensor,
} from "../tensor/index.ts";

/** The answers to one prompt. */
interface AnswerRewards {
  /** log pi_ref(y) of each answer [A], in nats; finite, the probabilities sum to 1. */
  readonly reference: Tensor;
  /** r(y) of each answer [A]. */
  readonly rewards: Tensor;
  /** Above 0: what a nat of divergence from the reference costs. */
  readonly beta: Operand;
}

/** The terms of J for each of N policies, [N]. */
export interface RegularizedReward {
  /** E_pi[r] */
  readonly expectedReward: Tensor;
  /** KL(pi || pi_ref) in nats. */
  readonly divergence: Tensor;
  /** J(pi) */
  readonly objective: Tensor;
}

/**
 * An answer that is less likely than this, in nats, counts as this likely: e to it is 0 in every precision, and 0 times it is
 * 0, where 0 times the logarithm of 0 is not a number.
 */
const NEVER = -2000;

/** J and its two terms for each of N policies, given as log-probabilities of the answers [N, A]. A probability may be 0. */
export function regularizedReward(policies: Tensor, { reference, rewards, beta }: AnswerRewards): RegularizedReward {
  const expectedReward = reduceSum(mul(exp(policies), rewards), [1]);
  const divergence = policyDivergence(policies, reference);
  return { expectedReward, divergence, objective: sub(expectedReward, mul(beta, divergence)) };
}

/** KL(pi || q) in nats of each of N policies [N, A] from one distribution q [A], both as log-probabilities; [N]. */
export function policyDivergence(policies: Tensor, from: Tensor): Tensor {
  const possible = maximum(policies, NEVER);
  return reshape(klDivergence(possible, broadcastTo(from, possible)), [policies.shape[0] as Dim]);
}

/** The policy of the greatest J, as log-probabilities [A], and log Z [1]. */
export function optimalPolicy({ reference, rewards, beta }: AnswerRewards): {
  readonly policy: Tensor;
  readonly logPartition: Tensor;
} {
  const tilted = add(reference, div(rewards, beta));
  const logPartition = logSumExp(tilted);
  return { policy: sub(tilted, logPartition), logPartition };
}

/** beta log(pi(y) / pi_ref(y)) of each answer [A]: the reward that a policy is the optimum of, but for beta log Z. */
export function impliedReward(policy: Tensor, { reference, beta }: Pick<AnswerRewards, "reference" | "beta">): Tensor {
  return mul(beta, sub(policy, reference));
}
