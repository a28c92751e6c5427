/** Golden numbers: tests/reference/checkpoints_tiny_gguf.py and checkpoints_models.py (the `gguf` package and transformers). */
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Checkpoint, JsonObject } from "../../src/checkpoints/checkpoint.ts";
import { openGguf } from "../../src/checkpoints/gguf.ts";
import { SMOLLM2, sharedMissing } from "../support/shared.ts";
import {
  f32,
  GGUF_TYPES,
  type GgufEntry,
  ggufBytes,
  golden,
  MINIMAL_GGUF,
  messageOf,
  TINY_GGUF,
  temporaryFile,
  temporaryFolder,
  text,
  u32,
  u64,
} from "./fixtures.ts";

interface GoldenTensors {
  readonly [name: string]: { shape: number[]; sha256: string; row?: number[] };
}

function digest(values: Float32Array<ArrayBuffer>): string {
  return createHash("sha256").update(new Uint8Array(values.buffer)).digest("hex");
}

function expectTensors(checkpoint: Checkpoint, expected: GoldenTensors): void {
  for (const [name, { shape, sha256, row }] of Object.entries(expected)) {
    const values = checkpoint.read(name);
    const middle = (Math.floor(values.length / shape.at(-1)! / 2) || 0) * shape.at(-1)!;
    if (row !== undefined) expect([...values.subarray(middle, middle + row.length)], name).toEqual(row);
    expect([name, checkpoint.tensors.get(name)?.shape, digest(values)]).toEqual([name, shape, sha256]);
  }
}

describe("a Llama model that the gguf package wrote", () => {
  const expected = golden<{ rope_scaling: JsonObject; tensors: GoldenTensors }>("tiny.json");

  test("its tensors have Hugging Face's names and values, query and key rows in order again", () => {
    const checkpoint = openGguf(TINY_GGUF);
    expect([...checkpoint.tensors.keys()].sort()).toEqual(Object.keys(expected.tensors).sort());
    expectTensors(checkpoint, expected.tensors);
    checkpoint[Symbol.dispose]();
  });

  test("its settings are Hugging Face's", () => {
    const checkpoint = openGguf(TINY_GGUF);
    expect(checkpoint.config).toEqual({
      architectures: ["LlamaForCausalLM"],
      model_type: "llama",
      hidden_size: 32,
      intermediate_size: 64,
      num_hidden_layers: 1,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      head_dim: 16,
      hidden_act: "silu",
      rms_norm_eps: 1e-6,
      rope_theta: 10000,
      rope_scaling: expected.rope_scaling,
      max_position_embeddings: 8192,
      vocab_size: 512,
      tie_word_embeddings: false,
      attention_bias: true,
      mlp_bias: true,
      bos_token_id: 1,
      eos_token_id: 2,
      pad_token_id: null,
    });
    expect(checkpoint.generationConfig).toEqual({ bos_token_id: 1, eos_token_id: 2 });
    expect(checkpoint.tokenizer.chatTemplate).toBe("{% for m in messages %}{{ m.content }}{% endfor %}");
    checkpoint[Symbol.dispose]();
  });

  test("version 2 reads the same", () => {
    const bytes = Uint8Array.from(readFileSync(TINY_GGUF));
    bytes[4] = 2;
    const checkpoint = openGguf(temporaryFile("v2.gguf", bytes));
    expectTensors(checkpoint, expected.tensors);
    checkpoint[Symbol.dispose]();
  });

  test("the data may be aligned to more than 32 bytes", () => {
    const data = Float32Array.from({ length: 16 }, (_, i) => i);
    // One of two names makes the header end where alignment to 32 bytes would look for the data elsewhere.
    for (const name of ["", "a".repeat(32)]) {
      const bytes = ggufBytes({
        ...MINIMAL_GGUF,
        metadata: [
          ...MINIMAL_GGUF.metadata,
          ["general.name", GGUF_TYPES.TEXT, text(name)],
          ["general.alignment", GGUF_TYPES.UINT32, u32(64)],
        ],
        data: new Uint8Array(data.buffer),
        alignment: 64,
      });
      using checkpoint = openGguf(temporaryFile("m.gguf", bytes));
      expect(checkpoint.read("model.embed_tokens.weight")).toEqual(data);
    }
  });

  test("cut short anywhere, it is refused", () => {
    const whole = readFileSync(TINY_GGUF);
    const path = join(temporaryFolder(), "cut.gguf");
    fc.assert(
      fc.property(fc.nat(whole.length - 1), (length) => {
        writeFileSync(path, whole.subarray(0, length));
        expect(messageOf(() => openGguf(path))).toMatch(
          /^CheckpointError: .*(The file is damaged or incomplete|too short)/,
        );
      }),
      { numRuns: 200, examples: [[0], [23], [24], [whole.length - 1]] },
    );
  });

  test("with any byte of its header changed, it is read or refused with a CheckpointError", () => {
    const whole = readFileSync(TINY_GGUF);
    const path = join(temporaryFolder(), "flipped.gguf");
    fc.assert(
      fc.property(fc.nat(12000), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const bytes = Uint8Array.from(whole);
        bytes[at]! ^= flip;
        writeFileSync(path, bytes);
        try {
          const checkpoint = openGguf(path);
          for (const name of checkpoint.tensors.keys()) checkpoint.read(name);
          checkpoint[Symbol.dispose]();
        } catch (error) {
          expect((error as Error).name, String((error as Error).stack)).toBe("CheckpointError");
        }
      }),
      { numRuns: 300 },
    );
  });

  test("asking for a tensor that is not there names it", () => {
    const checkpoint = openGguf(TINY_GGUF);
    expect(() => checkpoint.read("model.layers.1.mlp.up_proj.weight")).toThrow(
      'has no tensor "model.layers.1.mlp.up_proj.weight"',
    );
    checkpoint[Symbol.dispose]();
  });
});

