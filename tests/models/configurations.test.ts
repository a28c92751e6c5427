import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../src/checkpoints/checkpoint.ts";
import { modelFor } from "../../src/models/index.ts";
import { families } from "./families.ts";

/** The golden configuration of a variant with changes; keys that are undefined are taken out. */
function changed(variant: string, changes: object): JsonObject {
  return JSON.parse(JSON.stringify({ ...families.variants[variant]!.config, ...changes })) as JsonObject;
}
const read = (variant: string, changes: object) => modelFor({ config: changed(variant, changes), source: "m" });
const refusal = (variant: string, changes: object): string => {
  try {
    read(variant, changes);
  } catch (error) {
    if (error instanceof Error) return `${error.name}: ${error.message}`;
  }
  throw new Error("the configuration was accepted");
};

describe("a configuration that can't be computed is refused by name", () => {
  it("in every family: quantized weights, rotary embeddings that are not known", () => {
    for (const variant of Object.keys(families.variants)) {
      expect(refusal(variant, { quantization_config: { quant_method: "bitsandbytes" } })).toContain(
        'm: its weights are quantized (config.json: quantization_config, "bitsandbytes"), which is not supported.',
      );
      if (variant.startsWith("gpt2") || variant.startsWith("gemma3")) continue;
      expect(refusal(variant, { rope_parameters: null, rope_scaling: { type: "dynamic", factor: 2 } })).toBe(
        'CheckpointError: m: rope_scaling of type "dynamic" is not supported (supported: default, linear, llama3, longrope, yarn)',
      );
    }
  });

  it("architectures that resemble a family but are others", () => {
    for (const model_type of ["gemma3", "qwen3_moe", "mixtral", "phimoe", "gpt_neo", "constructor", "toString"]) {
      expect(refusal("qwen3", { model_type })).toMatch(
        /^CheckpointError: m: the architecture ".*" is not supported \(supported: llama, mistral, qwen2, .*, gpt_neox\)$/,
      );
    }
  });

  it("one that names no architecture", () => {
    expect(refusal("qwen3", { model_type: undefined })).toBe(
      "CheckpointError: m: config.json: model_type must name the architecture, not be missing",
    );
  });

  it("settings of each family", () => {
    expect(refusal("gemma2", { hidden_activation: "gelu" })).toBe(
      'CheckpointError: m: config.json: hidden_activation: only "gelu_pytorch_tanh" is supported',
    );
    expect(refusal("gemma3", { use_bidirectional_attention: true })).toBe(
      "CheckpointError: m: config.json: use_bidirectional_attention: only false is supported",
    );
    expect(refusal("gemma3", { attn_logit_softcapping: 50 })).toBe(
      "CheckpointError: m: config.json: attn_logit_softcapping: only null is supported",
    );
    expect(refusal("gemma2", { layer_types: ["full_attention"] })).toBe(
      "CheckpointError: m: config.json: layer_types has 1 entries for 2 layers",
    );
    expect(refusal("qwen3", { layer_types: ["full_attention", "chunked_attention"] })).toMatch(
      /config\.json: layer_types\.1: Invalid option: expected one of "full_attention"\|"sliding_attention"$/,
    );
    expect(refusal("smollm3", { no_rope_layers: [1] })).toBe(
      "CheckpointError: m: config.json: no_rope_layers has 1 entries for 2 layers",
    );
    expect(refusal("qwen2", { rope_parameters: null, partial_rotary_factor: 0.5 })).toBe(
      "CheckpointError: m: config.json: partial_rotary_factor: only 1 is supported",
    );
    expect(refusal("phi3-short", { rope_parameters: { type: "longrope", short_factor: [1], long_factor: [1] } })).toBe(
      "CheckpointError: m: rope_scaling.short_factor must be a list of 4 numbers above 0",
    );
    expect(refusal("phi3-short", { rope_parameters: { partial_rotary_factor: 0.4 } })).toBe(
      "CheckpointError: m: config.json: partial_rotary_factor 0.4 turns 3 of 8 dimensions; it must be an even number of them",
    );
    expect(refusal("qwen3", { rope_parameters: { full_attention: { rope_theta: 5 } } })).toBe(
      "CheckpointError: m: config.json: rope_parameters.full_attention: rotary embeddings of each kind of layer apart are not supported in this family",
    );
    expect(refusal("mistral-yarn", { rope_parameters: { type: "yarn", factor: 4, truncate: "no" } })).toBe(
      "CheckpointError: m: rope_scaling.truncate must be true or false",
    );
    for (const rope_theta of ["10000", 0, -1]) {
      expect(refusal("qwen2", { rope_parameters: { rope_theta } })).toBe(
        "CheckpointError: m: rope_scaling.rope_theta must be a number above 0",
      );
    }
    expect(refusal("gemma3", { rope_parameters: { full_attention: [] } })).toBe(
      "CheckpointError: m: config.json: rope_parameters.full_attention must be an object, not an array of 0",
    );
    expect(refusal("gpt2", { n_head: 5 })).toBe(
      "CheckpointError: m: config.json: n_embd 12 must be a multiple of n_head 5",
    );
    expect(refusal("gpt2", { add_cross_attention: true })).toBe(
      "CheckpointError: m: config.json: add_cross_attention: only false is supported",
    );
    expect(refusal("gpt_neox", { hidden_act: "relu" })).toMatch(
      /hidden_act: Invalid option: expected one of "gelu"\|"gelu_new"/,
    );
    expect(refusal("gpt_neox", { num_attention_heads: 3 })).toBe(
      "CheckpointError: m: config.json: hidden_size 16 must be a multiple of num_attention_heads 3",
    );
  });
});

