/**
 * Token-level Direct Preference Optimization, Zeng et al. 2024 (arXiv 2404.11999), as its two losses TDPO1 and TDPO2.
 *
 * DPO's margin holds the policy to the reference by the sampled tokens alone. TDPO adds the divergence over the whole
 * vocabulary at every one of them, the sequential KL
 *
 *   D(y) = sum_t KL(pi_ref(. | x, y_<t) || pi(. | x, y_<t))
 *
 * and weighs how far it has come on the rejected completion against the chosen one's:
 *
 *   u     = log(pi(y_w|x) / pi_ref(y_w|x)) - log(pi(y_l|x) / pi_ref(y_l|x))
 *   TDPO1 = -log sigmoid(beta (u - (D(y_l) - D(y_w))))
 *   TDPO2 = -log sigmoid(beta (u - alpha (D(y_l) - sg(D(y_w)))))
 *
 * The gradient goes through D, towards the policy. TDPO1 therefore rewards a larger divergence on the chosen completion;
 * TDPO2 takes that one for a number (sg) and has alpha to weigh the term. D is of the scored rows, one each token, as the
 * log-probabilities are. The rewards that we report are beta times the log-ratios, as for every other objective; the
 * authors' code adds the divergences to them.
 */

import { z } from "zod";
import { mul, neg, softplus, stopGradient, sub, type Tensor } from "../tensor/index.ts";
import { defineObjective, type ObjectiveDefinition } from "./definition.ts";
import type { ScoredTokens } from "./objective.ts";
import { beta } from "./options.ts";
import { type Pair, splitPairs } from "./pair.ts";
import { pairRoles, rewardMetrics } from "./pairwise.ts";
import { sumBy } from "./sums.ts";

/** D(y) of both completions [E], in nats. */
function sequentialKl({ membership, statistics }: ScoredTokens): Pair {
  return splitPairs(sumBy(membership, statistics.referenceKl!));
}

/** Either loss, by the margin that it takes from the log-ratio margin u and the divergences. */
function tokenLevel<Shape extends z.ZodRawShape>({
  margin,
  options,
  ...description
}: Pick<ObjectiveDefinition<Shape>, "name" | "title" | "formula" | "use"> & {
  readonly options: Shape;
  readonly margin: (u: Tensor, divergence: Pair, options: z.output<z.ZodObject<Shape>>) => Tensor;
}) {
  const shape = { beta, ...options };
  return defineObjective<typeof shape>({
    ...description,
    source: "Zeng et al. 2024, arXiv 2404.11999",
    method: "dpo",
    rows: "pairs",
    options: shape,
    build(settings) {
      const { beta: scale } = settings as { beta: number };
      return {
        name: description.name,
        roles: pairRoles,
        needsReference: true,
        rowStatistics: ["referenceKl"],
        build({ policy, reference, tokens }) {
          const ratios = splitPairs(sub(policy, reference));
          const divergence = sequentialKl(tokens);
          const u = sub(ratios.chosen, ratios.rejected);
          const z = mul(scale, margin(u, divergence, settings as z.output<z.ZodObject<Shape>>));
          return {
            losses: softplus(neg(z)), // -log sigmoid(z)
            metrics: {
              ...rewardMetrics(ratios, scale),
              "sequential_kl/chosen": divergence.chosen,
              "sequential_kl/rejected": divergence.rejected,
            },
          };
        },
      };
    },
  });
}

export const tdpo1Loss = tokenLevel({
  name: "tdpo1",
  title: "TDPO1",
  formula: "-log s(beta (a - c - (D_l - D_w)))",
  use: "TDPO without its two changes, to compare with; tdpo2 is what its authors advise",
  options: {},
  margin: (u, { chosen, rejected }) => sub(u, sub(rejected, chosen)),
});

export const tdpo2Loss = tokenLevel({
  name: "tdpo2",
  title: "TDPO2",
  formula: "-log s(beta (a - c - alpha (D_l - sg(D_w))))",
  use: "to hold the whole distribution near the reference at every token, and with it the diversity of samples",
  options: {
    tdpoAlpha: z
      .number()
      .min(0)
      .default(0.5)
      .describe("weight of the difference in sequential KL; 0 leaves DPO, larger stays closer to the reference"),
  },
  margin: (u, { chosen, rejected }, { tdpoAlpha }) =>
    sub(u, mul(tdpoAlpha as number, sub(rejected, stopGradient(chosen)))),
});
