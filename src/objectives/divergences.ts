/**
 * f-DPO, Wang, Jiang, Yang, Liu, Chen 2023, "Beyond Reverse KL" (arXiv 2309.16240): the policy is held to the reference by
 * another f-divergence than the reverse KL. The reward is then beta f'(pi / pi_ref), up to a term of the prompt that
 * cancels in a difference, so that an objective of differences takes f'(e^a) where it had the log-ratio a:
 *
 *   reverse KL                   a
 *   forward KL                   1 - e^-a
 *   Jensen-Shannon               log 2 + log sigmoid(a)
 *   alpha-divergence, q = alpha  (e^((q - 1) a) - 1) / (q - 1)      q -> 1: reverse KL, q = 0: forward KL
 *
 * Forms and constants are TRL's. alpha is at most 1: from there on 0 is in the domain of f', and the reward has no closed
 * form. Exponents stop at 40, where an e^40 swamps any other pair's loss already, because IPO's square of it must be a
 * float32 still; TRL stops at 80, and only for the alpha-divergence.
 */

import { z } from "zod";
import { ConfigError } from "../errors.ts";
import { add, div, exp, mul, neg, softplus, sub, type Tensor } from "../tensor/index.ts";
import { minimum, type Pair } from "./pair.ts";

const names = ["reverse_kl", "forward_kl", "js_divergence", "alpha_divergence"] as const;

const USUAL_ALPHA = 0.5;

export const divergenceOptions = {
  fDivergence: z
    .enum(names)
    .default("reverse_kl")
    .describe(`f-divergence that holds the policy to the reference (f-DPO): ${names.join(", ")}`),
  fAlpha: z
    .number()
    .min(0)
    .max(1)
    .default(USUAL_ALPHA)
    .describe("alpha of the alpha_divergence: 0 forward, 1 reverse KL"),
};

type DivergenceOptions = z.output<z.ZodObject<typeof divergenceOptions>>;

/** Throws ConfigError for a divergence from a reference that is left out, and for an alpha that nothing reads. */
export function checkDivergence({
  fDivergence,
  fAlpha,
  referenceFree,
}: DivergenceOptions & { readonly referenceFree: boolean }): void {
  if (fDivergence !== "alpha_divergence" && fAlpha !== USUAL_ALPHA) {
    throw new ConfigError(
      `--f-alpha ${fAlpha} has no effect with --f-divergence ${fDivergence}: it is the alpha of alpha_divergence. Choose that, or leave it out.`,
    );
  }
  if (!referenceFree || fDivergence === "reverse_kl") return;
  throw new ConfigError(
    `--f-divergence ${fDivergence} is a divergence from the reference, which --reference-free leaves out. Leave out one of them.`,
  );
}

const largestExponent = 40;
const boundedExp = (x: Tensor): Tensor => exp(minimum(x, largestExponent));

/** f'(pi / pi_ref) of both completions, by their log-ratios. */
export function divergenceScores({ chosen, rejected }: Pair, options: DivergenceOptions): Pair {
  const score = slopes[options.fDivergence];
  return { chosen: score(chosen, options.fAlpha), rejected: score(rejected, options.fAlpha) };
}

/** f' of each divergence, as a function of the logarithm of its argument. */
const slopes: Readonly<Record<(typeof names)[number], (a: Tensor, alpha: number) => Tensor>> = {
  reverse_kl: (a) => a,
  forward_kl: (a) => sub(1, boundedExp(neg(a))),
  js_divergence: (a) => sub(Math.LN2, softplus(neg(a))),
  alpha_divergence: (a, q) => (Math.abs(q - 1) < 1e-6 ? a : div(add(boundedExp(mul(q - 1, a)), -1), q - 1)),
};
