/**
 * The decoder that Llama (Touvron et al. 2023) made usual: blocks of rotary grouped-query attention and a gated feed-forward
 * layer, each added to the residual stream, with root-mean-square norms. What families make differently of it is said by
 * `DecoderOptions`; names of weights are those of Hugging Face's `model.layers.N`.
 */

import { add, gather, geglu, mul, rmsNorm, scope, slice, swiglu, type Tensor } from "../../tensor/index.ts";
import type { LanguageModel, TokenInputs } from "../model.ts";
import type { Parameters } from "../parameters.ts";
import { type RotaryOptions, rotaryTables, rotaryWidth } from "../rotary.ts";
import { type AttentionOptions, attention, type HeadSizes, type Projections } from "./attention.ts";
import { type LayerInputs, type LayerOutputs, runLayers } from "./layer.ts";
import { normHeads } from "./norms.ts";
import { tableColumns } from "./rotate.ts";

interface DecoderOptions extends HeadSizes {
  readonly family: string;
  readonly vocabularySize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly maxPositions: number;
  /** The embedding serves as the output head too. */
  readonly tied: boolean;
  readonly norms: NormNames;
  readonly epsilon: number;
  /** Norms multiply by 1 + weight. */
  readonly gainFromOne?: boolean;
  /** Which linear layers have a bias. */
  readonly biases?: {
    readonly queryKeyValue?: boolean;
    readonly attentionOutput?: boolean;
    readonly feedForward?: boolean;
  };
  /** Queries, keys and values come from one `qkv_proj`, gate and up from one `gate_up_proj`. */
  readonly fused?: boolean;
  /** Norms of queries and keys before they are turned: of each head, or of all heads together. */
  readonly queryKeyNorm?: "head" | "all";
  readonly activation: "silu" | "geluTanh";
  /** The factor on the products of queries and keys; 1 / sqrt(headDim) where it is not given. */
  readonly attentionScale?: number;
  readonly attentionCap?: number | undefined;
  readonly logitCap?: number | undefined;
  /** A factor on the embedded tokens. */
  readonly embeddingScale?: number;
  /** The rotary embeddings that layers turn by. */
  readonly rotary: readonly RotaryOptions[];
  /** What each layer has of its own; all positions and the first rotary embedding where nothing is said. */
  readonly layer?: (index: number) => LayerOptions;
}

interface LayerOptions {
  /** Which rotary embedding it turns by; null for none. */
  readonly rotary?: number | null;
  readonly window?: number | undefined;
}

/** The last names of a block's norms, where it has them. */
interface NormNames {
  readonly beforeAttention?: string;
  readonly afterAttention?: string;
  readonly beforeFeedForward?: string;
  readonly afterFeedForward?: string;
}

/** Norms before attention and before the feed-forward layer, by Llama's names. */
export const PRE_NORMS: NormNames = {
  beforeAttention: "input_layernorm",
  beforeFeedForward: "post_attention_layernorm",
};

/** Norms before and after both, by Gemma's names. */
export const AROUND_NORMS: NormNames = {
  beforeAttention: "input_layernorm",
  afterAttention: "post_attention_layernorm",
  beforeFeedForward: "pre_feedforward_layernorm",
  afterFeedForward: "post_feedforward_layernorm",
};

/** Norms after attention and after the feed-forward layer, by OLMo 2's names. */
export const POST_NORMS: NormNames = {
  afterAttention: "post_attention_layernorm",
  afterFeedForward: "post_feedforward_layernorm",
};

const EMBEDDING = "model.embed_tokens.weight";

