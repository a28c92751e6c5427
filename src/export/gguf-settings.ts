/**
 * A model's config.json as GGUF metadata, as llama.cpp's converter writes it: the settings of each architecture, their keys without the
 * architecture's name before them. What a reader makes of them is compared with the model afterwards, so nothing here need be refused.
 */

import type { Json, JsonObject } from "../checkpoints/checkpoint.ts";
import { flagEntry, type GgufEntry, naturalEntry, realEntry, textEntry } from "../checkpoints/gguf-entries.ts";
import { isJsonObject } from "../checkpoints/json.ts";
import { llama3Divisors } from "../checkpoints/rope-factors.ts";
import type { TensorSource } from "../checkpoints/safetensors-writer.ts";
import type { LanguageModel } from "../models/model.ts";

interface Writer {
  /** `general.architecture`. */
  readonly architecture: string;
  readonly settings: (source: Source) => Readonly<Record<string, GgufEntry>>;
}

/** A model and its config.json. */
interface Source {
  readonly config: JsonObject;
  readonly model: LanguageModel;
  readonly headDim: number;
}

function decoder({ config, model, headDim }: Source): Record<string, GgufEntry> {
  return {
    ...sizes({ config, model, headDim }),
    "attention.head_count_kv": naturalEntry(model.cacheWidth / headDim),
    "attention.key_length": naturalEntry(headDim),
    "attention.value_length": naturalEntry(headDim),
    "attention.layer_norm_rms_epsilon": realEntry(Number(config.rms_norm_eps ?? 1e-6)),
  };
}

function sizes({ config, model }: Source): Record<string, GgufEntry> {
  return {
    context_length: naturalEntry(model.maxPositions),
    embedding_length: naturalEntry(model.hiddenSize),
    block_count: naturalEntry(model.layers),
    feed_forward_length: naturalEntry(Number(config.intermediate_size ?? config.n_inner ?? 4 * model.hiddenSize)),
    "attention.head_count": naturalEntry(model.attentionHeads),
    vocab_size: naturalEntry(model.vocabularySize),
  };
}

/** Base and scaling of the rotary embedding. LongRoPE's and Llama 3's factors are tensors. */
function rotary(source: Source, base = 10_000): Record<string, GgufEntry> {
  const { theta = base, type, settings, dimensions } = rope(source);
  const number = (key: string) => Number(settings[key]);
  const scaled = { "rope.scaling.type": textEntry(type), "rope.scaling.factor": realEntry(number("factor")) };
  return {
    "rope.dimension_count": naturalEntry(dimensions),
    "rope.freq_base": realEntry(theta),
    ...(type === "linear" && scaled),
    ...(type === "yarn" && {
      ...scaled,
      "rope.scaling.original_context_length": naturalEntry(number("original_max_position_embeddings")),
    }),
  };
}

interface Rope {
  readonly theta: number | undefined;
  readonly type: string;
  readonly settings: JsonObject;
  /** How many dimensions of a head are turned. */
  readonly dimensions: number;
}

/** transformers 5 writes one `rope_parameters`, in Gemma 3 one a kind of layers; earlier versions `rope_theta` beside `rope_scaling`. */
function rope({ config, headDim }: Source): Rope {
  const given = objectOf(config.rope_parameters ?? config.rope_scaling);
  const settings = isJsonObject(given.full_attention) ? given.full_attention : given;
  const theta = config.rope_theta ?? settings.rope_theta ?? config.rotary_emb_base;
  const part = config.partial_rotary_factor ?? settings.partial_rotary_factor ?? config.rotary_pct;
  return {
    theta: typeof theta === "number" ? theta : undefined,
    type: String(settings.rope_type ?? settings.type ?? "default"),
    settings,
    dimensions: Math.trunc(headDim * (typeof part === "number" ? part : 1)),
  };
}

const objectOf = (value: Json | undefined): JsonObject => (isJsonObject(value) ? value : {});

function window({ config }: Source): Record<string, GgufEntry> {
  const { sliding_window: positions } = config;
  return typeof positions === "number" ? { "attention.sliding_window": naturalEntry(positions) } : {};
}

function cap(config: JsonObject, key: string): Record<string, GgufEntry> {
  const value = config[key];
  return typeof value === "number" ? { [key]: realEntry(value) } : {};
}

const LLAMA_KIND = (source: Source) => ({ ...decoder(source), ...rotary(source) });

