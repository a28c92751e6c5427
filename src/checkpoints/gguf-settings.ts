/** The settings of a GGUF file's architecture, whose keys begin with its name, and what of config.json they make in every family. */
import { CheckpointError } from "../errors.ts";
import type { JsonObject } from "./checkpoint.ts";
import type { GgufTensor } from "./gguf-header.ts";
import { type GgufMetadata, shortestFloat32 } from "./gguf-metadata.ts";
import { fitLlama3Scaling } from "./rope-factors.ts";

/** Per-frequency divisors of Llama 3's RoPE scaling; part of the configuration, not a weight. */
const ROPE_FACTORS = "rope_freqs.weight";

export class GgufSettings {
  readonly metadata: GgufMetadata;
  /** `general.architecture`. */
  readonly architecture: string;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  readonly #read: (tensor: GgufTensor) => Float32Array;

  constructor(
    metadata: GgufMetadata,
    architecture: string,
    tensors: ReadonlyMap<string, GgufTensor>,
    read: (tensor: GgufTensor) => Float32Array,
  ) {
    this.metadata = metadata;
    this.architecture = architecture;
    this.tensors = tensors;
    this.#read = read;
  }

  get source(): string {
    return this.metadata.source;
  }

  natural(key: string): number | undefined {
    return this.metadata.natural(this.#key(key));
  }

  real(key: string): number | undefined {
    const value = this.metadata.real(this.#key(key));
    return value === undefined ? undefined : shortestFloat32(value);
  }

  flag(key: string): boolean | undefined {
    return this.metadata.flag(this.#key(key));
  }

  requireNatural(key: string): number {
    return this.metadata.require(this.#key(key), this.natural(key));
  }

  requireReal(key: string): number {
    return this.metadata.require(this.#key(key), this.real(key));
  }

  /** The values of a tensor that holds settings, undefined where it is not there. */
  values(name: string): Float32Array | undefined {
    const tensor = this.tensors.get(name);
    return tensor && this.#read(tensor);
  }

  /** Whether any tensor has such a name. */
  has(pattern: RegExp): boolean {
    return [...this.tensors.keys()].some((name) => pattern.test(name));
  }

  refuse(key: string, reason: string): never {
    throw new CheckpointError(`${this.source}: ${this.#key(key)} ${reason}`);
  }

  /** What every family's config.json has. */
  common(): JsonObject {
    const experts = this.natural("expert_count") ?? 0;
    if (experts > 0) {
      throw new CheckpointError(
        `${this.source}: has ${experts} experts (${this.#key("expert_count")}); mixtures of experts are not supported.`,
      );
    }
    const embedding = this.tensors.get("token_embd.weight");
    if (embedding === undefined) throw new CheckpointError(`${this.source}: has no tensor "token_embd.weight".`);
    const token = (name: string) => this.metadata.natural(`tokenizer.ggml.${name}_token_id`) ?? null;
    return {
      vocab_size: embedding.shape[0] ?? 0,
      tie_word_embeddings: !this.tensors.has("output.weight"),
      bos_token_id: token("bos"),
      eos_token_id: token("eos"),
      pad_token_id: token("padding"),
    };
  }

  /** What families of Llama's kind have besides. */
  decoder(): JsonObject {
    const heads = this.requireNatural("attention.head_count");
    return {
      hidden_size: this.requireNatural("embedding_length"),
      intermediate_size: this.requireNatural("feed_forward_length"),
      num_hidden_layers: this.requireNatural("block_count"),
      num_attention_heads: heads,
      num_key_value_heads: this.natural("attention.head_count_kv") ?? heads,
      head_dim: this.headDimension(),
      rms_norm_eps: this.requireReal("attention.layer_norm_rms_epsilon"),
      max_position_embeddings: this.requireNatural("context_length"),
      ...this.common(),
    };
  }

  headDimension(): number {
    const heads = this.requireNatural("attention.head_count");
    const headDim = this.natural("attention.key_length") ?? this.requireNatural("embedding_length") / heads;
    const values = this.natural("attention.value_length") ?? headDim;
    if (values !== headDim) this.#refuseWidth("attention.value_length", values, headDim);
    return headDim;
  }

  /** Base and scaling of the rotary embedding of whole heads. */
  rotary(): JsonObject {
    const headDim = this.headDimension();
    const turned = this.natural("rope.dimension_count") ?? headDim;
    if (turned !== headDim) this.#refuseWidth("rope.dimension_count", turned, headDim);
    const theta = this.real("rope.freq_base") ?? 10000;
    return { rope_theta: theta, rope_scaling: this.#ropeScaling(theta, headDim) };
  }

  #refuseWidth(key: string, width: number, headDim: number): never {
    return this.refuse(
      key,
      `is ${width} where heads are ${headDim} wide; partial rotary embedding and heads of unequal width are not supported.`,
    );
  }

  #ropeScaling(theta: number, headDim: number): JsonObject | null {
    const type = this.metadata.text(this.#key("rope.scaling.type")) ?? "none";
    const factor = this.real("rope.scaling.factor") ?? this.real("rope.scale_linear") ?? 1;
    const factors = this.values(ROPE_FACTORS);
    if (type === "yarn" && factors === undefined) {
      return {
        rope_type: "yarn",
        factor,
        original_max_position_embeddings: this.requireNatural("rope.scaling.original_context_length"),
        ...this.#yarnOptions(),
      };
    }
    if (type !== "none" && type !== "linear") {
      throw new CheckpointError(`${this.source}: RoPE scaling of type ${JSON.stringify(type)} is not supported.`);
    }
    if (factors !== undefined) {
      const scaling = fitLlama3Scaling(factors, theta, headDim);
      if (scaling === undefined) {
        throw new CheckpointError(
          `${this.source}: ${ROPE_FACTORS} holds RoPE factors that are not Llama 3's; they are not supported.`,
        );
      }
      return scaling;
    }
    return type === "linear" && factor !== 1 ? { rope_type: "linear", factor } : null;
  }

  /** What the converter writes of YaRN only where config.json says it. */
  #yarnOptions(): JsonObject {
    const options = {
      attention_factor: this.real("rope.scaling.yarn_attn_factor"),
      beta_fast: this.real("rope.scaling.yarn_beta_fast"),
      beta_slow: this.real("rope.scaling.yarn_beta_slow"),
    };
    return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as JsonObject;
  }

  #key(key: string): string {
    return `${this.architecture}.${key}`;
  }
}
