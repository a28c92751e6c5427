/**
 * Alignment via optimal transport (aot.ts), with chosen and rejected completions that need not belong together: the i-th
 * smallest log-ratio of all chosen completions has to be above the i-th smallest of all rejected,
 *
 *   L = -(1 - e) log sigmoid(beta (a_(i) - c_(i))) - e log sigmoid(-beta (a_(i) - c_(i)))
 *
 * sorted over the whole optimizer step. The two of one term are of different examples, and perhaps of different
 * micro-batches. So each enters its own example's loss with the other's value as a constant, and both together have the
 * gradient of the term. Its value is counted with the chosen completion alone.
 */

import { add, mul, stopGradient, sub } from "../tensor/index.ts";
import { logisticLoss } from "./dpo.ts";
import type { StepContext } from "./objective.ts";
import { labelSmoothing } from "./options.ts";
import { splitPairs } from "./pair.ts";
import { type PairSettings, pairObjective } from "./pairwise.ts";
import { differences, interleave, matched, stepPairs } from "./step-pairs.ts";

export const aotUnpairedLoss = pairObjective({
  name: "aot_unpaired",
  title: "AOT, unpaired",
  source: "Melnyk et al. 2024, arXiv 2406.05882",
  formula: "-(1 - e) log s(z) - e log s(-z), z = beta (a_(i) - c_(i)), a and c sorted over the step",
  use: "chosen and rejected completions that answer different prompts; with large steps",
  options: { labelSmoothing },
  sorted: true,
  context: matchedRatios,
  loss: ({ chosen, rejected, step }, { beta, labelSmoothing: e }) => {
    const other = splitPairs(step.matchedRatio!);
    const ofChosen = logisticLoss(mul(beta, sub(chosen, other.chosen)), e);
    const ofRejected = logisticLoss(mul(beta, sub(other.rejected, rejected)), e);
    return add(ofChosen, sub(ofRejected, stopGradient(ofRejected)));
  },
});

/** For each completion the log-ratio of the one on the other side that it is matched with. */
function matchedRatios(options: PairSettings): StepContext {
  return {
    values: { matchedRatio: "completion" },
    scores: "own",
    compute(step) {
      const { policy, reference } = stepPairs(step, options);
      const chosen = differences(policy.chosen, reference.chosen);
      const rejected = differences(policy.rejected, reference.rejected);
      const other = { chosen: matched(chosen, rejected), rejected: matched(rejected, chosen) };
      return { values: { matchedRatio: interleave(other) } };
    },
  };
}
