/** The model families, by the `model_type` of config.json. */

import type { Checkpoint, JsonObject } from "../checkpoints/checkpoint.ts";
import { describeJson, isJsonObject } from "../checkpoints/json.ts";
import { CheckpointError } from "../errors.ts";
import { gemma2 } from "./gemma2.ts";
import { gemma3 } from "./gemma3.ts";
import { gptNeoX } from "./gpt-neox.ts";
import { gpt2 } from "./gpt2.ts";
import { llama } from "./llama.ts";
import { mistral } from "./mistral.ts";
import type { LanguageModel } from "./model.ts";
import { olmo2 } from "./olmo2.ts";
import { phi3 } from "./phi3.ts";
import { qwen2 } from "./qwen2.ts";
import { qwen3 } from "./qwen3.ts";
import { isRewardConfig, rewardModel } from "./reward.ts";
import { smollm3 } from "./smollm3.ts";

const families: Readonly<Record<string, (config: JsonObject, source: string) => LanguageModel>> = {
  llama,
  mistral,
  qwen2,
  qwen3,
  gemma2,
  gemma3_text: gemma3,
  phi3,
  olmo2,
  smollm3,
  gpt2,
  gpt_neox: gptNeoX,
};

/** The model that a checkpoint's configuration describes. Throws CheckpointError for a family or setting that is not supported. */
export function modelFor({ config, source }: Pick<Checkpoint, "config" | "source">): LanguageModel {
  if (typeof config.model_type !== "string") {
    throw new CheckpointError(
      `${source}: config.json: model_type must name the architecture, not be ${describeJson(config.model_type)}`,
    );
  }
  const type = config.model_type;
  const family = Object.hasOwn(families, type) ? families[type] : undefined;
  if (!family) {
    throw new CheckpointError(
      `${source}: the architecture "${type}" is not supported (supported: ${Object.keys(families).join(", ")})`,
    );
  }
  if (isJsonObject(config.quantization_config)) {
    throw new CheckpointError(
      `${source}: its weights are quantized (config.json: quantization_config, ${describeJson(config.quantization_config.quant_method)}), which is not supported. Use the model's original weights, or a GGUF file of it.`,
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
export { refuseUnknown, refuseUnknownTokens } from "./vocabulary.ts";
export { loadWeights, rotaryInputValues, type Weights } from "./weights.ts";
