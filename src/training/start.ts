/** What a run starts from: the policy, which is also its reference, and its shape before there are weights. */

import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import { openCheckpoint } from "../checkpoints/open.ts";
import { type LoraAdapter, readAdapter } from "../checkpoints/peft.ts";
import { type LanguageModel, loadWeights } from "../models/index.ts";
import type { TrainingConfig } from "./config.ts";
import { loraOptions, newPolicy } from "./policy/new-policy.ts";
import {
  continuedPolicy,
  continuedShape,
  fullShape,
  loraShape,
  type Policy,
  type PolicyShape,
} from "./policy/policy.ts";

interface Start {
  readonly checkpoint: Checkpoint;
  readonly model: LanguageModel;
  readonly adapter: LoraAdapter | undefined;
  /** Folder of the first part's result, where there was one. */
  readonly tuned: string | undefined;
  readonly signal: AbortSignal | undefined;
}

/** The policy as the run begins. Throws the signal's reason when it aborts meanwhile. */
export async function startingPolicy(
  config: TrainingConfig,
  { checkpoint, model, adapter, tuned, signal }: Start,
): Promise<Policy> {
  if (config.tuning === "full") {
    using whole = tuned === undefined ? undefined : await openCheckpoint(tuned);
    return newPolicy(config, model, await loadWeights(whole ?? checkpoint, model, signal));
  }
  const continued = tuned === undefined ? adapter : readAdapter(tuned);
  const weights = await loadWeights(checkpoint, model, signal);
  return continued ? continuedPolicy(model, weights, continued) : newPolicy(config, model, weights);
}

/** Its shape. A run with a first part continues what that part makes of the adapter. */
export function startingShape(
  config: TrainingConfig,
  model: LanguageModel,
  adapter: LoraAdapter | undefined,
): PolicyShape {
  if (config.tuning === "full") return fullShape(model);
  return adapter ? continuedShape(model, adapter) : loraShape(model, loraOptions(config), config.sftFirst);
}