/** The model of these options. */
export function decoder(options: DecoderOptions): LanguageModel {
  const { weights, linearModules } = weightShapes(options);
  const forward: LanguageModel["forward"] = (parameters, inputs) => {
    const embedded = gather(parameters.tensor(EMBEDDING), inputs.tokens);
    return runLayers(inputs, options.embeddingScale ? mul(embedded, options.embeddingScale) : embedded, {
      count: options.layers,
      layer: (x, layer, index) => new Block(parameters, options, layer, index).run(x),
      norm: (x) => norm(parameters, options, "model.norm", x),
    });
  };
  return {
    family: options.family,
    weights,
    layers: options.layers,
    hiddenSize: options.hiddenSize,
    attentionHeads: options.heads,
    vocabularySize: options.vocabularySize,
    maxPositions: options.maxPositions,
    cacheWidth: options.kvHeads * options.headDim,
    linearModules,
    scores: "log-probability",
    headWeight: options.tied ? EMBEDDING : "lm_head.weight",
    logitCap: options.logitCap,
    rotaryTables: (count) => rotaryTables(options.rotary, count),
    forward,
  };
}

function norm(parameters: Parameters, { epsilon, gainFromOne }: DecoderOptions, path: string, x: Tensor): Tensor {
  return rmsNorm(x, gain(parameters, path, gainFromOne), epsilon);
}

function gain(parameters: Parameters, path: string, fromOne = false): Tensor {
  const weight = parameters.tensor(`${path}.weight`);
  return fromOne ? add(weight, 1) : weight;
}

class Block {
  private readonly p: Parameters;
  private readonly o: DecoderOptions;
  private readonly inputs: LayerInputs;
  private readonly path: string;
  private readonly own: LayerOptions;

  constructor(p: Parameters, o: DecoderOptions, inputs: LayerInputs, index: number) {
    this.p = p;
    this.o = o;
    this.inputs = inputs;
    this.path = `model.layers.${index}`;
    this.own = o.layer?.(index) ?? {};
  }

  run(x: Tensor): LayerOutputs {
    const attended = scope("self_attn", () => this.attention(x));
    return { output: scope("mlp", () => this.feedForward(attended.output)), cache: attended.cache };
  }

  /** The picked rows of x plus what they see, and the keys and values of all rows. */
  private attention(x: Tensor): LayerOutputs {
    const { norms } = this.o;
    const projected = this.normQueryAndKey(this.project(this.norm(norms.beforeAttention, x)));
    const { context, cache } = attention(projected, this.inputs, this.attentionOptions());
    const [output] = this.p.linears([`${this.path}.self_attn.o_proj`], context);
    return { output: add(this.inputs.pick(x), this.norm(norms.afterAttention, output!)), cache };
  }

  private project(x: Tensor): Projections {
    const { heads, kvHeads, headDim, fused } = this.o;
    const { inputs, p } = this;
    const module = (name: string) => `${this.path}.self_attn.${name}`;
    if (fused) {
      const [all] = p.linears([module("qkv_proj")], x);
      const [queries, keys] = [heads * headDim, (heads + kvHeads) * headDim];
      return {
        query: inputs.pick(slice(all!, 1, 0, queries)),
        key: slice(all!, 1, queries, keys),
        value: slice(all!, 1, keys, keys + kvHeads * headDim),
      };
    }
    const names = ["q_proj", "k_proj", "v_proj"].map(module);
    const [query, key, value] = inputs.picks
      ? [...p.linears(names.slice(0, 1), inputs.pick(x)), ...p.linears(names.slice(1), x)]
      : p.linears(names, x);
    return { query: query!, key: key!, value: value! };
  }

  private normQueryAndKey({ query, key, value }: Projections): Projections {
    const { queryKeyNorm, epsilon, gainFromOne } = this.o;
    if (!queryKeyNorm) return { query, key, value };
    const normalize = (x: Tensor, name: string) => {
      const weight = gain(this.p, `${this.path}.self_attn.${name}`, gainFromOne);
      return queryKeyNorm === "head" ? normHeads(x, weight, epsilon) : rmsNorm(x, weight, epsilon);
    };
    return { query: normalize(query, "q_norm"), key: normalize(key, "k_norm"), value };
  }

  private attentionOptions(): AttentionOptions {
    const { heads, kvHeads, headDim, attentionScale, attentionCap, rotary } = this.o;
    const { rotary: own = 0, window } = this.own;
    return {
      heads,
      kvHeads,
      headDim,
      scale: attentionScale ?? 1 / Math.sqrt(headDim),
      cap: attentionCap,
      rotary: own === null ? undefined : ownTables(this.inputs.rotary, rotary, own),
      window,
    };
  }