const WRITERS: Readonly<Record<string, Writer>> = {
  llama: { architecture: "llama", settings: LLAMA_KIND },
  mistral: { architecture: "llama", settings: LLAMA_KIND },
  qwen2: { architecture: "qwen2", settings: LLAMA_KIND },
  qwen3: { architecture: "qwen3", settings: LLAMA_KIND },
  olmo2: { architecture: "olmo2", settings: LLAMA_KIND },
  smollm3: { architecture: "smollm3", settings: LLAMA_KIND },

  gemma2: {
    architecture: "gemma2",
    settings: (source) => ({
      ...LLAMA_KIND(source),
      ...window(source),
      ...cap(source.config, "attn_logit_softcapping"),
      ...cap(source.config, "final_logit_softcapping"),
    }),
  },

  gemma3_text: {
    architecture: "gemma3",
    settings: (source) => {
      const { config } = source;
      const local = objectOf(objectOf(config.rope_parameters).sliding_attention);
      const localBase = Number(local.rope_theta ?? config.rope_local_base_freq ?? 10_000);
      const pattern = windowPattern(config);
      return {
        ...decoder(source),
        ...rotary(source, 1_000_000),
        ...window(source),
        ...cap(config, "final_logit_softcapping"),
        "rope.freq_base_swa": realEntry(localBase),
        ...(pattern !== 6 && { "attention.sliding_window_pattern": naturalEntry(pattern) }),
      };
    },
  },

  phi3: {
    architecture: "phi3",
    settings: (source) => {
      const { config, model } = source;
      const original =
        config.original_max_position_embeddings ?? rope(source).settings.original_max_position_embeddings;
      return {
        ...decoder(source),
        ...rotary(source),
        "attention.sliding_window": naturalEntry(0),
        ...window(source),
        "rope.scaling.original_context_length": naturalEntry(Number(original ?? model.maxPositions)),
        ...attentionFactor(model.maxPositions / Number(original ?? model.maxPositions), Number(original)),
      };
    },
  },

  gpt2: {
    architecture: "gpt2",
    settings: (source) => ({
      ...sizes(source),
      "attention.layer_norm_epsilon": realEntry(Number(source.config.layer_norm_epsilon ?? 1e-5)),
    }),
  },

  gpt_neox: {
    architecture: "gptneox",
    settings: (source) => ({
      ...sizes(source),
      ...rotary(source),
      use_parallel_residual: flagEntry(source.config.use_parallel_residual !== false),
      "attention.layer_norm_epsilon": realEntry(Number(source.config.layer_norm_eps ?? 1e-5)),
    }),
  },
};

/** What LongRoPE lengthens queries and keys by, which llama.cpp does not compute itself. */
function attentionFactor(scale: number, original: number): Record<string, GgufEntry> {
  if (!(scale > 1)) return {};
  return { "rope.scaling.attn_factor": realEntry(Math.sqrt(1 + Math.log(scale) / Math.log(original))) };
}

/** One layer of so many sees all positions. */
function windowPattern({ layer_types: types, sliding_window_pattern: pattern }: JsonObject): number {
  if (typeof pattern === "number") return pattern;
  const first = Array.isArray(types) ? types.indexOf("full_attention") : -1;
  return first < 0 ? 6 : first + 1;
}

/** The families that can be written. */
export const writableFamilies: readonly string[] = Object.keys(WRITERS);

interface WrittenSettings {
  /** `general.architecture`. */
  readonly architecture: string;
  readonly metadata: ReadonlyMap<string, GgufEntry>;
  /** Tensors that hold settings. */
  readonly tensors: readonly TensorSource[];
}

/** The settings of a model of one of these families. */
export function writtenSettings(config: JsonObject, model: LanguageModel): WrittenSettings {
  const { architecture, settings } = WRITERS[model.family]!;
  const source = { config, model, headDim: headDimension(config, model) };
  const entries = Object.entries(settings(source)).map(([key, entry]) => [`${architecture}.${key}`, entry] as const);
  return {
    architecture,
    metadata: new Map([["general.architecture", textEntry(architecture)], ...entries]),
    tensors: factorTensors(source),
  };
}

function headDimension(
  { head_dim: given }: JsonObject,
  { weights, attentionHeads, hiddenSize }: LanguageModel,
): number {
  const rows = weights.get("model.layers.0.self_attn.q_proj.weight")?.[0] ?? hiddenSize;
  return typeof given === "number" ? given : rows / attentionHeads;
}

/** Factors of the rotary frequencies, one each. */
function factorTensors(source: Source): TensorSource[] {
  const { theta = 10_000, type, settings } = rope(source);
  const number = (key: string) => Number(settings[key]);
  if (type === "llama3") {
    const scaling = {
      rope_type: type,
      factor: number("factor"),
      low_freq_factor: number("low_freq_factor"),
      high_freq_factor: number("high_freq_factor"),
      original_max_position_embeddings: number("original_max_position_embeddings"),
    } as const;
    return [vector("rope_freqs.weight", llama3Divisors(scaling, theta, source.headDim))];
  }
  const { short_factor: short, long_factor: long } = settings;
  if (!Array.isArray(short) || !Array.isArray(long)) return [];
  return [vector("rope_factors_short.weight", short.map(Number)), vector("rope_factors_long.weight", long.map(Number))];
}

function vector(name: string, values: readonly number[]): TensorSource {
  const data = Float32Array.from(values);
  return { name, shape: [data.length], read: () => data };
}
