/** Reading a model's `config.json`: what the families' settings have in common, checked, with refusals that name the setting. */

import { z } from "zod";
import type { Json, JsonObject } from "../checkpoints/checkpoint.ts";
import { describeJson, isJsonObject } from "../checkpoints/json.ts";
import { CheckpointError } from "../errors.ts";
import { gelu, geluTanh } from "../tensor/index.ts";
import type { RotaryOptions, RotaryScaling } from "./rotary.ts";

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
  rope_scaling: z.unknown().optional(),
  rope_parameters: z.unknown().optional(),
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

interface RotarySettings {
  readonly rope_theta?: number | null | undefined;
  readonly rope_scaling?: unknown;
  readonly rope_parameters?: unknown;
  readonly partial_rotary_factor?: number | null | undefined;
  readonly max_position_embeddings: number;
  readonly original_max_position_embeddings?: number | null | undefined;
}

interface RotaryDefaults {
  readonly source: string;
  readonly headDim: number;
  /** The base where the configuration has none; 10,000 if not given. */
  readonly base?: number;
  /** The share of a head that is turned where the configuration has none; families without it turn whole heads. */
  readonly partial?: number;
}

/**
 * The rotary embedding of a configuration: transformers 5 writes one `rope_parameters`, earlier versions `rope_theta` beside
 * `rope_scaling`. Throws CheckpointError for what is not supported.
 */
export function readRotary(c: RotarySettings, defaults: RotaryDefaults): RotaryOptions {
  const { source, headDim } = defaults;
  const raw = (c.rope_parameters ?? c.rope_scaling ?? {}) as Json;
  if (!isJsonObject(raw)) {
    throw new CheckpointError(`${source}: config.json: rope_scaling must be an object, not ${describeJson(raw)}`);
  }
  const own = typeof raw.rope_theta === "number" ? raw.rope_theta : undefined;
  const base = own ?? c.rope_theta ?? defaults.base ?? 10_000;
  const given = typeof raw.partial_rotary_factor === "number" ? raw.partial_rotary_factor : c.partial_rotary_factor;
  if (defaults.partial === undefined && (given ?? 1) !== 1) {
    throw new CheckpointError(`${source}: config.json: partial_rotary_factor: only 1 is supported`);
  }
  const partial = given ?? defaults.partial ?? 1;
  const dimensions = Math.trunc(headDim * partial);
  if (dimensions < 2 || dimensions > headDim || dimensions % 2 !== 0) {
    throw new CheckpointError(
      `${source}: config.json: partial_rotary_factor ${partial} turns ${dimensions} of ${headDim} dimensions; it must be an even number of them`,
    );
  }
  return { base, dimensions, scaling: readScaling(raw, { ...c, source, base, dimensions }) };
}

interface ScalingContext extends RotarySettings {
  readonly source: string;
  readonly base: number;
  readonly dimensions: number;
}

const SCALINGS: Readonly<Record<string, (settings: Settings, context: ScalingContext) => RotaryScaling | undefined>> = {
  default: () => undefined,
  linear: (s) => ({ type: "linear", factor: s.number("factor") }),
  llama3: (s, c) => ({
    type: "llama3",
    factor: s.number("factor"),
    lowFrequencyFactor: s.number("low_freq_factor"),
    highFrequencyFactor: s.number("high_freq_factor"),
    originalMaxPositions: s.optional("original_max_position_embeddings") ?? c.max_position_embeddings,
  }),
  longrope: readLongRope,
  yarn: readYarn,
};

function readScaling(raw: JsonObject, context: ScalingContext): RotaryScaling | undefined {
  const type = String(raw.rope_type ?? raw.type ?? "default");
  const read = Object.hasOwn(SCALINGS, type) ? SCALINGS[type] : undefined;
  if (!read) {
    throw new CheckpointError(
      `${context.source}: rope_scaling of type "${type}" is not supported (supported: ${Object.keys(SCALINGS).join(", ")})`,
    );
  }
  return read(new Settings(raw, context.source), context);
}

/** The numbers of a `rope_scaling`; what is missing or something else is refused by name. */
class Settings {
  private readonly raw: JsonObject;
  private readonly source: string;

  constructor(raw: JsonObject, source: string) {
    this.raw = raw;
    this.source = source;
  }

  optional(key: string): number | undefined {
    const value = this.raw[key];
    if (value === undefined || value === null) return undefined;
    if (typeof value !== "number") throw new CheckpointError(`${this.source}: rope_scaling.${key} must be a number`);
    return value;
  }

  number(key: string): number {
    const value = this.optional(key);
    if (value === undefined) throw new CheckpointError(`${this.source}: rope_scaling.${key} must be a number`);
    return value;
  }

  numbers(key: string, count: number): number[] {
    const value = this.raw[key];
    if (Array.isArray(value) && value.length === count && value.every((x) => typeof x === "number")) return value;
    throw new CheckpointError(`${this.source}: rope_scaling.${key} must be a list of ${count} numbers`);
  }
}

function readLongRope(s: Settings, c: ScalingContext): RotaryScaling {
  const original =
    c.original_max_position_embeddings ?? s.optional("original_max_position_embeddings") ?? c.max_position_embeddings;
  const factor = s.optional("factor") ?? c.max_position_embeddings / original;
  return {
    type: "longrope",
    shortFactors: s.numbers("short_factor", c.dimensions / 2),
    longFactors: s.numbers("long_factor", c.dimensions / 2),
    attentionFactor:
      s.optional("attention_factor") ?? (factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original))),
    originalMaxPositions: original,
  };
}

function readYarn(s: Settings, { dimensions, base, max_position_embeddings: most }: ScalingContext): RotaryScaling {
  const original = s.optional("original_max_position_embeddings") ?? most;
  const factor = s.optional("factor") ?? most / original;
  const lengthened = (scale: number, by: number) => (scale <= 1 ? 1 : 0.1 * by * Math.log(scale) + 1);
  const [mscale, mscaleAll] = [s.optional("mscale"), s.optional("mscale_all_dim")];
  /** The dimension that turns so often over the original context. */
  const dimensionOf = (turns: number) =>
    (dimensions * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(base));
  const low = Math.max(Math.floor(dimensionOf(s.optional("beta_fast") ?? 32)), 0);
  const high = Math.min(Math.ceil(dimensionOf(s.optional("beta_slow") ?? 1)), dimensions - 1);
  return {
    type: "yarn",
    factor,
    attentionFactor:
      s.optional("attention_factor") ??
      (mscale && mscaleAll ? lengthened(factor, mscale) / lengthened(factor, mscaleAll) : lengthened(factor, 1)),
    low,
    high: low === high ? high + 0.001 : high,
  };
}
