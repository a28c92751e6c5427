/**
 * AlphaPO, Gupta et al. 2025 (arXiv 2501.03884): SimPO (simpo.ts) with a reward of another shape,
 *
 *   r(y) = (1 - p^-alpha) / alpha,   log p = (1/|y|) log pi(y|x)
 *
 * which is SimPO's log p in the limit of alpha = 0. With alpha above 0 the reward is steep where p is small, so that the
 * chosen completion's probability falls less as the margin grows; below 0 it is steep where p is large.
 */

import { z } from "zod";
import { add, exp, greaterOrEqual, maximum, mul, neg, sub, type Tensor, tanh, where } from "../tensor/index.ts";
import { averaged, referenceFreeObjective } from "./reference-free.ts";
import { simpoOptions, simpoPreference } from "./simpo.ts";

/** The largest exponent: e^80 is still a float32. It stands for 320 nats a token with alpha = 0.25. */
const LARGEST = 80;

/**
 * (1 - e^v) / alpha with v = -alpha log p, where 1 - e^v = -tanh(v/2) (e^v + 1) loses no digit near v = 0: it goes over
 * into log p as alpha goes to 0. Far below 0 that has another gradient than e^v in float32, of the wrong sign where tanh is -1.
 */
function shapedReward(logp: Tensor, alpha: number): Tensor {
  if (alpha === 0) return logp;
  const v = neg(maximum(mul(alpha, logp), -LARGEST));
  const grown = exp(v);
  const nearZero = mul(tanh(mul(0.5, v)), add(grown, 1));
  return mul(-1 / alpha, where(greaterOrEqual(v, -1), nearZero, sub(grown, 1)));
}

export const alphapoLoss = referenceFreeObjective({
  name: "alphapo",
  method: "simpo",
  title: "AlphaPO",
  source: "Gupta et al. 2025, arXiv 2501.03884",
  formula: "SimPO's, with (1 - p^-alpha) / alpha for each log p = log pi / n",
  use: "SimPO runs in which the chosen completions' probability falls too far",
  options: {
    ...simpoOptions,
    alpha: z.number().default(0.25).describe("shape of the reward: 0 is SimPO's; above 0 the chosen falls less"),
  },
  nllWeight: ({ sftWeight }) => sftWeight,
  preference(pair, options) {
    const { chosen, rejected } = averaged(pair);
    const { alpha } = options;
    return simpoPreference({ chosen: shapedReward(chosen, alpha), rejected: shapedReward(rejected, alpha) }, options);
  },
});
