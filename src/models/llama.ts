/** Llama 1 to 3.2 (Touvron et al. 2023; Grattafiori et al. 2024): the decoder that the others vary, biases where asked for. */

import { z } from "zod";
import type { JsonObject } from "../checkpoints/checkpoint.ts";
import { decoder, PRE_NORMS } from "./blocks/decoder.ts";
import { decoderBasics, llamaShape, only, positive, readConfig } from "./config.ts";
import type { LanguageModel } from "./model.ts";
import { readRotary } from "./rotary-config.ts";

const configSchema = z.object({
  ...llamaShape,
  max_position_embeddings: positive.default(2048),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  pretraining_tp: only(1).nullish(),
});

/** Reads a Llama `config.json`. Throws CheckpointError for a setting that is missing or not supported. */
export function llama(config: JsonObject, source: string): LanguageModel {
  const c = readConfig(configSchema, config, source);
  const basics = decoderBasics(c, source);
  return decoder({
    ...basics,
    family: "llama",
    norms: PRE_NORMS,
    biases: { queryKeyValue: c.attention_bias, attentionOutput: c.attention_bias, feedForward: c.mlp_bias },
    activation: "silu",
    rotary: [readRotary(c, { source, headDim: basics.headDim })],
  });
}
