/**
 * The architectures that llama.cpp's converter writes and preftune reads: of each how its tensors are called and lie, and
 * its metadata as the `config.json` that transformers would have. What the converter leaves out because llama.cpp knows it by
 * heart (Gemma's attention scale, the pattern of layers) is filled in the same way.
 */
import { CheckpointError } from "../errors.ts";
import type { JsonObject } from "./checkpoint.ts";
import { gainWithOne, interleavedHalves, separateProjections, type TensorLayout, transposed } from "./gguf-layouts.ts";
import { shortestFloat32 } from "./gguf-metadata.ts";
import type { GgufSettings } from "./gguf-settings.ts";

export interface GgufArchitecture {
  /** How the messages call it. */
  readonly title: string;
  /** GGUF's names of tensors outside the layers to Hugging Face's. */
  readonly top: Readonly<Record<string, string>>;
  /** Hugging Face's name of the layers: layer N is `layers.N`, GGUF's `blk.N`. */
  readonly layers: string;
  /** GGUF's names of a layer's modules to Hugging Face's. */
  readonly modules: Readonly<Record<string, string>>;
  /** Builds config.json. Throws CheckpointError naming any setting that it can't express. */
  readonly config: (settings: GgufSettings) => JsonObject;
  /** How the tensors of a module lie, where it is not Hugging Face's way. */
  readonly layout?: (module: string, kind: string, config: JsonObject) => TensorLayout | undefined;
}

/** Tensors that hold settings. */
const SETTING_TENSORS: ReadonlySet<string> = new Set([
  "rope_freqs.weight",
  "rope_factors_long.weight",
  "rope_factors_short.weight",
]);

const LLAMA_TOP = {
  "token_embd.weight": "model.embed_tokens.weight",
  "output_norm.weight": "model.norm.weight",
  "output.weight": "lm_head.weight",
};

