/** SmolLM3 (Bakouch et al. 2025): Llama without rotary embedding in every fourth layer (Yang et al. 2025, arXiv 2501.18795). */

import { z } from "zod";
import type { JsonObject } from "../checkpoints/checkpoint.ts";
import { CheckpointError } from "../errors.ts";
import { decoder, PRE_NORMS } from "./blocks/decoder.ts";
import { decoderBasics, layerWindows, llamaShape, positive, readConfig, windowShape } from "./config.ts";
import type { LanguageModel } from "./model.ts";
import { readRotary } from "./rotary-config.ts";

const configSchema = z.object({
  ...llamaShape,
  ...windowShape,
  max_position_embeddings: positive.default(32_768),
  use_sliding_window: z.boolean().default(false),
  no_rope_layers: z.array(z.union([z.literal(0), z.literal(1)])).nullish(),
  no_rope_layer_interval: positive.default(4),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  tie_word_embeddings: z.boolean().default(true),
});

/** Reads a SmolLM3 `config.json`. Throws CheckpointError for a setting that is missing or not supported. */
export function smollm3(config: JsonObject, source: string): LanguageModel {
  const c = readConfig(configSchema, config, source);
  const basics = decoderBasics(c, source);
  // `no_rope_layers` has a 1 where a layer turns, in spite of its name.
  const turns = c.no_rope_layers;
  if (turns && turns.length < basics.layers) {
    throw new CheckpointError(
      `${source}: config.json: no_rope_layers has ${turns.length} entries for ${basics.layers} layers`,
    );
  }
  const hasRotary = (i: number) => (turns ? turns[i] === 1 : (i + 1) % c.no_rope_layer_interval !== 0);
  const windows = layerWindows(c, (i) => !hasRotary(i), source);
  return decoder({
    ...basics,
    family: "smollm3",
    norms: PRE_NORMS,
    biases: { queryKeyValue: c.attention_bias, attentionOutput: c.attention_bias, feedForward: c.mlp_bias },
    activation: "silu",
    rotary: [readRotary(c, { source, headDim: basics.headDim, base: 2_000_000 })],
    layer: (i) => ({ rotary: hasRotary(i) ? 0 : null, window: windows[i] }),
  });
}