describe("configurations of earlier versions of transformers mean the same", () => {
  const tables = (variant: string, changes: object) => read(variant, changes).rotaryTables(40);

  it("Gemma 3's two rotary bases", () => {
    const old = {
      rope_parameters: undefined,
      rope_theta: 1000,
      rope_local_base_freq: 50,
      rope_scaling: { rope_type: "linear", factor: 8 },
    };
    expect(tables("gemma3", old)).toEqual(tables("gemma3", {}));
    expect(tables("gemma3", { ...old, rope_local_base_freq: undefined })).not.toEqual(tables("gemma3", {}));
  });

  it("Phi-3's LongRoPE, once called su and yarn, with the part of a head that turns beside it", () => {
    const {
      partial_rotary_factor,
      rope_theta,
      rope_type: _,
      ...factors
    } = families.variants["phi3-short"]!.config.rope_parameters as JsonObject;
    for (const type of ["su", "yarn", "longrope"]) {
      const old = {
        rope_parameters: undefined,
        rope_theta,
        partial_rotary_factor,
        rope_scaling: { type, short_factor: factors.short_factor, long_factor: factors.long_factor },
      };
      expect(tables("phi3-short", old)).toEqual(tables("phi3-short", {}));
    }
  });

  it("rope_scaling stands for all of rope_parameters, where it says anything", () => {
    const { rope_theta, ...scaling } = families.variants["mistral-yarn"]!.config.rope_parameters as JsonObject;
    const both = { rope_theta, rope_parameters: { rope_type: "default", rope_theta: 7 } };
    expect(tables("mistral-yarn", { ...both, rope_scaling: scaling })).toEqual(tables("mistral-yarn", {}));
    expect(tables("mistral-yarn", { ...both, rope_scaling: {} })).toEqual(tables("mistral-yarn", both));
    expect(tables("mistral-yarn", both)).not.toEqual(tables("mistral-yarn", { ...both, rope_parameters: undefined }));
  });

  it("Gemma 3's rope_scaling adds to the parameters of the layers that see all", () => {
    const { full_attention, sliding_attention } = families.variants.gemma3!.config.rope_parameters as {
      [kind: string]: JsonObject;
    };
    const { rope_theta, ...scaling } = full_attention!;
    const both = { rope_parameters: { full_attention: { rope_theta }, sliding_attention }, rope_scaling: scaling };
    expect(tables("gemma3", both)).toEqual(tables("gemma3", {}));
  });

  it("the length of the first training beside the scaling comes before that in it", () => {
    const variants = {
      "mistral-yarn": 16,
      "qwen3-biased-yarn": 16,
      "phi3-short": 32,
    };
    for (const [variant, original_max_position_embeddings] of Object.entries(variants)) {
      const { config } = families.variants[variant]!;
      const inside = { ...(config.rope_parameters as JsonObject), original_max_position_embeddings: 8 };
      const changes = { rope_parameters: inside, original_max_position_embeddings };
      expect(tables(variant, changes)).toEqual(tables(variant, {}));
    }
  });

  it("GPT-NeoX's share and base", () => {
    const old = { rope_parameters: undefined, rotary_pct: 0.5, rotary_emb_base: 10_000 };
    expect(tables("gpt_neox", old)).toEqual(tables("gpt_neox", {}));
  });
});

it("LongRoPE has other angles for a run whose longest sequence is past the first training's", () => {
  const model = read("phi3-short", {});
  const [short, long] = [model.rotaryTables(32), model.rotaryTables(33)];
  expect(Array.from(short.cos.slice(0, short.width))).toEqual(Array.from(long.cos.slice(0, long.width)));
  expect(Array.from(short.cos.slice(short.width, 2 * short.width))).not.toEqual(
    Array.from(long.cos.slice(long.width, 2 * long.width)),
  );
});
