/**
 * Gemma 2 (Gemma Team 2024, arXiv 2408.00118): norms before and after attention and feed-forward, whose gain is 1 + weight;
 * scores and logits capped by tanh; every second layer sees a window only.
 */

import { z } from "zod";
import type { JsonObject } from "../checkpoints/checkpoint.ts";
import { AROUND_NORMS, decoder } from "./blocks/decoder.ts";
import { decoderBasics, gemmaShape, layerWindows, positive, readConfig } from "./config.ts";
import type { LanguageModel } from "./model.ts";
import { readRotary } from "./rotary-config.ts";

const configSchema = z.object({
  ...gemmaShape,
  max_position_embeddings: positive.default(8192),
  final_logit_softcapping: z.number().positive().nullable().default(30),
  attn_logit_softcapping: z.number().positive().nullable().default(50),
});

/** Reads a Gemma 2 `config.json`. Throws CheckpointError for a setting that is missing or not supported. */
export function gemma2(config: JsonObject, source: string): LanguageModel {
  const c = readConfig(configSchema, config, source);
  const basics = decoderBasics(c, source);
  const windows = layerWindows(c, (i) => i % 2 === 0, source);
  return decoder({
    ...basics,
    family: "gemma2",
    norms: AROUND_NORMS,
    gainFromOne: true,
    biases: { queryKeyValue: c.attention_bias, attentionOutput: c.attention_bias },
    activation: "geluTanh",
    embeddingScale: Math.sqrt(basics.hiddenSize),
    attentionScale: 1 / Math.sqrt(c.query_pre_attn_scalar),
    attentionCap: c.attn_logit_softcapping ?? undefined,
    logitCap: c.final_logit_softcapping ?? undefined,
    rotary: [readRotary(c, { source, headDim: basics.headDim })],
    layer: (i) => ({ window: windows[i] }),
  });
}