describe("RoPE scaling of a Llama kind's file", () => {
  const scaling = (type: string, numbers: Readonly<Record<string, number>>) => {
    const key = (name: string) => `llama.rope.scaling.${name}`;
    const metadata: GgufEntry[] = [
      ...MINIMAL_GGUF.metadata,
      [key("type"), GGUF_TYPES.TEXT, text(type)],
      [key("original_context_length"), GGUF_TYPES.UINT32, u32(32)],
      ...Object.entries(numbers).map(([name, value]): GgufEntry => [key(name), GGUF_TYPES.FLOAT32, f32(value)]),
    ];
    return openGguf(temporaryFile("m.gguf", ggufBytes({ ...MINIMAL_GGUF, metadata }))).config.rope_scaling;
  };

  test("is config.json's", () => {
    expect(scaling("none", {})).toBe(null);
    expect(scaling("linear", { factor: 2.5 })).toEqual({ rope_type: "linear", factor: 2.5 });
    expect(scaling("linear", { factor: 1 })).toBe(null);
    const yarn = { rope_type: "yarn", factor: 4, original_max_position_embeddings: 32 };
    expect(scaling("yarn", { factor: 4 })).toEqual(yarn);
  });

  test("of YaRN has the bounds and the length of what is turned, where the file has them", () => {
    const all = { factor: 4, yarn_attn_factor: 1.2, yarn_beta_fast: 24, yarn_beta_slow: 0.5 };
    expect(scaling("yarn", all)).toMatchObject({ attention_factor: 1.2, beta_fast: 24, beta_slow: 0.5 });
  });
});

describe("a generation ends", () => {
  const ends = (tokens: readonly string[], named: Readonly<Record<string, number>>) => {
    const vocabulary = Buffer.concat([u32(GGUF_TYPES.TEXT), u64(tokens.length), ...tokens.map(text)]);
    const metadata: GgufEntry[] = [
      ...MINIMAL_GGUF.metadata.filter(([key]) => key !== "tokenizer.ggml.tokens"),
      ["tokenizer.ggml.tokens", GGUF_TYPES.ARRAY, vocabulary],
      ...Object.entries(named).map(
        ([name, id]): GgufEntry => [`tokenizer.ggml.${name}_token_id`, GGUF_TYPES.UINT32, u32(id)],
      ),
    ];
    return openGguf(temporaryFile("m.gguf", ggufBytes({ ...MINIMAL_GGUF, metadata }))).generationConfig?.eos_token_id;
  };

  test("at the tokens that the file names for it", () => {
    expect(ends(["a", "b", "c", "d"], { eos: 3, eot: 1, eom: 2 })).toEqual([3, 1, 2]);
    expect(ends(["a", "b"], { eos: 1, eot: 1 })).toBe(1);
    expect(ends(["a", "b"], {})).toBe(undefined);
  });

  test("at the end of a turn too that the file does not name: Phi-3's, where it names the end of the text", () => {
    expect(ends(["a", "<|endoftext|>", "<|assistant|>", "<|end|>"], { eos: 1 })).toEqual([1, 3]);
  });
});

describe.skipIf(sharedMissing)("SmolLM2-135M-Instruct.Q4_1.gguf (from ../shared/models, where it is)", () => {
  const expected = golden<{ SmolLM2: { config: JsonObject; tensors: GoldenTensors } }>("models.json").SmolLM2;

  test("has the settings and, bit for bit, the weights that transformers reads", () => {
    const checkpoint = openGguf(SMOLLM2);
    const { rms_norm_eps, ...settings } = expected.config;
    expect(checkpoint.config).toMatchObject(settings);
    expect(Math.fround(Number(checkpoint.config.rms_norm_eps))).toBe(rms_norm_eps);
    expect(checkpoint.tensors.size).toBe(272);
    expectTensors(checkpoint, expected.tensors);
    checkpoint[Symbol.dispose]();
  });
});
