/**
 * Gemma 3's text models (Gemma Team 2025, arXiv 2503.19786): Gemma 2 without caps, with norms of each head's queries and
 * keys, and five layers that see a window for each that sees all, the two kinds turning by different rotary bases.
 */

import { z } from "zod";
import type { JsonObject } from "../checkpoints/checkpoint.ts";
import { AROUND_NORMS, decoder } from "./blocks/decoder.ts";
import { decoderBasics, gemmaShape, positive, readConfig, slidingLayers } from "./config.ts";
import type { LanguageModel } from "./model.ts";
import { readRotary, ropeSettings } from "./rotary-config.ts";

const configSchema = z.object({
  ...gemmaShape,
  max_position_embeddings: positive.default(131_072),
  final_logit_softcapping: z.number().positive().nullish(),
  attn_logit_softcapping: z.null({ error: "only null is supported" }).nullish(),
  sliding_window_pattern: positive.default(6),
  rope_local_base_freq: z.number().positive().default(10_000),
});

/** Reads the `config.json` of a Gemma 3 text model. Throws CheckpointError for a setting that is missing or not supported. */
export function gemma3(config: JsonObject, source: string): LanguageModel {
  const c = readConfig(configSchema, config, source);
  const basics = decoderBasics(c, source);
  const window = c.sliding_window ?? undefined;
  const pattern = c.sliding_window_pattern;
  const slides = slidingLayers(c, (i) => (i + 1) % pattern !== 0, source);
  // transformers 5 keeps the parameters of each kind of layer apart; before, `rope_scaling` was that of layers that see all.
  const byType = ropeSettings(c.rope_parameters, "rope_parameters", source);
  const ofAll = ropeSettings(byType.full_attention, "rope_parameters.full_attention", source);
  const own = { ...c, rope_scaling: null, original_max_position_embeddings: null };
  const global = { ...own, rope_parameters: { ...ofAll, ...ropeSettings(c.rope_scaling, "rope_scaling", source) } };
  const local = { ...own, rope_theta: null, rope_parameters: byType.sliding_attention };
  const { headDim } = basics;
  return decoder({
    ...basics,
    family: "gemma3_text",
    norms: AROUND_NORMS,
    gainFromOne: true,
    biases: { queryKeyValue: c.attention_bias, attentionOutput: c.attention_bias },
    queryKeyNorm: "head",
    activation: "geluTanh",
    embeddingScale: Math.sqrt(basics.hiddenSize),
    attentionScale: 1 / Math.sqrt(c.query_pre_attn_scalar),
    logitCap: c.final_logit_softcapping ?? undefined,
    rotary: [
      readRotary(global, { source, headDim, base: 1_000_000 }),
      readRotary(local, { source, headDim, base: c.rope_local_base_freq }),
    ],
    layer: (i) => (slides[i] ? { rotary: 1, window } : { rotary: 0 }),
  });
}
