/**
 * A reward model from rankings: the likelihood of Plackett and Luce with the model's own rewards r, for which Plackett-Luce
 * DPO (plackett-luce.ts, where ties are treated too) has beta log(pi(y|x) / pi_ref(y|x)). With y_1 the best of N:
 *
 *   L = sum over k of log(1 + sum over j > k of e^(r_j - r_k))
 *
 * For N = 2 it is Bradley and Terry's. InstructGPT (Ouyang et al. 2022, arXiv 2203.02155, section 3.5) took all pairs of a
 * ranking instead, which counts a comparison that others imply once more; the likelihood counts every choice once. The
 * prompt is computed once for all N.
 */

import { defineObjective } from "./definition.ts";
import { plackettLuce, rankingMetrics, rankingOf } from "./plackett-luce.ts";

export const plackettLuceRewardLoss = defineObjective({
  name: "plackett_luce",
  method: "reward",
  rows: "ranked",
  title: "Plackett-Luce reward model",
  source: "Luce 1959; Plackett 1975, https://doi.org/10.2307/2346567",
  formula: "sum_k log(1 + sum_{j worse than k} exp(r_j - r_k))",
  use: "a reward model from rankings or scores of several completions a prompt",
  options: {},
  build: () => ({
    name: "plackett_luce",
    scores: "reward",
    roles: "any",
    needsReference: false,
    columns: { rank: "completion" },
    build(completions) {
      const ranking = rankingOf(completions);
      return {
        losses: plackettLuce(completions.policy, ranking),
        metrics: rankingMetrics(completions.policy, ranking),
      };
    },
  }),
});
