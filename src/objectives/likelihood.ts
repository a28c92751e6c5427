/**
 * Maximum likelihood, the next-token loss of pre-training and of supervised fine-tuning: the mean negative
 * log-probability of a completion's tokens, in nats a token.
 *
 *   L = -(1 / |y|) log pi(y | x)
 */

import { div, neg } from "../tensor/index.ts";
import type { Objective } from "./objective.ts";

export function likelihood(): Objective {
  return {
    name: "likelihood",
    roles: ["completion"],
    needsReference: false,
    build: ({ policy, lengths }) => ({ losses: neg(div(policy, lengths)), metrics: {} }),
  };
}
