/**
 * How far a policy has moved from its reference, KL(policy || reference) of whole completions in nats, from the
 * log-probabilities that both give to each token.
 *
 * On answers that the policy has sampled itself at temperature 1 it is estimated by Schulman's k3 ("Approximating KL
 * divergence", 2020): with r = pi_ref(token) / pi(token),
 *
 *   KL  =  E over y ~ pi of the sum over tokens of (r - 1 - log r)
 *
 * which has the mean of -log r, since E[r - 1] = 0 at every token, and is never negative. Near the reference it varies far
 * less than -log r, since r - 1 and -log r move against each other; far from it a few tokens with a large r make it skewed,
 * so that a handful of samples rather says too little. This is the quantity that beta weighs in the problem that DPO solves (Rafailov et al.
 * 2023, equation 3); a divergence measured on the data's own completions is not.
 */

/** The estimate from one answer that the policy has sampled, in nats: k3 summed over its tokens. */
export function divergenceOnSample(policy: ArrayLike<number>, reference: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < policy.length; i++) {
    const logRatio = reference[i]! - policy[i]!;
    total += Math.expm1(logRatio) - logRatio;
  }
  return total;
}

/**
 * How far the policy has moved on one completion of the data, in nats: the sum over its tokens of (log pi - log pi_ref)^2 / 2.
 * Near the reference it is KL(policy || reference) to second order (Schulman's k2), and it is never negative. The unbiased
 * estimators belong on the policy's own samples: on a rejected completion, which the policy has learned to avoid, they explode.
 */
export function divergenceOnData(policy: ArrayLike<number>, reference: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < policy.length; i++) total += (policy[i]! - reference[i]!) ** 2 / 2;
  return total;
}
