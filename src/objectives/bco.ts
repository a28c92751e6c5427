/**
 * Binary classifier optimization, Jung et al. 2024 (arXiv 2404.04656): a classifier of completions into desirable and not, whose
 * logit is the implicit reward less a shift,
 *
 *   L = -log sigmoid(r - delta)      for a desirable completion,   r = beta log(pi(y|x) / pi_ref(y|x)),
 *   L = -log sigmoid(-(r - delta))   for an undesirable one.
 *
 * The sum over a pair bounds DPO's loss from above, most closely where delta lies between its rewards: delta is the mean reward
 * that the run has seen (mean-reward.ts).
 *
 * The paper's importance weights of undesirable prompts, for data whose desirable and undesirable completions answer different
 * questions (density ratios from a classifier of prompt embeddings, TRL's `prompt_sample_size`), are not here: they need a second
 * model. Without an embedding model TRL's trainer leaves them out too.
 */

import { broadcastTo, mul, neg, softplus } from "../tensor/index.ts";
import { defineObjective } from "./definition.ts";
import { labelledCompletions, labelledMetrics, labelledScores, onOwnSide } from "./labelled.ts";
import { meanReward } from "./mean-reward.ts";
import { beta } from "./options.ts";

export const bcoLoss = defineObjective({
  name: "bco",
  method: "bco",
  rows: "labelled",
  title: "BCO",
  source: "Jung et al. 2024, arXiv 2404.04656",
  formula: "-log s(r - delta) if desirable, -log s(delta - r) if not",
  use: "completions that are only known to be good or bad, where each should keep pulling until it is clearly on its side",
  options: { beta },
  build: ({ beta: scale }) => ({
    name: "bco",
    ...labelledCompletions,
    context: meanReward(({ policy, reference }) => policy.map((logp, i) => scale * (logp - reference[i]!))),
    build(completions) {
      const scores = labelledScores(completions);
      const delta = completions.step.meanReward!;
      const ownSide = onOwnSide(scores, mul(scale, scores.ratio), delta);
      return {
        losses: softplus(neg(ownSide)),
        metrics: {
          ...labelledMetrics(completions, scores, { beta: scale, ownSide }),
          "bco/delta": broadcastTo(delta, scores.ratio),
        },
      };
    },
  }),
});
