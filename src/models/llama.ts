/**
 * The Llama architecture (Touvron et al. 2023): pre-normalized blocks of rotary grouped-query attention and a gated
 * SiLU feed-forward layer. Flat token rows, no batch axis: who may look at whom is the mask's business.
 */

import { z } from "zod";
import type { JsonObject } from "../checkpoints/checkpoint.ts";
import { CheckpointError } from "../errors.ts";
import {
  add,
  attend,
  concat,
  gather,
  matmul,
  product,
  reshape,
  rmsNorm,
  rope,
  scope,
  swiglu,
  type Tensor,
  transpose,
} from "../tensor/index.ts";
import type { LanguageModel, ModelOutputs, TokenInputs } from "./model.ts";
import type { Parameters } from "./parameters.ts";
import { readRotaryScaling, rotaryTables } from "./rotary.ts";

const positive = z.number().int().positive();
const configSchema = z.object({
  vocab_size: positive,
  hidden_size: positive,
  intermediate_size: positive,
  num_hidden_layers: positive,
  num_attention_heads: positive,
  num_key_value_heads: positive.nullish(),
  head_dim: positive.nullish(),
  max_position_embeddings: positive.default(2048),
  rms_norm_eps: z.number().positive().default(1e-6),
  rope_theta: z.number().positive().nullish(),
  rope_scaling: z.unknown().optional(),
  rope_parameters: z.unknown().optional(),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  tie_word_embeddings: z.boolean().default(false),
  hidden_act: z.literal("silu", { error: 'only "silu" is supported' }).default("silu"),
  partial_rotary_factor: z.literal(1, { error: "only 1 is supported" }).nullish(),
  pretraining_tp: z.literal(1, { error: "only 1 is supported" }).nullish(),
});

/** Reads a Llama `config.json`. Throws CheckpointError for a setting that is missing or not supported. */
export function llama(config: JsonObject, source: string): LanguageModel {
  const parsed = configSchema.safeParse(config);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw new CheckpointError(`${source}: config.json: ${issue.path.join(".")}: ${issue.message}`);
  }
  const c = parsed.data;
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
  // transformers 5 writes one `rope_parameters`, earlier versions `rope_theta` beside `rope_scaling`.
  const ropeParameters = (c.rope_parameters ?? c.rope_scaling) as Record<string, unknown> | null | undefined;
  const rotary = {
    base: c.rope_theta ?? (typeof ropeParameters?.rope_theta === "number" ? ropeParameters.rope_theta : 10_000),
    headDim,
    scaling: readRotaryScaling(source, ropeParameters),
  };

  const { shapes, linearModules } = weightShapes({ ...c, heads, kvHeads, headDim });
  const embedding = "model.embed_tokens.weight";
  const options: BlockOptions = { heads, kvHeads, headDim, epsilon: c.rms_norm_eps };

  const forward = (parameters: Parameters, inputs: TokenInputs): ModelOutputs => {
    const cache: ModelOutputs["cache"][number][] = [];
    let x = gather(parameters.tensor(embedding), inputs.tokens);
    for (let layer = 0; layer < c.num_hidden_layers; layer++) {
      x = scope(`layers.${layer}`, () => {
        const last = layer === c.num_hidden_layers - 1;
        const block = new Block(parameters, `model.layers.${layer}`, options, inputs, last);
        const attended = scope("self_attn", () => block.attention(x, inputs.past?.[layer]));
        cache.push(attended.cache);
        return scope("mlp", () => block.feedForward(attended.output));
      });
    }
    const hidden = scope("norm", () => rmsNorm(x, parameters.tensor("model.norm.weight"), c.rms_norm_eps));
    return { hidden, cache };
  };

  return {
    family: "llama",
    weights: shapes,
    layers: c.num_hidden_layers,
    hiddenSize: c.hidden_size,
    attentionHeads: heads,
    vocabularySize: c.vocab_size,
    maxPositions: c.max_position_embeddings,
    cacheWidth: kvHeads * headDim,
    linearModules,
    scores: "log-probability",
    headWeight: c.tie_word_embeddings ? embedding : "lm_head.weight",
    rotaryTables: (count) => rotaryTables(rotary, count),
    forward,
  };
}

interface BlockOptions {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly epsilon: number;
}

/** One transformer block. Only the last block knows which rows are wanted, and computes no others past its keys and values. */
class Block {
  private readonly p: Parameters;
  private readonly path: string;
  private readonly o: BlockOptions;
  private readonly inputs: TokenInputs;
  private readonly last: boolean;

  constructor(p: Parameters, path: string, o: BlockOptions, inputs: TokenInputs, last: boolean) {
    this.p = p;
    this.path = path;
    this.o = o;
    this.inputs = inputs;
    this.last = last;
  }

