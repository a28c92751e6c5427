/**
 * OLMo 2 (OLMo Team 2024, arXiv 2501.00656): Llama with norms after attention and feed-forward instead of before, and norms of
 * queries and keys over all heads together.
 */

import { z } from "zod";
import type { JsonObject } from "../checkpoints/checkpoint.ts";
import { decoder, POST_NORMS } from "./blocks/decoder.ts";
import { decoderBasics, llamaShape, positive, readConfig } from "./config.ts";
import type { LanguageModel } from "./model.ts";
import { readRotary } from "./rotary-config.ts";

const configSchema = z.object({
  ...llamaShape,
  max_position_embeddings: positive.default(2048),
  rms_norm_eps: z.number().positive().default(1e-5),
  attention_bias: z.boolean().default(false),
});

/** Reads an OLMo 2 `config.json`. Throws CheckpointError for a setting that is missing or not supported. */
export function olmo2(config: JsonObject, source: string): LanguageModel {
  const c = readConfig(configSchema, config, source);
  const basics = decoderBasics(c, source);
  return decoder({
    ...basics,
    family: "olmo2",
    norms: POST_NORMS,
    biases: { queryKeyValue: c.attention_bias, attentionOutput: c.attention_bias },
    queryKeyNorm: "all",
    activation: "silu",
    rotary: [readRotary(c, { source, headDim: basics.headDim })],
  });
}
