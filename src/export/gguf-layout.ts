/**
 * A Hugging Face model as llama.cpp's converter lays it out in GGUF: the names of its tensors, the order of their rows, and
 * its settings as metadata. For the families whose GGUF forms differ in names alone.
 */

import type { Json, JsonObject } from "../checkpoints/checkpoint.ts";
import { type GgufEntry, naturalEntry, realEntry, textEntry } from "../checkpoints/gguf-entries.ts";
import { isJsonObject } from "../checkpoints/json.ts";
import { llama3Divisors } from "../checkpoints/rope-factors.ts";
import type { TensorSource } from "../checkpoints/safetensors-writer.ts";
import { CheckpointError } from "../errors.ts";
import type { LanguageModel } from "../models/model.ts";

interface Architecture {
  /** `general.architecture`, the first part of its settings' keys. */
  readonly name: string;
  /** Whether the rows of queries and keys are interleaved, so that rotary embedding turns neighbours. */
  readonly interleaved: boolean;
}

/** By the `model_type` of config.json. */
const ARCHITECTURES: ReadonlyMap<string, Architecture> = new Map([
  ["llama", { name: "llama", interleaved: true }],
  ["mistral", { name: "llama", interleaved: true }],
  ["qwen2", { name: "qwen2", interleaved: false }],
  ["qwen3", { name: "qwen3", interleaved: false }],
]);

const TOP_TENSORS: ReadonlyMap<string, string> = new Map([
  ["model.embed_tokens.weight", "token_embd.weight"],
  ["model.norm.weight", "output_norm.weight"],
  ["lm_head.weight", "output.weight"],
]);

/** The modules of a layer. */
const LAYER_MODULES: ReadonlyMap<string, string> = new Map([
  ["input_layernorm", "attn_norm"],
  ["self_attn.q_proj", "attn_q"],
  ["self_attn.k_proj", "attn_k"],
  ["self_attn.v_proj", "attn_v"],
  ["self_attn.o_proj", "attn_output"],
  ["self_attn.q_norm", "attn_q_norm"],
  ["self_attn.k_norm", "attn_k_norm"],
  ["post_attention_layernorm", "ffn_norm"],
  ["mlp.gate_proj", "ffn_gate"],
  ["mlp.up_proj", "ffn_up"],
  ["mlp.down_proj", "ffn_down"],
]);

export interface GgufLayout {
  /** Settings as metadata. */
  readonly metadata: ReadonlyMap<string, GgufEntry>;
  /** The model's tensors under GGUF's names, rows in its order, and those that hold settings. */
  readonly tensors: readonly TensorSource[];
}

/** Throws CheckpointError for a family or a setting that preftune can't write as GGUF. */
export function ggufLayout(config: JsonObject, model: LanguageModel, tensors: readonly TensorSource[]): GgufLayout {
  const architecture = ARCHITECTURES.get(model.family);
  if (architecture === undefined || model.scores === "reward") {
    const kind = model.scores === "reward" ? "reward models" : `models of the family "${model.family}"`;
    throw new CheckpointError(
      `GGUF: ${kind} can't be written (language models of these can: ${[...ARCHITECTURES.keys()].join(", ")}). Use --format hf.`,
    );
  }
  if (typeof config.sliding_window === "number" && config.use_sliding_window !== false) {
    throw new CheckpointError(
      `GGUF: a sliding window (sliding_window ${config.sliding_window}) can't be expressed for the architecture "${architecture.name}". Use --format hf.`,
    );
  }
  const sizes = headSizes(model);
  return {
    metadata: settings(architecture, config, model, sizes),
    tensors: [...tensors.map((tensor) => placed(tensor, architecture, sizes)), ...ropeFactors(config, sizes)],
  };
}