  /** x [T, hidden] plus what its tokens see: [T, hidden], or [R, hidden] in the last block. */
  attention(x: Tensor, past?: { key: Tensor; value: Tensor }) {
    const { heads, kvHeads, headDim } = this.o;
    const { positions, mask, rows, rotary } = this.inputs;
    const module = (name: string) => `${this.path}.self_attn.${name}`;
    const rotate = (t: Tensor, at: Tensor, count: number) => rope(t, at, rotary, { heads: count });
    const pick = (t: Tensor) => (this.last ? gather(t, rows) : t);

    const normalized = this.norm("input_layernorm", x);
    const names = ["q_proj", "k_proj", "v_proj"].map(module);
    const [q, k, v] = this.last
      ? [...this.p.linears(names.slice(0, 1), pick(normalized)), ...this.p.linears(names.slice(1), normalized)]
      : this.p.linears(names, normalized);
    const query = rotate(q!, pick(positions), heads);
    const own = { key: rotate(k!, positions, kvHeads), value: v! };
    const key = past ? concat([past.key, own.key], 0) : own.key;
    const value = past ? concat([past.value, own.value], 0) : own.value;

    // Query heads of one group read the same keys, so a group's heads are stacked as rows of one product.
    const [t, s, group] = [query.shape[0]!, key.shape[0]!, heads / kvHeads];
    const stacked = reshape(transpose(reshape(query, [t, kvHeads, group, headDim]), [1, 2, 0, 3]), [
      kvHeads,
      product([group, t]),
      headDim,
    ]);
    const byHead = (tensor: Tensor) => transpose(reshape(tensor, [s, kvHeads, headDim]), [1, 0, 2]);
    const scores = matmul(stacked, byHead(key), { transB: true, alpha: 1 / Math.sqrt(headDim) });
    const masked = reshape(add(reshape(scores, [kvHeads, group, t, s]), pick(mask)), scores.shape);
    const context = reshape(attend(masked, byHead(value)), [kvHeads, group, t, headDim]);
    const merged = reshape(transpose(context, [2, 0, 1, 3]), [t, heads * headDim]);
    const [output] = this.p.linears([module("o_proj")], merged);
    return { output: add(pick(x), output!), cache: own };
  }

  /** x plus W_down (silu(W_gate n) * W_up n) with n = norm(x). */
  feedForward(x: Tensor): Tensor {
    const module = (name: string) => `${this.path}.mlp.${name}`;
    const normalized = this.norm("post_attention_layernorm", x);
    const [gate, up] = this.p.linears([module("gate_proj"), module("up_proj")], normalized);
    const [down] = this.p.linears([module("down_proj")], swiglu(gate!, up!));
    return add(x, down!);
  }

  private norm(name: string, x: Tensor): Tensor {
    return rmsNorm(x, this.p.tensor(`${this.path}.${name}.weight`), this.o.epsilon);
  }
}

interface Sizes extends z.infer<typeof configSchema> {
  heads: number;
  kvHeads: number;
  headDim: number;
}

function weightShapes(c: Sizes) {
  const shapes = new Map<string, readonly number[]>([["model.embed_tokens.weight", [c.vocab_size, c.hidden_size]]]);
  const linearModules: string[] = [];
  const linear = (path: string, outFeatures: number, inFeatures: number, bias: boolean) => {
    linearModules.push(path);
    shapes.set(`${path}.weight`, [outFeatures, inFeatures]);
    if (bias) shapes.set(`${path}.bias`, [outFeatures]);
  };
  for (let layer = 0; layer < c.num_hidden_layers; layer++) {
    const path = `model.layers.${layer}`;
    shapes.set(`${path}.input_layernorm.weight`, [c.hidden_size]);
    linear(`${path}.self_attn.q_proj`, c.heads * c.headDim, c.hidden_size, c.attention_bias);
    linear(`${path}.self_attn.k_proj`, c.kvHeads * c.headDim, c.hidden_size, c.attention_bias);
    linear(`${path}.self_attn.v_proj`, c.kvHeads * c.headDim, c.hidden_size, c.attention_bias);
    linear(`${path}.self_attn.o_proj`, c.hidden_size, c.heads * c.headDim, c.attention_bias);
    shapes.set(`${path}.post_attention_layernorm.weight`, [c.hidden_size]);
    linear(`${path}.mlp.gate_proj`, c.intermediate_size, c.hidden_size, c.mlp_bias);
    linear(`${path}.mlp.up_proj`, c.intermediate_size, c.hidden_size, c.mlp_bias);
    linear(`${path}.mlp.down_proj`, c.hidden_size, c.intermediate_size, c.mlp_bias);
  }
  shapes.set("model.norm.weight", [c.hidden_size]);
  if (!c.tie_word_embeddings) shapes.set("lm_head.weight", [c.vocab_size, c.hidden_size]);
  return { shapes, linearModules };
}
