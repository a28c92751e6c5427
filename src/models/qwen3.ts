/** Qwen 3 (Yang et al. 2025): Llama with norms of each head's queries and keys. */

import { z } from "zod";
import type { JsonObject } from "../checkpoints/checkpoint.ts";
import { decoder, PRE_NORMS } from "./blocks/decoder.ts";
import { decoderBasics, layerWindows, llamaShape, positive, readConfig, windowShape } from "./config.ts";
import type { LanguageModel } from "./model.ts";
import { readRotary } from "./rotary-config.ts";

const configSchema = z.object({
  ...llamaShape,
  ...windowShape,
  head_dim: positive.default(128),
  attention_bias: z.boolean().default(false),
  max_position_embeddings: positive.default(32_768),
  use_sliding_window: z.boolean().default(false),
  max_window_layers: z.number().int().min(0).default(28),
});

/** Reads a Qwen 3 `config.json`. Throws CheckpointError for a setting that is missing or not supported. */
export function qwen3(config: JsonObject, source: string): LanguageModel {
  const c = readConfig(configSchema, config, source);
  const basics = decoderBasics(c, source);
  const windows = layerWindows(c, (i) => i >= c.max_window_layers, source);
  return decoder({
    ...basics,
    family: "qwen3",
    norms: PRE_NORMS,
    biases: { queryKeyValue: c.attention_bias, attentionOutput: c.attention_bias },
    queryKeyNorm: "head",
    activation: "silu",
    rotary: [readRotary(c, { source, headDim: basics.headDim })],
    layer: (i) => ({ window: windows[i] }),
  });
}
