/**
 * Phi-3 to Phi-4 (Abdin et al. 2024, arXiv 2404.14219): Llama with queries, keys and values from one projection, gate and up
 * from another, LongRoPE for long contexts, and a part of each head turned (Phi-4-mini).
 *
 * LongRoPE has other frequencies for sequences longer than those of the first training. transformers looks at the longest of
 * a batch; we look at the longest of a run, so that a sequence has the same log-probability in every batch of it.
 */

import { z } from "zod";
import type { Json, JsonObject } from "../checkpoints/checkpoint.ts";
import { isJsonObject } from "../checkpoints/json.ts";
import { decoder, PRE_NORMS } from "./blocks/decoder.ts";
import { decoderBasics, llamaShape, positive, readConfig } from "./config.ts";
import type { LanguageModel } from "./model.ts";
import { readRotary } from "./rotary-config.ts";

const configSchema = z.object({
  ...llamaShape,
  max_position_embeddings: positive.default(4096),
  original_max_position_embeddings: positive.default(4096),
  rms_norm_eps: z.number().positive().default(1e-5),
  sliding_window: positive.nullish(),
});

/** Reads a Phi-3 `config.json`. Throws CheckpointError for a setting that is missing or not supported. */
export function phi3(config: JsonObject, source: string): LanguageModel {
  const c = readConfig(configSchema, config, source);
  const basics = decoderBasics(c, source);
  const window = c.sliding_window ?? undefined;
  const rope = { ...c, rope_parameters: asLongRope(c.rope_parameters), rope_scaling: asLongRope(c.rope_scaling) };
  return decoder({
    ...basics,
    family: "phi3",
    norms: PRE_NORMS,
    fused: true,
    activation: "silu",
    rotary: [readRotary(rope, { source, headDim: basics.headDim, partial: 1 })],
    layer: () => ({ window }),
  });
}

/** The first Phi-3 models called LongRoPE "su" or "yarn". */
function asLongRope(settings: unknown): unknown {
  if (!isJsonObject(settings as Json)) return settings;
  const given = settings as JsonObject;
  const type = given.rope_type ?? given.type;
  return type === "su" || type === "yarn" ? { ...given, rope_type: "longrope" } : given;
}
