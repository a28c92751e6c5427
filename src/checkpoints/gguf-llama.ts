/**
 * The Llama architecture in GGUF: its metadata as the `config.json` that transformers would have, its tensor names as Hugging
 * Face's, and the row order of its query and key projections undone.
 *
 * Rotary embedding turns pairs of rows of a head. Hugging Face pairs row d with row d + headDim / 2; llama.cpp's converter
 * interleaves each head's two halves so that the pairs are rows 2d and 2d + 1 (weights and biases alike).
 */
import { CheckpointError } from "../errors.ts";
import type { JsonObject } from "./checkpoint.ts";
import type { GgufTensor } from "./gguf-header.ts";
import { type GgufMetadata, shortestFloat32 } from "./gguf-metadata.ts";
import { fitLlama3Scaling } from "./rope-factors.ts";

/** GGUF's name of a module to Hugging Face's, inside layer N (`blk.N.` and `model.layers.N.`). */
const LAYER_MODULES: Readonly<Record<string, string>> = {
  attn_norm: "input_layernorm",
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
  ffn_norm: "post_attention_layernorm",
  ffn_gate: "mlp.gate_proj",
  ffn_up: "mlp.up_proj",
  ffn_down: "mlp.down_proj",
};

const TOP_TENSORS: Readonly<Record<string, string>> = {
  "token_embd.weight": "model.embed_tokens.weight",
  "output_norm.weight": "model.norm.weight",
  "output.weight": "lm_head.weight",
};

/** Per-frequency divisors of Llama 3's RoPE scaling; part of the configuration, not a weight. */
export const ROPE_FACTORS = "rope_freqs.weight";

/** A tensor's Hugging Face name. Throws CheckpointError for one that plain Llama does not have. */
export function huggingFaceName(source: string, name: string): string {
  const top = Object.hasOwn(TOP_TENSORS, name) ? TOP_TENSORS[name] : undefined;
  if (top !== undefined) return top;
  const [, layer, module, kind] = /^blk\.(\d+)\.(\w+)\.(weight|bias)$/.exec(name) ?? [];
  if (module !== undefined && Object.hasOwn(LAYER_MODULES, module)) {
    return `model.layers.${layer}.${LAYER_MODULES[module]}.${kind}`;
  }
  throw new CheckpointError(
    `${source}: tensor ${JSON.stringify(name)} is not part of the Llama architecture that preftune reads.`,
  );
}

/** Heads whose rows are interleaved in a tensor of this GGUF name: query or key heads, or undefined where rows are in order. */
export function interleavedHeads(name: string, config: JsonObject): number | undefined {
  if (/^blk\.\d+\.attn_q\./.test(name)) return Number(config.num_attention_heads);
  if (/^blk\.\d+\.attn_k\./.test(name)) return Number(config.num_key_value_heads);
  return undefined;
}

/** Rows in Hugging Face's order from rows [heads, headDim / 2, 2] in GGUF's; `values` is [heads * headDim, columns]. */
export function separateHalves(
  values: Float32Array<ArrayBuffer>,
  heads: number,
  columns: number,
): Float32Array<ArrayBuffer> {
  const half = values.length / columns / heads / 2;
  const separated = new Float32Array(values.length);
  for (let head = 0; head < heads; head++) {
    for (let d = 0; d < half; d++) {
      for (let part = 0; part < 2; part++) {
        const from = (head * half * 2 + 2 * d + part) * columns;
        separated.set(values.subarray(from, from + columns), (head * half * 2 + part * half + d) * columns);
      }
    }
  }
  return separated;
}

/**
 * The `config.json` of a Llama GGUF. `ropeFactors` is the content of its `rope_freqs.weight`. Throws CheckpointError naming
 * any setting that the configuration can't express.
 */
