/**
 * The mean of all rewards that a run has seen, those of the present step included: the shift of BCO (Jung et al. 2024, arXiv
 * 2404.04656), as its authors have it in TRL (`RunningMoments`). A constant to the gradient, the same for every micro-batch of a
 * step, kept in checkpoints. Rewards of held-out examples do not enter it. It needs the rewards of the whole step before the gradient
 * of any, which costs a forward pass.
 */

import type { StepContext, StepScores } from "./objective.ts";

/** A context with the value `meanReward`, of the step's rewards. Its state is the mean and how many rewards are in it. */
export function meanReward(rewardsOf: (step: StepScores) => readonly number[]): StepContext {
  return {
    values: { meanReward: "step" },
    scores: "own",
    initialState: [0, 0],
    compute(step, [before, seen]) {
      if (step.heldOut) return { values: { meanReward: before! } };
      const rewards = rewardsOf(step);
      const count = seen! + rewards.length;
      const mean = rewards.reduce((sum, reward) => sum + reward, before! * seen!) / count;
      return { values: { meanReward: mean }, state: [mean, count] };
    },
  };
}
