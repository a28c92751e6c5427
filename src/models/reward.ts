/**
 * Reward models (Stiennon et al. 2020, arXiv 2009.01325; Ouyang et al. 2022, arXiv 2203.02155): a language model without its
 * head over the vocabulary, and in its place one row w that is read at the last token of a prompt x with its completion y,
 *
 *   r(x, y) = w . h_last
 *
 * in the layout that transformers' AutoModelForSequenceClassification loads (one label, no bias). Like it, we pass over
 * padding tokens at the end; a completion ends with its end token, so that is where it is read, unless truncation has cut
 * the end away or the end token is the padding token too.
 */

import type { Checkpoint, JsonObject } from "../checkpoints/checkpoint.ts";
import { isJsonObject } from "../checkpoints/json.ts";
import { CheckpointError, ConfigError } from "../errors.ts";
import { matmul, reshape, type Tensor } from "../tensor/index.ts";
import type { LanguageModel } from "./model.ts";
import type { Parameters } from "./parameters.ts";
import type { PackedInputs } from "./scoring.ts";
import { OWN_HEADS } from "./tied-head.ts";

/** The head's name in a checkpoint. */
export const REWARD_HEAD = "score.weight";

const ARCHITECTURE = /ForSequenceClassification$/;

/** Whether a configuration is a reward model's. */
export function isRewardConfig({ architectures }: JsonObject): boolean {
  return Array.isArray(architectures) && architectures.some((name) => ARCHITECTURE.test(String(name)));
}

/** The configuration of a reward model over the language model that `config` describes. */
export function rewardConfig(config: JsonObject, padToken: number | undefined): JsonObject {
  const [architecture] = Array.isArray(config.architectures) ? config.architectures : [];
  const type = String(config.model_type);
  const family = String(architecture ?? type[0]!.toUpperCase() + type.slice(1)).replace(/(For\w+|LMHeadModel)$/, "");
  return {
    ...config,
    architectures: [`${family}ForSequenceClassification`],
    id2label: { 0: "LABEL_0" },
    label2id: { LABEL_0: 0 },
    pad_token_id: padToken ?? null,
  };
}

/** The reward model over a language model's body. Throws CheckpointError for a classifier of several labels. */
export function rewardModel(
  body: LanguageModel,
  { config, source }: Pick<Checkpoint, "config" | "source">,
): LanguageModel {
  const labels = isJsonObject(config.id2label) ? Object.keys(config.id2label).length : (config.num_labels ?? 2);
  if (labels !== 1) {
    throw new CheckpointError(
      `${source}: is a classifier of ${labels} labels (config.json: id2label); a reward model has one.`,
    );
  }
  const weights = new Map(body.weights);
  if (OWN_HEADS.has(body.headWeight)) weights.delete(body.headWeight);
  weights.set(REWARD_HEAD, [1, body.hiddenSize]);
  const padToken = typeof config.pad_token_id === "number" ? config.pad_token_id : undefined;
  return { ...body, weights, scores: "reward", headWeight: REWARD_HEAD, padToken };
}

/** The rewards of a packed micro-batch's completions [C]. */
export function rewardCompletions(model: LanguageModel, parameters: Parameters, inputs: PackedInputs): Tensor {
  const { hidden } = model.forward(parameters, { ...inputs, rows: inputs.ends }); // [C, hidden]
  const rewards = matmul(hidden, parameters.tensor(model.headWeight), { transB: true }); // [C, 1]
  return reshape(rewards, [rewards.shape[0]!]);
}

/** Throws ConfigError for a reward model where a model is needed that writes texts. */
export function refuseRewardModel({ scores }: LanguageModel, source: string): void {
  if (scores !== "reward") return;
  throw new ConfigError(
    `${source}: is a reward model, which says how good a text is but can't write one, nor say how likely it is. Give a language model here; score with a reward model by preftune score --reward-model.`,
  );
}

/** Throws ConfigError for a language model where a reward model is needed. */
export function refuseLanguageModel({ scores }: LanguageModel, source: string): void {
  if (scores === "reward") return;
  throw new ConfigError(
    `${source}: is a language model and has no reward head. Make a reward model of it by preftune reward, or score with it by --model.`,
  );
}
