/** Reading a model's `config.json`: what the families' settings have in common, checked, with refusals that name the setting. */

import { z } from "zod";
import type { JsonObject } from "../checkpoints/checkpoint.ts";
import { CheckpointError } from "../errors.ts";
import { gelu, geluTanh } from "../tensor/index.ts";

export const positive = z.number().int().positive();

/** Every layer is built before its weights are looked for; the deepest models have some hundred. */
export const layerCount = positive.max(10_000);

/** A setting of which only one value can be computed. */
export const only = <T extends string | number | boolean>(value: T) =>
  z.literal(value, { error: `only ${JSON.stringify(value)} is supported` });

/** Activations of plain feed-forward layers, by the names of configurations; all but the first are one approximation. */
export const activations = {
  gelu,
  gelu_new: geluTanh,
  gelu_fast: geluTanh,
  gelu_pytorch_tanh: geluTanh,
} as const;

export const activationSetting = z.enum(Object.keys(activations) as (keyof typeof activations)[]);

/** Settings of rotary embeddings by their newer name and their older one, read by `readRotary`. */
export const ropeShape = {
  rope_parameters: z.unknown().optional(),
  rope_scaling: z.unknown().optional(),
  original_max_position_embeddings: positive.nullish(),
};

/** Settings that nearly all families of Llama's kind have. */
const decoderShape = {
  vocab_size: positive,
  hidden_size: positive,
  intermediate_size: positive,
  num_hidden_layers: layerCount,
  num_attention_heads: positive,
  num_key_value_heads: positive.nullish(),
  head_dim: positive.nullish(),
  rope_theta: z.number().positive().nullish(),
  ...ropeShape,
  partial_rotary_factor: z.number().positive().nullish(),
};

/** Settings of Llama and its nearest relatives; a family with another default says so after these. */
export const llamaShape = {
  ...decoderShape,
  rms_norm_eps: z.number().positive().default(1e-6),
  tie_word_embeddings: z.boolean().default(false),
  hidden_act: only("silu").default("silu"),
};

/** Settings of sliding windows where the layers have kinds. */
export const windowShape = {
  sliding_window: positive.nullish(),
  layer_types: z.array(z.enum(["full_attention", "sliding_attention"])).nullish(),
};

/** Settings that Gemma 2 and 3 have in common. */
export const gemmaShape = {
  ...decoderShape,
  ...windowShape,
  head_dim: positive.default(256),
  sliding_window: positive.nullable().default(4096),
  rms_norm_eps: z.number().positive().default(1e-6),
  attention_bias: z.boolean().default(false),
  query_pre_attn_scalar: z.number().positive().default(256),
  tie_word_embeddings: z.boolean().default(true),
  hidden_activation: only("gelu_pytorch_tanh").default("gelu_pytorch_tanh"),
  use_bidirectional_attention: only(false).nullish(),
};

/** Checks a configuration. Throws CheckpointError naming the first setting that is missing or not supported. */
export function readConfig<T>(schema: z.ZodType<T>, config: JsonObject, source: string): T {
  const parsed = schema.safeParse(config);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw new CheckpointError(`${source}: config.json: ${issue.path.join(".")}: ${issue.message}`);
}

interface DecoderSettings {
  readonly vocab_size: number;
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads?: number | null | undefined;
  readonly head_dim?: number | null | undefined;
  readonly max_position_embeddings: number;
  readonly rms_norm_eps: number;
  readonly tie_word_embeddings: boolean;
}

/** What every decoder has by the same settings. Throws CheckpointError for heads that can't share or divide what there is. */
export function decoderBasics(c: DecoderSettings, source: string) {
  const heads = c.num_attention_heads;
  const kvHeads = c.num_key_value_heads ?? heads;
  const headDim = c.head_dim ?? c.hidden_size / heads;
  if (heads % kvHeads !== 0) {
    throw new CheckpointError(
      `${source}: config.json: ${heads} attention heads can't share ${kvHeads} key-value heads`,
    );
  }
  if (!Number.isInteger(headDim) || headDim % 2 !== 0) {
    const origin = c.head_dim ? "" : ` (hidden_size ${c.hidden_size} / num_attention_heads ${heads})`;
    throw new CheckpointError(`${source}: config.json: head_dim ${headDim}${origin} must be an even whole number`);
  }
  return {
    vocabularySize: c.vocab_size,
    hiddenSize: c.hidden_size,
    intermediateSize: c.intermediate_size,
    layers: c.num_hidden_layers,
    heads,
    kvHeads,
    headDim,
    maxPositions: c.max_position_embeddings,
    tied: c.tie_word_embeddings,
    epsilon: c.rms_norm_eps,
  };
}

interface LayerSettings {
  readonly num_hidden_layers: number;
  readonly layer_types?: readonly string[] | null | undefined;
}

/** Which layers see a window: as the configuration lists them, or by the family's own pattern. Throws CheckpointError for too short a list. */
export function slidingLayers(
  { num_hidden_layers: layers, layer_types: types }: LayerSettings,
  pattern: (index: number) => boolean,
  source: string,
): boolean[] {
  if (types && types.length < layers) {
    throw new CheckpointError(`${source}: config.json: layer_types has ${types.length} entries for ${layers} layers`);
  }
  return Array.from({ length: layers }, (_, i) => (types ? types[i] === "sliding_attention" : pattern(i)));
}

interface WindowSettings extends LayerSettings {
  readonly sliding_window?: number | null | undefined;
  readonly use_sliding_window?: boolean;
}

/** The window of each layer, in tokens; undefined for one that sees all. Throws CheckpointError as `slidingLayers` does. */
export function layerWindows(
  c: WindowSettings,
  pattern: (index: number) => boolean,
  source: string,
): (number | undefined)[] {
  const window = c.use_sliding_window === false ? undefined : (c.sliding_window ?? undefined);
  return slidingLayers(c, pattern, source).map((slides) => (slides ? window : undefined));
}
