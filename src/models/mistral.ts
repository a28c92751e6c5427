/** Mistral 7B (Jiang et al. 2023) and its like: Llama with a sliding window in all layers, or in none. */

import { z } from "zod";
import type { JsonObject } from "../checkpoints/checkpoint.ts";
import { decoder, PRE_NORMS } from "./blocks/decoder.ts";
import { decoderShape, decoderSizes, only, positive, readConfig, readRotary } from "./config.ts";
import type { LanguageModel } from "./model.ts";

const configSchema = z.object({
  ...decoderShape,
  max_position_embeddings: positive.default(131_072),
  rms_norm_eps: z.number().positive().default(1e-6),
  sliding_window: positive.nullable().default(4096),
  tie_word_embeddings: z.boolean().default(false),
  hidden_act: only("silu").default("silu"),
});

/** Reads a Mistral `config.json`. Throws CheckpointError for a setting that is missing or not supported. */
export function mistral(config: JsonObject, source: string): LanguageModel {
  const c = readConfig(configSchema, config, source);
  const sizes = decoderSizes(c, source);
  const window = c.sliding_window ?? undefined;
  return decoder({
    ...sizes,
    family: "mistral",
    maxPositions: c.max_position_embeddings,
    tied: c.tie_word_embeddings,
    norms: PRE_NORMS,
    epsilon: c.rms_norm_eps,
    activation: "silu",
    rotary: [readRotary(c, { source, headDim: sizes.headDim })],
    layer: () => ({ window }),
  });
}
