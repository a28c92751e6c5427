/** The model families, by the `model_type` of config.json. */

import type { Checkpoint, JsonObject } from "../checkpoints/checkpoint.ts";
import { CheckpointError } from "../errors.ts";
import { llama } from "./llama.ts";
import type { LanguageModel } from "./model.ts";
import { isRewardConfig, rewardModel } from "./reward.ts";

const families: Readonly<Record<string, (config: JsonObject, source: string) => LanguageModel>> = { llama };

/** The model that a checkpoint's configuration describes. Throws CheckpointError for a family or setting that is not supported. */
export function modelFor({ config, source }: Pick<Checkpoint, "config" | "source">): LanguageModel {
  const family = families[String(config.model_type)];
  if (!family) {
    throw new CheckpointError(
      `${source}: the architecture "${config.model_type}" is not supported (supported: ${Object.keys(families).join(", ")})`,
    );
  }
  const model = family(config, source);
  return isRewardConfig(config) ? rewardModel(model, { config, source }) : model;
}

export { type LoraInput, type LoraParameters, type LoraShape, withLora } from "./lora.ts";
export type { LanguageModel, ScoreKind } from "./model.ts";
export { checkpointParameters } from "./parameters.ts";
export { refuseLanguageModel, refuseRewardModel } from "./reward.ts";
export { withRewardHead } from "./reward-head.ts";
export { loadWeights, rotaryInputValues, type Weights } from "./weights.ts";
