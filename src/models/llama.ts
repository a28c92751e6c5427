/** Llama 1 to 3.2 (Touvron et al. 2023; Grattafiori et al. 2024): the decoder that the others vary, biases where asked for. */

import { z } from "zod";
import type { JsonObject } from "../checkpoints/checkpoint.ts";
import { decoder, PRE_NORMS } from "./blocks/decoder.ts";
import { decoderShape, decoderSizes, only, positive, readConfig, readRotary } from "./config.ts";
import type { LanguageModel } from "./model.ts";

const configSchema = z.object({
  ...decoderShape,
  max_position_embeddings: positive.default(2048),
  rms_norm_eps: z.number().positive().default(1e-6),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  tie_word_embeddings: z.boolean().default(false),
  hidden_act: only("silu").default("silu"),
  pretraining_tp: only(1).nullish(),
});

/** Reads a Llama `config.json`. Throws CheckpointError for a setting that is missing or not supported. */
export function llama(config: JsonObject, source: string): LanguageModel {
  const c = readConfig(configSchema, config, source);
  const sizes = decoderSizes(c, source);
  return decoder({
    ...sizes,
    family: "llama",
    maxPositions: c.max_position_embeddings,
    tied: c.tie_word_embeddings,
    norms: PRE_NORMS,
    epsilon: c.rms_norm_eps,
    biases: { queryKeyValue: c.attention_bias, attentionOutput: c.attention_bias, feedForward: c.mlp_bias },
    activation: "silu",
    rotary: [readRotary(c, { source, headDim: sizes.headDim })],
  });
}