  /** x plus W_down (activation(W_gate n) * W_up n) with n = norm(x). */
  private feedForward(x: Tensor): Tensor {
    const { norms, activation, fused, intermediateSize } = this.o;
    const module = (name: string) => `${this.path}.mlp.${name}`;
    const normalized = this.norm(norms.beforeFeedForward, x);
    const [gate, up] = fused
      ? halves(this.p.linears([module("gate_up_proj")], normalized)[0]!, intermediateSize)
      : this.p.linears([module("gate_proj"), module("up_proj")], normalized);
    const inner = activation === "silu" ? swiglu(gate!, up!) : geglu(gate!, up!);
    const [down] = this.p.linears([module("down_proj")], inner);
    return add(x, this.norm(norms.afterFeedForward, down!));
  }

  private norm(name: string | undefined, x: Tensor): Tensor {
    return name === undefined ? x : norm(this.p, this.o, `${this.path}.${name}`, x);
  }
}

function halves(x: Tensor, width: number): [Tensor, Tensor] {
  return [slice(x, 1, 0, width), slice(x, 1, width, 2 * width)];
}

/** The tables of one of several rotary embeddings. */
function ownTables(tables: TokenInputs["rotary"], all: readonly RotaryOptions[], index: number): TokenInputs["rotary"] {
  const start = all.slice(0, index).reduce((columns, one) => columns + rotaryWidth(one), 0);
  return tableColumns(tables, start, rotaryWidth(all[index]!));
}

function weightShapes(o: DecoderOptions): Pick<LanguageModel, "weights" | "linearModules"> {
  const { hiddenSize: hidden, intermediateSize: inner, norms, biases = {} } = o;
  const weights = new Map<string, readonly number[]>([[EMBEDDING, [o.vocabularySize, hidden]]]);
  const linearModules: string[] = [];
  const linear = (path: string, outFeatures: number, inFeatures: number, bias = false) => {
    linearModules.push(path);
    weights.set(`${path}.weight`, [outFeatures, inFeatures]);
    if (bias) weights.set(`${path}.bias`, [outFeatures]);
  };
  const vector = (path: string, size: number) => weights.set(`${path}.weight`, [size]);
  const [queries, keys] = [o.heads * o.headDim, o.kvHeads * o.headDim];
  for (let layer = 0; layer < o.layers; layer++) {
    const path = `model.layers.${layer}`;
    const blockNorm = (name: string | undefined) => name !== undefined && vector(`${path}.${name}`, hidden);
    const { queryKeyValue, attentionOutput, feedForward } = biases;
    blockNorm(norms.beforeAttention);
    if (o.fused) linear(`${path}.self_attn.qkv_proj`, queries + 2 * keys, hidden, queryKeyValue);
    else {
      linear(`${path}.self_attn.q_proj`, queries, hidden, queryKeyValue);
      linear(`${path}.self_attn.k_proj`, keys, hidden, queryKeyValue);
      linear(`${path}.self_attn.v_proj`, keys, hidden, queryKeyValue);
    }
    linear(`${path}.self_attn.o_proj`, hidden, queries, attentionOutput);
    if (o.queryKeyNorm) {
      vector(`${path}.self_attn.q_norm`, o.queryKeyNorm === "head" ? o.headDim : queries);
      vector(`${path}.self_attn.k_norm`, o.queryKeyNorm === "head" ? o.headDim : keys);
    }
    blockNorm(norms.afterAttention);
    blockNorm(norms.beforeFeedForward);
    if (o.fused) linear(`${path}.mlp.gate_up_proj`, 2 * inner, hidden, feedForward);
    else {
      linear(`${path}.mlp.gate_proj`, inner, hidden, feedForward);
      linear(`${path}.mlp.up_proj`, inner, hidden, feedForward);
    }
    linear(`${path}.mlp.down_proj`, hidden, inner, feedForward);
    blockNorm(norms.afterFeedForward);
  }
  vector("model.norm", hidden);
  if (!o.tied) weights.set("lm_head.weight", [o.vocabularySize, hidden]);
  return { weights, linearModules };
}
