/**
 * What the two pipelines hold and compute, counted for real models. Sizes come from the library's own model families; a
 * product of a weight with a token's value is one multiplication and one addition, and going backward costs two products
 * more, for the value and for the weight, or one where the weight is frozen.
 */

import type { JsonObject } from "../../../../src/checkpoints/checkpoint.ts";
import { llama } from "../../../../src/models/llama.ts";
import type { LanguageModel } from "../../../../src/models/model.ts";
import { qwen2 } from "../../../../src/models/qwen2.ts";
import { parameterCount } from "../../../../src/models/weights.ts";

const llamaConfig = (
  hidden: number,
  inner: number,
  layers: number,
  heads: number,
  kvHeads: number,
  more: JsonObject,
) => ({
  hidden_size: hidden,
  intermediate_size: inner,
  num_hidden_layers: layers,
  num_attention_heads: heads,
  num_key_value_heads: kvHeads,
  rms_norm_eps: 1e-5,
  hidden_act: "silu",
  ...more,
});

/** From each model's config.json. */
export const models: Readonly<Record<string, () => LanguageModel>> = {
  "SmolLM2 135M": () =>
    llama(llamaConfig(576, 1536, 30, 9, 3, { vocab_size: 49_152, tie_word_embeddings: true }), "SmolLM2"),
  "Llama 3.2 1B": () =>
    llama(llamaConfig(2048, 8192, 16, 32, 8, { vocab_size: 128_256, tie_word_embeddings: true }), "Llama"),
  "Llama 3.2 3B": () =>
    llama(llamaConfig(3072, 8192, 28, 24, 8, { vocab_size: 128_256, tie_word_embeddings: true }), "Llama"),
  "Qwen 2.5 7B": () =>
    qwen2(llamaConfig(3584, 18_944, 28, 28, 4, { vocab_size: 152_064, tie_word_embeddings: false }), "Qwen"),
  "Llama 3.1 8B": () =>
    llama(llamaConfig(4096, 14_336, 32, 32, 8, { vocab_size: 128_256, tie_word_embeddings: false }), "Llama"),
};

export type Tuning = "full" | "lora";
const LORA_RANK = 16;
const FLOAT_BYTES = 4;
/** AdamW's two moments. */
const MOMENTS = 2;

export interface Sizes {
  readonly parameters: number;
  /** Of those, or beside them, what is trained. */
  readonly trained: number;
}

export function sizesOf(model: LanguageModel, tuning: Tuning): Sizes {
  const parameters = parameterCount(model);
  if (tuning === "full") return { parameters, trained: parameters };
  // Each adapted layer [out, in] gets matrices [rank, in] and [out, rank].
  const adapter = model.linearModules.map((name) => {
    const [out, inputs] = model.weights.get(`${name}.weight`)!;
    return LORA_RANK * (out! + inputs!);
  });
  return { parameters, trained: adapter.reduce((a, b) => a + b, 0) };
}

/** One network in memory, in bytes of float32. */
export interface Held {
  readonly name: string;
  readonly weights: number;
  /** Its gradients and the optimizer's moments; 0 for what is frozen. */
  readonly training: number;
}

/** One piece of a step's work. */
export interface Work {
  readonly name: string;
  /** Tokens that go through a network, forward and backward. */
  readonly forward: number;
  readonly backward: number;
  /** Forward passes that must wait for one another: a token is written after the one before it. */
  readonly oneByOne?: number;
}

export interface Step {
  readonly prompts: number;
  readonly promptTokens: number;
  readonly answerTokens: number;
}

/** How often PPO goes over the same answers (Stiennon et al. 2020; the default of most trainers). */
const PPO_EPOCHS = 4;

export interface Pipeline {
  readonly held: readonly Held[];
  readonly work: readonly Work[];
}

/** RLHF's last stage, PPO, with a reward model and a value model as large as the policy. */
export function ppo(sizes: Sizes, tuning: Tuning, { prompts, promptTokens, answerTokens }: Step): Pipeline {
  const all = prompts * (promptTokens + answerTokens);
  return {
    held: [
      ...policyAndReference(sizes, tuning),
      { name: "reward model", weights: bytes(sizes.parameters), training: 0 },
      { ...trainedNetwork(sizes, tuning), name: "value model" },
    ],
    work: [
      { name: "write an answer to each prompt", forward: all, backward: 0, oneByOne: answerTokens },
      { name: "score it: policy, reference, reward, value", forward: 4 * all, backward: 0 },
      {
        name: `update policy and value, ${PPO_EPOCHS} times`,
        forward: 2 * PPO_EPOCHS * all,
        backward: 2 * PPO_EPOCHS * all,
      },
    ],
  };
}

/** DPO on as many prompts, each with its two answers. A prompt is computed once for both. */
export function dpo(sizes: Sizes, tuning: Tuning, { prompts, promptTokens, answerTokens }: Step): Pipeline {
  const all = prompts * (promptTokens + 2 * answerTokens);
  return {
    held: policyAndReference(sizes, tuning),
    work: [
      { name: "score both answers: reference", forward: all, backward: 0 },
      { name: "update the policy, once", forward: all, backward: all },
    ],
  };
}

/** With LoRA the reference is the policy with its adapter left out: no second copy. */
function policyAndReference(sizes: Sizes, tuning: Tuning): Held[] {
  return [
    { ...trainedNetwork(sizes, tuning), name: "policy" },
    { name: "reference", weights: tuning === "lora" ? 0 : bytes(sizes.parameters), training: 0 },
  ];
}

function trainedNetwork({ parameters, trained }: Sizes, tuning: Tuning): Omit<Held, "name"> {
  const adapter = tuning === "lora" ? trained : 0;
  return { weights: bytes(parameters + adapter), training: bytes((1 + MOMENTS) * trained) };
}

const bytes = (numbers: number): number => FLOAT_BYTES * numbers;

export function totalBytes({ held }: Pipeline): number {
  return held.reduce((total, { weights, training }) => total + weights + training, 0);
}

/** Floating-point operations of a step. */
export function operations({ work }: Pipeline, { parameters }: Sizes, tuning: Tuning): number {
  const products = tuning === "full" ? 2 : 1;
  return work.reduce((total, { forward, backward }) => total + 2 * parameters * (forward + products * backward), 0);
}
