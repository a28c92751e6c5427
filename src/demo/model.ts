/**
 * The embedded example's model before it has learned anything: a Llama of 0.9 million parameters. A linear layer's weights
 * are normal with variance 1 / (inputs), which keeps the scale of what flows through (LeCun et al. 1998, section 4.6); for
 * the layers that add to the residual stream the deviation is divided by the root of their number, so that the stream does
 * not grow with depth (Radford et al. 2019, section 2.3). The embedding, which is also the output head, has deviation 0.02:
 * its first guess is close to uniform.
 */

import type { JsonObject } from "../checkpoints/checkpoint.ts";
import type { LanguageModel, Weights } from "../models/index.ts";
import { Random } from "../random.ts";

const EMBEDDING_DEVIATION = 0.02;

/** What config.json says of the model. */
export const modelConfig: JsonObject = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  vocab_size: 1024,
  hidden_size: 128,
  intermediate_size: 344,
  num_hidden_layers: 4,
  num_attention_heads: 8,
  num_key_value_heads: 8,
  head_dim: 16,
  hidden_act: "silu",
  max_position_embeddings: 256,
  rms_norm_eps: 1e-5,
  rope_theta: 10_000,
  attention_bias: false,
  mlp_bias: false,
  tie_word_embeddings: true,
  bos_token_id: null,
  eos_token_id: 2,
  pad_token_id: 0,
};

/** What generation_config.json says. */
export const generationConfig: JsonObject = { eos_token_id: 2, pad_token_id: 0, do_sample: true, temperature: 1 };

/** Weights to start from, the same for the same seed: matrices as said above, and every norm's gain 1. */
export function initialWeights(model: LanguageModel, seed: number): Weights {
  const random = new Random(seed);
  const additions = 2 * model.layers;
  const deviation = (name: string, inputs: number): number => {
    if (name === model.headWeight) return EMBEDDING_DEVIATION;
    const adds = /\.(o_proj|down_proj)\.weight$/.test(name);
    return 1 / Math.sqrt(adds ? inputs * additions : inputs);
  };
  const draw = (name: string, [rows, inputs]: readonly number[]): Float32Array => {
    if (inputs === undefined) return new Float32Array(rows!).fill(1);
    const scale = deviation(name, inputs);
    return Float32Array.from({ length: rows! * inputs }, () => scale * random.normal());
  };
  return Object.fromEntries([...model.weights].map(([name, dims]) => [name, { dims, data: draw(name, dims) }]));
}
