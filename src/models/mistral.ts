/** Mistral 7B (Jiang et al. 2023) and its like: Llama with a sliding window in all layers, or in none. */

import { z } from "zod";
import type { JsonObject } from "../checkpoints/checkpoint.ts";
import { decoder, PRE_NORMS } from "./blocks/decoder.ts";
import { decoderBasics, llamaShape, positive, readConfig } from "./config.ts";
import type { LanguageModel } from "./model.ts";
import { readRotary } from "./rotary-config.ts";

const configSchema = z.object({
  ...llamaShape,
  max_position_embeddings: positive.default(131_072),
  sliding_window: positive.nullable().default(4096),
});

/** Reads a Mistral `config.json`. Throws CheckpointError for a setting that is missing or not supported. */
export function mistral(config: JsonObject, source: string): LanguageModel {
  const c = readConfig(configSchema, config, source);
  const basics = decoderBasics(c, source);
  const window = c.sliding_window ?? undefined;
  return decoder({
    ...basics,
    family: "mistral",
    norms: PRE_NORMS,
    activation: "silu",
    rotary: [readRotary(c, { source, headDim: basics.headDim })],
    layer: () => ({ window }),
  });
}
