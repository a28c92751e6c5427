/**
 * GPT-NeoX (Black et al. 2022, arXiv 2204.06745), the architecture of Pythia: attention and feed-forward layer read the same
 * residual stream, the first dimensions of each head turn, and each head's query, key and value lie together in one projection.
 */

import { z } from "zod";
import type { JsonObject } from "../checkpoints/checkpoint.ts";
import { CheckpointError } from "../errors.ts";
import { add, gather, reshape, scope, slice, type Tensor } from "../tensor/index.ts";
import { type AttentionOptions, attention, type Projections } from "./blocks/attention.ts";
import { type LayerInputs, type LayerOutputs, runLayers } from "./blocks/layer.ts";
import { layerNorm } from "./blocks/norms.ts";
import { activationSetting, activations, layerCount, positive, readConfig, ropeShape } from "./config.ts";
import type { LanguageModel } from "./model.ts";
import type { Parameters } from "./parameters.ts";
import { rotaryTables } from "./rotary.ts";
import { readRotary } from "./rotary-config.ts";

const configSchema = z.object({
  vocab_size: positive,
  hidden_size: positive,
  intermediate_size: positive,
  num_hidden_layers: layerCount,
  num_attention_heads: positive,
  max_position_embeddings: positive.default(2048),
  layer_norm_eps: z.number().positive().default(1e-5),
  hidden_act: activationSetting.default("gelu"),
  use_parallel_residual: z.boolean().default(true),
  attention_bias: z.boolean().default(true),
  tie_word_embeddings: z.boolean().default(false),
  rotary_emb_base: z.number().positive().default(10_000),
  rotary_pct: z.number().positive().default(0.25),
  ...ropeShape,
});

type Config = z.infer<typeof configSchema>;

const EMBEDDING = "gpt_neox.embed_in.weight";
const HEAD = "embed_out.weight";

/** Reads a GPT-NeoX `config.json`. Throws CheckpointError for a setting that is missing or not supported. */
export function gptNeoX(config: JsonObject, source: string): LanguageModel {
  const c = readConfig(configSchema, config, source);
  const headDim = c.hidden_size / c.num_attention_heads;
  if (!Number.isInteger(headDim)) {
    throw new CheckpointError(
      `${source}: config.json: hidden_size ${c.hidden_size} must be a multiple of num_attention_heads ${c.num_attention_heads}`,
    );
  }
  const rotary = [readRotary(c, { source, headDim, base: c.rotary_emb_base, partial: c.rotary_pct })];
  return {
    family: "gpt_neox",
    ...weightShapes(c),
    layers: c.num_hidden_layers,
    hiddenSize: c.hidden_size,
    attentionHeads: c.num_attention_heads,
    vocabularySize: c.vocab_size,
    maxPositions: c.max_position_embeddings,
    cacheWidth: c.hidden_size,
    scores: "log-probability",
    headWeight: c.tie_word_embeddings ? EMBEDDING : HEAD,
    rotaryTables: (count) => rotaryTables(rotary, count),
    forward: (parameters, inputs) =>
      runLayers(inputs, gather(parameters.tensor(EMBEDDING), inputs.tokens), {
        count: c.num_hidden_layers,
        layer: (x, layer, index) => block(parameters, c, layer, index, x),
        norm: (x) => norm(parameters, c, "gpt_neox.final_layer_norm", x),
      }),
  };
}

function norm(parameters: Parameters, { layer_norm_eps: epsilon }: Config, path: string, x: Tensor): Tensor {
  return layerNorm(x, parameters.tensor(`${path}.weight`), parameters.tensor(`${path}.bias`), epsilon);
}

function block(parameters: Parameters, c: Config, inputs: LayerInputs, index: number, x: Tensor): LayerOutputs {
  const path = `gpt_neox.layers.${index}`;
  const linear = (name: string, rows: Tensor) => parameters.linears([`${path}.${name}`], rows)[0]!;
  const heads = c.num_attention_heads;
  const headDim = c.hidden_size / heads;
  const options: AttentionOptions = {
    heads,
    kvHeads: heads,
    headDim,
    scale: 1 / Math.sqrt(headDim),
    rotary: inputs.rotary,
  };
  const attended = scope("attention", () => {
    const all = linear("attention.query_key_value", norm(parameters, c, `${path}.input_layernorm`, x));
    const { context, cache } = attention(splitHeads(all, options, inputs), inputs, options);
    return { output: linear("attention.dense", context), cache };
  });
  const picked = inputs.pick(x);
  const output = scope("mlp", () => {
    const residual = add(attended.output, picked);
    const read = c.use_parallel_residual ? picked : residual;
    const inner = linear("mlp.dense_h_to_4h", norm(parameters, c, `${path}.post_attention_layernorm`, read));
    return add(linear("mlp.dense_4h_to_h", activations[c.hidden_act](inner)), residual);
  });
  return { output, cache: attended.cache };
}

/** Each head's query, key and value lie together: [T, heads, 3, headDim]. */
function splitHeads(all: Tensor, { heads, headDim }: AttentionOptions, inputs: LayerInputs): Projections {
  const tokens = all.shape[0]!;
  const byHead = reshape(all, [tokens, heads, 3 * headDim]);
  const part = (i: number) => reshape(slice(byHead, 2, i * headDim, (i + 1) * headDim), [tokens, heads * headDim]);
  return { query: inputs.pick(part(0)), key: part(1), value: part(2) };
}

function weightShapes(c: Config): Pick<LanguageModel, "weights" | "linearModules"> {
  const { hidden_size: hidden, intermediate_size: inner } = c;
  const weights = new Map<string, readonly number[]>([[EMBEDDING, [c.vocab_size, hidden]]]);
  const linearModules: string[] = [];
  const linear = (path: string, outFeatures: number, inFeatures: number, bias: boolean) => {
    linearModules.push(path);
    weights.set(`${path}.weight`, [outFeatures, inFeatures]);
    if (bias) weights.set(`${path}.bias`, [outFeatures]);
  };
  const vectors = (path: string) => weights.set(`${path}.weight`, [hidden]).set(`${path}.bias`, [hidden]);
  for (let layer = 0; layer < c.num_hidden_layers; layer++) {
    const path = `gpt_neox.layers.${layer}`;
    vectors(`${path}.input_layernorm`);
    vectors(`${path}.post_attention_layernorm`);
    linear(`${path}.attention.query_key_value`, 3 * hidden, hidden, c.attention_bias);
    linear(`${path}.attention.dense`, hidden, hidden, c.attention_bias);
    linear(`${path}.mlp.dense_h_to_4h`, inner, hidden, true);
    linear(`${path}.mlp.dense_4h_to_h`, hidden, inner, true);
  }
  vectors("gpt_neox.final_layer_norm");
  if (!c.tie_word_embeddings) weights.set(HEAD, [c.vocab_size, hidden]);
  return { weights, linearModules };
}