const LLAMA_MODULES = {
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

const QUERY_KEY_NORMS = { attn_q_norm: "self_attn.q_norm", attn_k_norm: "self_attn.k_norm" };

const llamaKind = { top: LLAMA_TOP, layers: "model.layers", modules: LLAMA_MODULES };

const attentionBias = (s: GgufSettings) => s.has(/^blk\.\d+\.attn_(q|k|v|output)\.bias$/);

/** Queries and keys of Llama's own converter. */
function rotatedNeighbours(module: string, _: string, config: JsonObject): TensorLayout | undefined {
  const headDim = Number(config.head_dim);
  if (module === "attn_q") return interleavedHalves(Number(config.num_attention_heads), headDim);
  return module === "attn_k" ? interleavedHalves(Number(config.num_key_value_heads), headDim) : undefined;
}

const gemmaKind = {
  ...llamaKind,
  modules: {
    ...LLAMA_MODULES,
    ...QUERY_KEY_NORMS,
    post_attention_norm: "post_attention_layernorm",
    ffn_norm: "pre_feedforward_layernorm",
    post_ffw_norm: "post_feedforward_layernorm",
  },
  layout: (module: string) => (module.endsWith("norm") ? gainWithOne : undefined),
};

/** llama.cpp scales by the width of a head, but in the 27B models by that of hidden rows shared out among the heads. */
function gemmaConfig(s: GgufSettings, layersOf27B: number): JsonObject {
  const config = s.decoder();
  const shared = Number(config.hidden_size) / Number(config.num_attention_heads);
  return {
    ...config,
    ...s.rotary(),
    hidden_activation: "gelu_pytorch_tanh",
    attention_bias: attentionBias(s),
    query_pre_attn_scalar: config.num_hidden_layers === layersOf27B ? shared : config.head_dim!,
    sliding_window: s.requireNatural("attention.sliding_window"),
    final_logit_softcapping: s.real("final_logit_softcapping") ?? null,
  };
}

export const ggufArchitectures: Readonly<Record<string, GgufArchitecture>> = {
  /** Mistral too, whose window the converter drops. */
  llama: {
    ...llamaKind,
    title: "Llama",
    layout: rotatedNeighbours,
    config: (s) => ({
      architectures: ["LlamaForCausalLM"],
      model_type: "llama",
      ...s.decoder(),
      ...s.rotary(),
      hidden_act: "silu",
      attention_bias: attentionBias(s),
      mlp_bias: s.has(/^blk\.\d+\.ffn_(gate|up|down)\.bias$/),
    }),
  },

  qwen2: {
    ...llamaKind,
    title: "Qwen 2",
    config: (s) => ({
      architectures: ["Qwen2ForCausalLM"],
      model_type: "qwen2",
      ...s.decoder(),
      ...s.rotary(),
      hidden_act: "silu",
    }),
  },

  qwen3: {
    ...llamaKind,
    title: "Qwen 3",
    modules: { ...LLAMA_MODULES, ...QUERY_KEY_NORMS },
    config: (s) => ({
      architectures: ["Qwen3ForCausalLM"],
      model_type: "qwen3",
      ...s.decoder(),
      ...s.rotary(),
      hidden_act: "silu",
      attention_bias: attentionBias(s),
    }),
  },

  gemma2: {
    ...gemmaKind,
    title: "Gemma 2",
    config: (s) => ({
      architectures: ["Gemma2ForCausalLM"],
      model_type: "gemma2",
      ...gemmaConfig(s, 46),
      attn_logit_softcapping: s.real("attn_logit_softcapping") ?? null,
    }),
  },

  gemma3: {
    ...gemmaKind,
    title: "Gemma 3",
    config: (s) => ({
      architectures: ["Gemma3ForCausalLM"],
      model_type: "gemma3_text",
      ...gemmaConfig(s, 62),
      rope_theta: s.real("rope.freq_base") ?? 1_000_000,
      rope_local_base_freq: s.real("rope.freq_base_swa") ?? 10_000,
      sliding_window_pattern: s.natural("attention.sliding_window_pattern") ?? 6,
    }),
  },

  phi3: {
    ...llamaKind,
    title: "Phi-3",
    modules: {
      attn_norm: "input_layernorm",
      attn_qkv: "self_attn.qkv_proj",
      attn_output: "self_attn.o_proj",
      ffn_norm: "post_attention_layernorm",
      ffn_up: "mlp.gate_up_proj",
      ffn_down: "mlp.down_proj",
    },
    config: (s) => ({
      architectures: ["Phi3ForCausalLM"],
      model_type: "phi3",
      ...s.decoder(),
      hidden_act: "silu",
      rope_theta: s.real("rope.freq_base") ?? 10_000,
      rope_scaling: longRope(s),
      partial_rotary_factor: (s.natural("rope.dimension_count") ?? s.headDimension()) / s.headDimension(),
      original_max_position_embeddings:
        s.natural("rope.scaling.original_context_length") ?? s.requireNatural("context_length"),
      // A window of 0 is how the converter says that there is none.
      sliding_window: s.natural("attention.sliding_window") || null,
    }),
  },

  olmo2: {
    ...llamaKind,
    title: "OLMo 2",
    modules: {
      ...LLAMA_MODULES,
      ...QUERY_KEY_NORMS,
      post_attention_norm: "post_attention_layernorm",
      post_ffw_norm: "post_feedforward_layernorm",
    },
    config: (s) => {
      if (s.natural("attention.sliding_window")) {
        s.refuse("attention.sliding_window", "is OLMo 3's, which is not supported; OLMo 2 has none.");
      }
      return {
        architectures: ["Olmo2ForCausalLM"],
        model_type: "olmo2",
        ...s.decoder(),
        ...s.rotary(),
        hidden_act: "silu",
        attention_bias: attentionBias(s),
      };
    },
  },

  smollm3: {
    ...llamaKind,
    title: "SmolLM3",
    layout: rotatedNeighbours,
    config: (s) => ({
      architectures: ["SmolLM3ForCausalLM"],
      model_type: "smollm3",
      ...s.decoder(),
      ...s.rotary(),
      hidden_act: "silu",
      attention_bias: attentionBias(s),
      mlp_bias: s.has(/^blk\.\d+\.ffn_(gate|up|down)\.bias$/),
      no_rope_layer_interval: 4,
    }),
  },

  gpt2: {
    title: "GPT-2",
    top: {
      "token_embd.weight": "transformer.wte.weight",
      "position_embd.weight": "transformer.wpe.weight",
      "output_norm.weight": "transformer.ln_f.weight",
      "output_norm.bias": "transformer.ln_f.bias",
      "output.weight": "lm_head.weight",
    },
    layers: "transformer.h",
    modules: {
      attn_norm: "ln_1",
      attn_qkv: "attn.c_attn",
      attn_output: "attn.c_proj",
      ffn_norm: "ln_2",
      ffn_up: "mlp.c_fc",
      ffn_down: "mlp.c_proj",
    },
    layout: (module, kind) => (kind === "weight" && !module.endsWith("norm") ? transposed : undefined),
    config: (s) => ({
      architectures: ["GPT2LMHeadModel"],
      model_type: "gpt2",
      ...s.common(),
      n_positions: s.requireNatural("context_length"),
      n_embd: s.requireNatural("embedding_length"),
      n_layer: s.requireNatural("block_count"),
      n_head: s.requireNatural("attention.head_count"),
      n_inner: s.requireNatural("feed_forward_length"),
      layer_norm_epsilon: s.requireReal("attention.layer_norm_epsilon"),
      activation_function: "gelu_new",
    }),
  },

  gptneox: {
    title: "GPT-NeoX",
    top: {
      "token_embd.weight": "gpt_neox.embed_in.weight",
      "output_norm.weight": "gpt_neox.final_layer_norm.weight",
      "output_norm.bias": "gpt_neox.final_layer_norm.bias",
      "output.weight": "embed_out.weight",
    },
    layers: "gpt_neox.layers",
    modules: {
      attn_norm: "input_layernorm",
      attn_qkv: "attention.query_key_value",
      attn_output: "attention.dense",
      ffn_norm: "post_attention_layernorm",
      ffn_up: "mlp.dense_h_to_4h",
      ffn_down: "mlp.dense_4h_to_h",
    },
    layout: (module, _, config) => {
      const heads = Number(config.num_attention_heads);
      return module === "attn_qkv" ? separateProjections(heads, Number(config.hidden_size) / heads) : undefined;
    },
    config: (s) => ({
      architectures: ["GPTNeoXForCausalLM"],
      model_type: "gpt_neox",
      ...s.common(),
      hidden_size: s.requireNatural("embedding_length"),
      intermediate_size: s.requireNatural("feed_forward_length"),
      num_hidden_layers: s.requireNatural("block_count"),
      num_attention_heads: s.requireNatural("attention.head_count"),
      max_position_embeddings: s.requireNatural("context_length"),
      layer_norm_eps: s.requireReal("attention.layer_norm_epsilon"),
      hidden_act: "gelu",
      use_parallel_residual: s.flag("use_parallel_residual") ?? true,
      attention_bias: s.has(/^blk\.\d+\.attn_qkv\.bias$/),
      rotary_pct: (s.natural("rope.dimension_count") ?? s.headDimension()) / s.headDimension(),
      rotary_emb_base: s.real("rope.freq_base") ?? 10_000,
    }),
  },
};

/** LongRoPE's factors are tensors in GGUF. */
function longRope(s: GgufSettings): JsonObject | null {
  const [short, long] = [s.values("rope_factors_short.weight"), s.values("rope_factors_long.weight")];
  if (short === undefined || long === undefined) return null;
  return {
    rope_type: "longrope",
    short_factor: Array.from(short, shortestFloat32),
    long_factor: Array.from(long, shortestFloat32),
  };
}

/** What a GGUF tensor is in Hugging Face's terms: its name, and how it lies. Undefined for one that holds settings. */
interface NamedTensor {
  readonly name: string;
  readonly layout: TensorLayout | undefined;
}

/** Throws CheckpointError for a tensor that the architecture does not have. */
export function huggingFaceTensor(
  source: string,
  architecture: GgufArchitecture,
  config: JsonObject,
  name: string,
): NamedTensor | undefined {
  if (SETTING_TENSORS.has(name)) return undefined;
  const { title, top, layers, modules, layout } = architecture;
  if (Object.hasOwn(top, name)) {
    const [module, kind] = name.split(".") as [string, string];
    const isEmbedding = module.endsWith("embd") || module === "output";
    return { name: top[name]!, layout: isEmbedding ? undefined : layout?.(module, kind, config) };
  }
  const [, layer, module, kind] = /^blk\.(\d+)\.(\w+)\.(weight|bias)$/.exec(name) ?? [];
  if (module !== undefined && kind !== undefined && Object.hasOwn(modules, module)) {
    return { name: `${layers}.${layer}.${modules[module]}.${kind}`, layout: layout?.(module, kind, config) };
  }
  throw new CheckpointError(
    `${source}: tensor ${JSON.stringify(name)} is not part of the ${title} architecture that preftune reads.`,
  );
}