export function llamaConfig(
  metadata: GgufMetadata,
  tensors: ReadonlyMap<string, GgufTensor>,
  ropeFactors: Float32Array | undefined,
): JsonObject {
  const natural = (key: string) => metadata.require(`llama.${key}`, metadata.natural(`llama.${key}`));
  refuseUnsupported(metadata);
  const hiddenSize = natural("embedding_length");
  const heads = natural("attention.head_count");
  const headDim = headDimension(metadata, hiddenSize, heads);
  const ropeTheta = metadata.real("llama.rope.freq_base") ?? 10000;
  const embedding = tensors.get("token_embd.weight");
  if (embedding === undefined) throw new CheckpointError(`${metadata.source}: has no tensor "token_embd.weight".`);
  const hasBias = (pattern: RegExp) => [...tensors.keys()].some((name) => pattern.test(name));
  return {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    hidden_size: hiddenSize,
    intermediate_size: natural("feed_forward_length"),
    num_hidden_layers: natural("block_count"),
    num_attention_heads: heads,
    num_key_value_heads: metadata.natural("llama.attention.head_count_kv") ?? heads,
    head_dim: headDim,
    hidden_act: "silu",
    rms_norm_eps: shortestFloat32(
      metadata.require(
        "llama.attention.layer_norm_rms_epsilon",
        metadata.real("llama.attention.layer_norm_rms_epsilon"),
      ),
    ),
    rope_theta: shortestFloat32(ropeTheta),
    rope_scaling: ropeScaling(metadata, ropeFactors, ropeTheta, headDim),
    max_position_embeddings: natural("context_length"),
    vocab_size: embedding.shape[0] ?? 0,
    tie_word_embeddings: !tensors.has("output.weight"),
    attention_bias: hasBias(/^blk\.\d+\.attn_(q|k|v|output)\.bias$/),
    mlp_bias: hasBias(/^blk\.\d+\.ffn_(gate|up|down)\.bias$/),
    bos_token_id: metadata.natural("tokenizer.ggml.bos_token_id") ?? null,
    eos_token_id: metadata.natural("tokenizer.ggml.eos_token_id") ?? null,
    pad_token_id: metadata.natural("tokenizer.ggml.padding_token_id") ?? null,
  };
}

function refuseUnsupported(metadata: GgufMetadata): void {
  const experts = metadata.natural("llama.expert_count") ?? 0;
  if (experts > 0) {
    throw new CheckpointError(
      `${metadata.source}: has ${experts} experts (llama.expert_count); mixtures of experts are not supported.`,
    );
  }
}

function headDimension(metadata: GgufMetadata, hiddenSize: number, heads: number): number {
  const headDim = metadata.natural("llama.attention.key_length") ?? hiddenSize / heads;
  for (const key of ["llama.attention.value_length", "llama.rope.dimension_count"]) {
    const other = metadata.natural(key) ?? headDim;
    if (other !== headDim) {
      throw new CheckpointError(
        `${metadata.source}: ${key} is ${other} where heads are ${headDim} wide; partial rotary embedding and heads of unequal ` +
          "width are not supported.",
      );
    }
  }
  return headDim;
}

function ropeScaling(
  metadata: GgufMetadata,
  factors: Float32Array | undefined,
  theta: number,
  headDim: number,
): JsonObject | null {
  const type = metadata.text("llama.rope.scaling.type") ?? "none";
  const factor = metadata.real("llama.rope.scaling.factor") ?? metadata.real("llama.rope.scale_linear") ?? 1;
  if (type !== "none" && type !== "linear") {
    throw new CheckpointError(`${metadata.source}: RoPE scaling of type ${JSON.stringify(type)} is not supported.`);
  }
  if (factors !== undefined) {
    const scaling = fitLlama3Scaling(factors, theta, headDim);
    if (scaling === undefined) {
      throw new CheckpointError(
        `${metadata.source}: ${ROPE_FACTORS} holds RoPE factors that are not Llama 3's; they are not supported.`,
      );
    }
    return scaling;
  }
  return type === "linear" && factor !== 1 ? { rope_type: "linear", factor } : null;
}
