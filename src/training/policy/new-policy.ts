/** The policy of a run that continues nothing: all weights, or a new adapter, as its configuration says. */

import type { LanguageModel, Weights } from "../../models/index.ts";
import type { TrainingConfig } from "../config.ts";
import { fullPolicy, type LoraOptions, loraPolicy, type Policy } from "./policy.ts";

type AdapterConfig = Pick<TrainingConfig, "loraRank" | "loraAlpha" | "loraTargets" | "rsLora" | "seed">;

export function newPolicy(
  config: AdapterConfig & Pick<TrainingConfig, "tuning">,
  model: LanguageModel,
  weights: Weights,
): Policy {
  return config.tuning === "full" ? fullPolicy(model, weights) : loraPolicy(model, weights, loraOptions(config));
}

export function loraOptions(config: AdapterConfig): LoraOptions {
  const all = config.loraTargets.length === 1 && config.loraTargets[0] === "all-linear";
  return {
    rank: config.loraRank,
    alpha: config.loraAlpha,
    rankStabilized: config.rsLora,
    targets: all ? ("all-linear" as const) : config.loraTargets,
    seed: config.seed,
  };
}
