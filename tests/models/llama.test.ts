import { describe, expect, it } from "vitest";
import { checkpointParameters, modelFor } from "../../src/models/index.ts";
import { interpreter } from "../../src/runtime/interpreter.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { expectClose } from "../support/programs.ts";
import { compileScorer, golden, goldenModel, goldenTensors } from "./golden.ts";

const { examples, coefficients } = golden;

/** All weights of a golden model with the gradients of all of them, on an engine. */
async function runVariant(variant: string, runtime: typeof nodeRuntime) {
  const model = goldenModel(variant);
  const { weights } = goldenTensors(variant);
  const parameters = checkpointParameters(model.weights);
  const trained = () => [...model.weights.keys()].map((name) => ({ name, tensor: parameters.tensor(name) }));
  const score = await compileScorer({ model, parameters, runtime, trained });
  return score(examples, weights, coefficients);
}

describe.each(Object.keys(golden.variants))("the Llama graph of %s", (variant) => {
  it("has the weights of transformers' model, by name and shape", () => {
    const { weights } = goldenTensors(variant);
    const shapes = Object.fromEntries(Object.entries(weights).map(([name, { dims }]) => [name, dims]));
    expect(Object.fromEntries(goldenModel(variant).weights)).toEqual(shapes);
  });

  it("gives transformers' log-probabilities and gradients of all weights, packed into one micro-batch", async () => {
    const { logps } = golden.variants[variant]!;
    const scored = await runVariant(variant, nodeRuntime);
    expectClose(scored.tokens, logps.flat(), 2e-6, { what: "token log-probabilities" });
    const sums = logps.map((tokens) => tokens.reduce((a, b) => a + b, 0));
    expectClose(scored.completions, sums, 2e-6, { what: "completion log-probabilities" });
    for (const [name, expected] of goldenTensors(variant).gradients) {
      expectClose(scored.gradients.get(name)!, expected, 1e-5, { floor: 0, what: `gradient of ${name}` });
    }
  });
});

it("the Llama graph means the same to the interpreter, in float64", async () => {
  const variant = "biased";
  const scored = await runVariant(variant, interpreter);
  expectClose(scored.tokens, golden.variants[variant]!.logps.flat(), 1e-6);
  for (const [name, expected] of goldenTensors(variant).gradients) {
    expectClose(scored.gradients.get(name)!, expected, 1e-5, { floor: 0, what: `gradient of ${name}` });
  }
});

describe("a configuration", () => {
  const config = {
    model_type: "llama",
    vocab_size: 17,
    hidden_size: 16,
    intermediate_size: 16,
    num_hidden_layers: 2,
    num_attention_heads: 4,
  };
  const read = (changes: object) => modelFor({ config: { ...config, ...changes }, source: "models/tiny" });

  it("may leave out what has a default: as many key-value heads as heads, heads as wide as they fit", () => {
    const model = read({ head_dim: null, rope_theta: null });
    expect(model.weights.get("model.layers.1.self_attn.k_proj.weight")).toEqual([16, 16]);
    expect(model.headWeight).toBe("lm_head.weight");
    expect(model.maxPositions).toBe(2048);
    expect(model.rotaryTables(1).width).toBe(2);
  });

  it("of an older transformers, with rope_theta and rope_scaling apart, means the same as a new one", () => {
    const scaling = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 64 };
    const tables = (changes: object) => read({ hidden_size: 32, ...changes }).rotaryTables(100);
    const current = tables({ rope_parameters: { rope_type: "llama3", rope_theta: 500, ...scaling } });
    expect(tables({ rope_theta: 500, rope_scaling: { rope_type: "llama3", ...scaling } })).toEqual(current);
    expect(tables({ rope_theta: 500, rope_scaling: { type: "llama3", ...scaling } })).toEqual(current);
    expect(tables({ rope_theta: 500, rope_scaling: null })).not.toEqual(current);
  });

  it("with a setting that is not supported is refused by name, before any weight is read", () => {
    const refusal = (changes: object): string => {
      try {
        read(changes);
      } catch (error) {
        if (error instanceof Error) return `${error.name}: ${error.message}`;
      }
      throw new Error("the configuration was accepted");
    };
    expect(refusal({ model_type: "mamba" })).toMatchInlineSnapshot(
      `"CheckpointError: models/tiny: the architecture "mamba" is not supported (supported: llama, mistral, qwen2, qwen3, gemma2, gemma3_text, phi3, olmo2, smollm3, gpt2, gpt_neox)"`,
    );
    expect(refusal({ hidden_act: "gelu" })).toMatchInlineSnapshot(
      `"CheckpointError: models/tiny: config.json: hidden_act: only "silu" is supported"`,
    );
    expect(refusal({ rope_scaling: { rope_type: "ntk", factor: 4 } })).toMatchInlineSnapshot(
      `"CheckpointError: models/tiny: rope_scaling of type "ntk" is not supported (supported: default, linear, llama3, longrope, yarn)"`,
    );
    expect(refusal({ rope_parameters: { rope_type: "dynamic", rope_theta: 1e4, factor: 2 } })).toMatchInlineSnapshot(
      `"CheckpointError: models/tiny: rope_scaling of type "dynamic" is not supported (supported: default, linear, llama3, longrope, yarn)"`,
    );
    expect(refusal({ rope_scaling: { rope_type: "llama3", factor: 4 } })).toMatchInlineSnapshot(
      `"CheckpointError: models/tiny: rope_scaling.low_freq_factor must be a number above 0"`,
    );
    expect(refusal({ num_key_value_heads: 3 })).toMatchInlineSnapshot(
      `"CheckpointError: models/tiny: config.json: 4 attention heads can't share 3 key-value heads"`,
    );
    expect(refusal({ num_attention_heads: 5 })).toMatchInlineSnapshot(
      `"CheckpointError: models/tiny: config.json: head_dim 3.2 (hidden_size 16 / num_attention_heads 5) must be an even whole number"`,
    );
    expect(refusal({ head_dim: 5 })).toMatchInlineSnapshot(
      `"CheckpointError: models/tiny: config.json: head_dim 5 must be an even whole number"`,
    );
    expect(refusal({ pretraining_tp: 2 })).toMatchInlineSnapshot(
      `"CheckpointError: models/tiny: config.json: pretraining_tp: only 1 is supported"`,
    );
    expect(refusal({ vocab_size: undefined })).toMatchInlineSnapshot(
      `"CheckpointError: models/tiny: config.json: vocab_size: Invalid input: expected number, received undefined"`,
    );
    expect(refusal({ hidden_size: "12" })).toMatchInlineSnapshot(
      `"CheckpointError: models/tiny: config.json: hidden_size: Invalid input: expected number, received string"`,
    );
  });
});
