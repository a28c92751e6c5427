/**
 * DiscoPOP, the log-ratio modulated loss that Lu et al. 2024 let a language model discover, "Discovering Preference
 * Optimization Algorithms with and for Large Language Models" (arXiv 2406.08414), equation 5 by TRL's count:
 *
 *   L = -(1 - m) log sigmoid(z) + m e^-z,   m = sigmoid(z / tau)
 *
 * It is not convex: at z = 0 its slope is (1 - log 2) / (4 tau) - 3/4, which with the usual tau of 0.05 is 0.78, above 0. A
 * policy that is still its reference is first pushed the wrong way, towards a local minimum at z = -0.12, and small steps leave it
 * there, ranking pairs backwards. Above a tau of (1 - log 2) / 3 = 0.102 the slope is below 0.
 *
 * For z below 0 both factors of m e^-z leave float32's range, infinity times 0, which is not a number in TRL. Their product
 * is e^(-z - softplus(-z / tau)), and never above 1 as long as tau is at most 1.
 */

import { z as schema } from "zod";
import { add, exp, mul, neg, sigmoid, softplus, sub } from "../tensor/index.ts";
import { marginObjective } from "./margin.ts";

export const discopopLoss = marginObjective({
  name: "discopop",
  title: "DiscoPOP",
  source: "Lu et al. 2024, arXiv 2406.08414, equation 5",
  formula: "-(1 - m) log s(z) + m e^-z, m = s(z / tau)",
  use: "an alternative to sigmoid that was found by search; not convex, and with tau below 0.102 it begins by ranking pairs backwards",
  options: {
    discopopTau: schema
      .number()
      .positive()
      .max(1)
      .default(0.05)
      .describe("width of DiscoPOP's passage from logistic to exponential"),
  },
  loss: (z, { discopopTau: tau }) => {
    const steepness = 1 / tau;
    const logistic = mul(sigmoid(mul(-steepness, z)), softplus(neg(z)));
    const exponential = exp(sub(neg(z), softplus(mul(-steepness, z))));
    return add(logistic, exponential);
  },
});