interface HeadSizes {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

function headSizes(model: LanguageModel): HeadSizes {
  const [rows] = model.weights.get("model.layers.0.self_attn.q_proj.weight") as readonly [number, number];
  const headDim = rows / model.attentionHeads;
  return { heads: model.attentionHeads, kvHeads: model.cacheWidth / headDim, headDim };
}

function settings(
  { name }: Architecture,
  config: JsonObject,
  model: LanguageModel,
  { heads, kvHeads, headDim }: HeadSizes,
): Map<string, GgufEntry> {
  const { scaling, theta } = rope(config);
  return new Map([
    ["general.architecture", textEntry(name)],
    [`${name}.context_length`, naturalEntry(model.maxPositions)],
    [`${name}.embedding_length`, naturalEntry(model.hiddenSize)],
    [`${name}.block_count`, naturalEntry(model.layers)],
    [`${name}.feed_forward_length`, naturalEntry(Number(config.intermediate_size))],
    [`${name}.attention.head_count`, naturalEntry(heads)],
    [`${name}.attention.head_count_kv`, naturalEntry(kvHeads)],
    [`${name}.attention.key_length`, naturalEntry(headDim)],
    [`${name}.attention.value_length`, naturalEntry(headDim)],
    [`${name}.attention.layer_norm_rms_epsilon`, realEntry(Number(config.rms_norm_eps ?? 1e-6))],
    [`${name}.rope.dimension_count`, naturalEntry(headDim)],
    [`${name}.rope.freq_base`, realEntry(theta)],
    [`${name}.vocab_size`, naturalEntry(model.vocabularySize)],
    ...(scaling?.type === "linear" ? linearScaling(name, Number(scaling.raw.factor)) : []),
  ]);
}

function linearScaling(name: string, factor: number): [string, GgufEntry][] {
  return [
    [`${name}.rope.scaling.type`, textEntry("linear")],
    [`${name}.rope.scaling.factor`, realEntry(factor)],
  ];
}

interface Rope {
  readonly theta: number;
  readonly scaling?: { readonly type: "linear" | "llama3"; readonly raw: JsonObject };
}

/** transformers 5 writes one `rope_parameters`, earlier versions `rope_theta` beside `rope_scaling`. */
function rope(config: JsonObject): Rope {
  const raw = config.rope_parameters ?? config.rope_scaling ?? {};
  const given: { [key: string]: Json } = isJsonObject(raw) ? raw : {};
  const theta = Number(config.rope_theta ?? given.rope_theta ?? 10_000);
  const type = given.rope_type ?? given.type ?? "default";
  if (type === "default") return { theta };
  if (type === "linear" || type === "llama3") return { theta, scaling: { type, raw: given } };
  throw new CheckpointError(
    `GGUF: RoPE scaling of type ${JSON.stringify(type)} can't be written; linear and llama3 can. Use --format hf.`,
  );
}

/** Llama 3's scaling is a tensor of divisors, one a frequency. */
function ropeFactors(config: JsonObject, { headDim }: HeadSizes): TensorSource[] {
  const { scaling, theta } = rope(config);
  if (scaling?.type !== "llama3") return [];
  const number = (key: string) => Number(scaling.raw[key]);
  const settings = {
    rope_type: "llama3" as const,
    factor: number("factor"),
    low_freq_factor: number("low_freq_factor"),
    high_freq_factor: number("high_freq_factor"),
    original_max_position_embeddings: number("original_max_position_embeddings"),
  };
  const divisors = Float32Array.from(llama3Divisors(settings, theta, headDim));
  return [{ name: "rope_freqs.weight", shape: [divisors.length], read: () => divisors }];
}

function placed(tensor: TensorSource, { interleaved }: Architecture, sizes: HeadSizes): TensorSource {
  const name = ggufName(tensor.name);
  const heads = interleaved ? interleavedHeads(name, sizes) : undefined;
  if (heads === undefined) return { ...tensor, name };
  return { ...tensor, name, read: () => interleaveHalves(tensor.read(), heads, tensor.shape[1] ?? 1) };
}

function ggufName(name: string): string {
  const top = TOP_TENSORS.get(name);
  if (top !== undefined) return top;
  const [, layer, path = "", kind] = /^model\.layers\.(\d+)\.(.+)\.(weight|bias)$/.exec(name) ?? [];
  const module = LAYER_MODULES.get(path);
  if (module === undefined) throw new CheckpointError(`GGUF: has no name for the weight ${JSON.stringify(name)}.`);
  return `blk.${layer}.${module}.${kind}`;
}

function interleavedHeads(name: string, { heads, kvHeads }: HeadSizes): number | undefined {
  if (/^blk\.\d+\.attn_q\./.test(name)) return heads;
  return /^blk\.\d+\.attn_k\./.test(name) ? kvHeads : undefined;
}

/** Rows in GGUF's order [heads, headDim / 2, 2] from rows [heads, 2, headDim / 2] in Hugging Face's, which pairs the halves of a head. */
function interleaveHalves(values: Float32Array, heads: number, columns: number): Float32Array {
  const half = values.length / columns / heads / 2;
  const interleaved = new Float32Array(values.length);
  for (let head = 0; head < heads; head++) {
    for (let d = 0; d < half; d++) {
      for (let part = 0; part < 2; part++) {
        const from = (head * half * 2 + part * half + d) * columns;
        interleaved.set(values.subarray(from, from + columns), (head * half * 2 + 2 * d + part) * columns);
      }
    }
  }
  return interleaved;
}
