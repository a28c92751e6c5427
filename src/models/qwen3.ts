/** Qwen 3 (Yang et al. 2025): Llama with norms of each head's queries and keys. */

import { z } from "zod";
import type { JsonObject } from "../checkpoints/checkpoint.ts";
import { decoder, PRE_NORMS } from "./blocks/decoder.ts";
import {
  decoderShape,
  decoderSizes,
  layerWindows,
  only,
  positive,
  readConfig,
  readRotary,
  windowShape,
} from "./config.ts";
import type { LanguageModel } from "./model.ts";

const configSchema = z.object({
  ...decoderShape,
  ...windowShape,
  head_dim: positive.default(128),
  attention_bias: z.boolean().default(false),
  max_position_embeddings: positive.default(32_768),
  rms_norm_eps: z.number().positive().default(1e-6),
  use_sliding_window: z.boolean().default(false),
  max_window_layers: z.number().int().min(0).default(28),
  tie_word_embeddings: z.boolean().default(false),
  hidden_act: only("silu").default("silu"),
});

/** Reads a Qwen 3 `config.json`. Throws CheckpointError for a setting that is missing or not supported. */
export function qwen3(config: JsonObject, source: string): LanguageModel {
  const c = readConfig(configSchema, config, source);
  const sizes = decoderSizes(c, source);
  const windows = layerWindows(c, (i) => i >= c.max_window_layers, source);
  return decoder({
    ...sizes,
    family: "qwen3",
    maxPositions: c.max_position_embeddings,
    tied: c.tie_word_embeddings,
    norms: PRE_NORMS,
    epsilon: c.rms_norm_eps,
    biases: { queryKeyValue: c.attention_bias, attentionOutput: c.attention_bias },
    queryKeyNorm: "head",
    activation: "silu",
    rotary: [readRotary(c, { source, headDim: sizes.headDim })],
    layer: (i) => ({ window: windows[i] }),
  });
}
