/**
 * Objectives that are a function of one number a pair, its scaled margin
 *
 *   z = beta (A - C)
 *
 * where A = a and C = c are the log-ratios of chosen and rejected, or what another divergence makes of them (f-DPO,
 * divergences.ts). Two changes of the margin serve all of them. DPO-positive (Pal et al. 2024, "Smaug", arXiv
 * 2402.13228) takes away from it where the chosen completion has become less likely than it was to the reference, and
 * an offset (ODPO, Amini, Vieira, Cotterell 2024, arXiv 2402.10571) asks for more of it the stronger a row's preference:
 *
 *   z = beta (A - C - lambda max(0, -a)) - alpha m,   m the row's margin, or its logarithm as in ODPO's paper
 */

import { z } from "zod";
import { ConfigError } from "../errors.ts";
import { maximum, mul, neg, sub, type Tensor } from "../tensor/index.ts";
import type { ObjectiveDefinition } from "./definition.ts";
import { checkDivergence, divergenceOptions, divergenceScores } from "./divergences.ts";
import type { Objective } from "./objective.ts";
import { type Described, type PairInputs, type PairOptions, type PairSettings, pairObjective } from "./pairwise.ts";

const marginOptions = {
  ...divergenceOptions,
  dpopLambda: z
    .number()
    .min(0)
    .default(0)
    .describe("penalty on a chosen completion that is less likely than to the reference (DPO-positive)"),
  offsetAlpha: z
    .number()
    .min(0)
    .default(0)
    .describe("how much of a row's margin the scaled margin has to exceed (ODPO); rows carry `margin` or two scores"),
  offsetScale: z.enum(["linear", "log"]).default("linear").describe("the row's margin itself, or its logarithm"),
};
type MarginOptions = typeof marginOptions;
type MarginSettings = z.output<z.ZodObject<MarginOptions>> & PairSettings;

/** An objective over pairs that is a function of the scaled margin z alone. */
export function marginObjective<Shape extends z.ZodRawShape = Record<never, never>>({
  loss,
  options,
  ...description
}: Described<Shape> & {
  readonly loss: (z: Tensor, options: z.output<z.ZodObject<Shape & MarginOptions & PairOptions>>) => Tensor;
}): ObjectiveDefinition<Shape & MarginOptions & PairOptions> {
  return pairObjective<Shape & MarginOptions>({
    ...description,
    options: { ...marginOptions, ...options } as Shape & MarginOptions,
    check: (settings) => {
      checkDivergence(settings as unknown as MarginSettings);
      checkMargin(settings as unknown as MarginSettings);
    },
    columns: (settings) => offsetColumn(settings as unknown as MarginSettings),
    loss: (pair, settings) => loss(scaledMargin(pair, settings as unknown as MarginSettings), settings),
  });
}

function scaledMargin(pair: PairInputs, settings: MarginSettings): Tensor {
  const { beta, dpopLambda, offsetAlpha } = settings;
  const scores = divergenceScores(pair, settings);
  let margin = sub(scores.chosen, scores.rejected);
  if (dpopLambda > 0) margin = sub(margin, mul(dpopLambda, maximum(0, neg(pair.chosen))));
  const scaled = mul(beta, margin);
  const [offset] = Object.keys(offsetColumn(settings) ?? {});
  return offset === undefined ? scaled : sub(scaled, mul(offsetAlpha, pair.columns[offset]!));
}

/** Throws ConfigError for a penalty against a reference that is left out, and for a scale of an offset that is not asked for. */
function checkMargin({ dpopLambda, referenceFree, offsetAlpha, offsetScale }: MarginSettings): void {
  if (dpopLambda > 0 && referenceFree) {
    throw new ConfigError(
      "--dpop-lambda holds the chosen completion at the reference, which --reference-free leaves out. Leave out one of them; --rpo-alpha holds its likelihood up without a reference.",
    );
  }
  if (offsetAlpha > 0 || offsetScale === "linear") return;
  throw new ConfigError(
    "--offset-scale log has no effect without --offset-alpha, which says how much of a row's margin is asked for. Give that, or leave it out.",
  );
}

/** The row's value that the offset is made of, where there is an offset. */
function offsetColumn({ offsetAlpha, offsetScale }: MarginSettings): Objective["columns"] {
  if (offsetAlpha === 0) return undefined;
  return { [offsetScale === "log" ? "logMargin" : "margin"]: "example" };
}
