/**
 * GPT-2 (Radford et al. 2019): learned positions, layer norms, and a plain feed-forward layer. Its linear layers are
 * transformers' Conv1D: weights [in, out], queries, keys and values from one.
 */

import { z } from "zod";
import type { JsonObject } from "../checkpoints/checkpoint.ts";
import { CheckpointError } from "../errors.ts";
import { add, gather, scope, slice, type Tensor } from "../tensor/index.ts";
import { attention } from "./blocks/attention.ts";
import { type LayerInputs, type LayerOutputs, runLayers } from "./blocks/layer.ts";
import { layerNorm } from "./blocks/norms.ts";
import { activationSetting, activations, layerCount, only, positive, readConfig } from "./config.ts";
import type { LanguageModel } from "./model.ts";
import type { Parameters } from "./parameters.ts";

const configSchema = z.object({
  vocab_size: positive,
  n_positions: positive.default(1024),
  n_embd: positive,
  n_layer: layerCount,
  n_head: positive,
  n_inner: positive.nullish(),
  activation_function: activationSetting.default("gelu_new"),
  layer_norm_epsilon: z.number().positive().default(1e-5),
  scale_attn_weights: z.boolean().default(true),
  scale_attn_by_inverse_layer_idx: z.boolean().default(false),
  add_cross_attention: only(false).default(false),
  tie_word_embeddings: z.boolean().default(true),
});

type Config = z.infer<typeof configSchema>;

const EMBEDDING = "transformer.wte.weight";
const POSITIONS = "transformer.wpe.weight";
const CONV1D = { fanInFanOut: true };

/** Reads a GPT-2 `config.json`. Throws CheckpointError for a setting that is missing or not supported. */
export function gpt2(config: JsonObject, source: string): LanguageModel {
  const c = readConfig(configSchema, config, source);
  if (c.n_embd % c.n_head !== 0) {
    throw new CheckpointError(`${source}: config.json: n_embd ${c.n_embd} must be a multiple of n_head ${c.n_head}`);
  }
  return {
    family: "gpt2",
    ...weightShapes(c),
    layers: c.n_layer,
    hiddenSize: c.n_embd,
    attentionHeads: c.n_head,
    vocabularySize: c.vocab_size,
    maxPositions: c.n_positions,
    cacheWidth: c.n_embd,
    fanInFanOut: true,
    scores: "log-probability",
    headWeight: c.tie_word_embeddings ? EMBEDDING : "lm_head.weight",
    rotaryTables: () => ({ cos: new Float32Array(), sin: new Float32Array(), width: 0 }),
    forward: (parameters, inputs) => {
      const tokens = gather(parameters.tensor(EMBEDDING), inputs.tokens);
      return runLayers(inputs, add(tokens, gather(parameters.tensor(POSITIONS), inputs.positions)), {
        count: c.n_layer,
        layer: (x, layer, index) => block(parameters, c, layer, index, x),
        norm: (x) => norm(parameters, c, "transformer.ln_f", x),
      });
    },
  };
}

function norm(parameters: Parameters, { layer_norm_epsilon: epsilon }: Config, path: string, x: Tensor): Tensor {
  return layerNorm(x, parameters.tensor(`${path}.weight`), parameters.tensor(`${path}.bias`), epsilon);
}

function block(parameters: Parameters, c: Config, inputs: LayerInputs, index: number, x: Tensor): LayerOutputs {
  const path = `transformer.h.${index}`;
  const linear = (name: string, rows: Tensor) => parameters.linears([`${path}.${name}`], rows, CONV1D)[0]!;
  const headDim = c.n_embd / c.n_head;
  const scale =
    (c.scale_attn_weights ? 1 / Math.sqrt(headDim) : 1) / (c.scale_attn_by_inverse_layer_idx ? index + 1 : 1);
  const attended = scope("attn", () => {
    const all = linear("attn.c_attn", norm(parameters, c, `${path}.ln_1`, x));
    const part = (i: number) => slice(all, 1, i * c.n_embd, (i + 1) * c.n_embd);
    const projected = { query: inputs.pick(part(0)), key: part(1), value: part(2) };
    const { context, cache } = attention(projected, inputs, { heads: c.n_head, kvHeads: c.n_head, headDim, scale });
    return { output: add(inputs.pick(x), linear("attn.c_proj", context)), cache };
  });
  const output = scope("mlp", () => {
    const inner = linear("mlp.c_fc", norm(parameters, c, `${path}.ln_2`, attended.output));
    return add(attended.output, linear("mlp.c_proj", activations[c.activation_function](inner)));
  });
  return { output, cache: attended.cache };
}

function weightShapes(c: Config): Pick<LanguageModel, "weights" | "linearModules"> {
  const weights = new Map<string, readonly number[]>([
    [EMBEDDING, [c.vocab_size, c.n_embd]],
    [POSITIONS, [c.n_positions, c.n_embd]],
  ]);
  const linearModules: string[] = [];
  const linear = (path: string, inFeatures: number, outFeatures: number) => {
    linearModules.push(path);
    weights.set(`${path}.weight`, [inFeatures, outFeatures]).set(`${path}.bias`, [outFeatures]);
  };
  const vectors = (path: string) => weights.set(`${path}.weight`, [c.n_embd]).set(`${path}.bias`, [c.n_embd]);
  const inner = c.n_inner ?? 4 * c.n_embd;
  for (let layer = 0; layer < c.n_layer; layer++) {
    const path = `transformer.h.${layer}`;
    vectors(`${path}.ln_1`);
    linear(`${path}.attn.c_attn`, c.n_embd, 3 * c.n_embd);
    linear(`${path}.attn.c_proj`, c.n_embd, c.n_embd);
    vectors(`${path}.ln_2`);
    linear(`${path}.mlp.c_fc`, c.n_embd, inner);
    linear(`${path}.mlp.c_proj`, inner, c.n_embd);
  }
  vectors("transformer.ln_f");
  if (!c.tie_word_embeddings) weights.set("lm_head.weight", [c.vocab_size, c.n_embd]);
  return { weights, linearModules };
}
