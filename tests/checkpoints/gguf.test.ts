/** Golden numbers: tests/reference/checkpoints_tiny_gguf.py and checkpoints_models.py (the `gguf` package and transformers). */
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Checkpoint, JsonObject } from "../../src/checkpoints/checkpoint.ts";
import { openGguf } from "../../src/checkpoints/gguf.ts";
import { fitLlama3Scaling } from "../../src/checkpoints/rope-factors.ts";
import { SMOLLM2, sharedMissing } from "../support/shared.ts";
import {
  type GgufEntry,
  type GgufParts,
  ggufBytes,
  golden,
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

const F32 = 0;
const UINT32 = 4;
const FLOAT32 = 6;
const TEXT = 8;
const ARRAY = 9;

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

describe("what is not supported is refused by name before any weight is read", () => {
  const architecture = (name: string): GgufEntry => ["general.architecture", TEXT, text(name)];
  const llama: GgufEntry[] = [
    architecture("llama"),
    ...Object.entries({
      embedding_length: 8,
      block_count: 1,
      feed_forward_length: 8,
      context_length: 16,
      "attention.head_count": 2,
    }).map(([key, value]): GgufEntry => [`llama.${key}`, UINT32, u32(value)]),
    ["llama.attention.layer_norm_rms_epsilon", FLOAT32, new Uint8Array(Float32Array.of(1e-5).buffer)],
    ["tokenizer.ggml.model", TEXT, text("gpt2")],
    ["tokenizer.ggml.tokens", ARRAY, Buffer.concat([u32(TEXT), u64(2), text("a"), text("b")])],
    ["tokenizer.ggml.merges", ARRAY, Buffer.concat([u32(TEXT), u64(0)])],
  ];
  const embedding = { name: "token_embd.weight", dimensions: [8, 2], type: F32, offset: 0 };
  const refusal = (parts: GgufParts) => messageOf(() => openGguf(temporaryFile("m.gguf", ggufBytes(parts))));
  const withEntry = (...entry: GgufEntry) =>
    refusal({ metadata: [...llama, entry], tensors: [embedding], data: new Uint8Array(64) });

  test("the file that these begin with is fine", () => {
    const bytes = ggufBytes({ metadata: llama, tensors: [embedding], data: new Uint8Array(64) });
    expect(openGguf(temporaryFile("m.gguf", bytes)).config).toMatchObject({
      tie_word_embeddings: true,
      num_key_value_heads: 2,
      head_dim: 4,
      rope_scaling: null,
      attention_bias: false,
    });
  });

  test("architectures", () => {
    expect(refusal({ metadata: [architecture("qwen3moe")] })).toMatchInlineSnapshot(
      `"CheckpointError: /m.gguf: the architecture "qwen3moe" is not supported in GGUF files (supported: llama, qwen2, qwen3, gemma2, gemma3, phi3, olmo2, smollm3, gpt2, gptneox)"`,
    );
    expect(refusal({})).toMatchInlineSnapshot(
      `"CheckpointError: /m.gguf: the GGUF metadata lacks "general.architecture"."`,
    );
  });

  test("settings", () => {
    expect(withEntry("llama.expert_count", UINT32, u32(8))).toMatchInlineSnapshot(
      `"CheckpointError: /m.gguf: has 8 experts (llama.expert_count); mixtures of experts are not supported."`,
    );
    expect(withEntry("llama.rope.scaling.type", TEXT, text("longrope"))).toMatchInlineSnapshot(
      `"CheckpointError: /m.gguf: RoPE scaling of type "longrope" is not supported."`,
    );
    expect(withEntry("llama.rope.dimension_count", UINT32, u32(2))).toMatchInlineSnapshot(
      `"CheckpointError: /m.gguf: llama.rope.dimension_count is 2 where heads are 4 wide; partial rotary embedding and heads of unequal width are not supported."`,
    );
    expect(withEntry("split.count", UINT32, u32(3))).toMatchInlineSnapshot(
      `"CheckpointError: /m.gguf: is one of 3 parts, but its name does not say which; give it the name that it had, which ends in -00001-of-00003.gguf."`,
    );
    expect(
      withEntry("llama.attention.head_count_kv", ARRAY, Buffer.concat([u32(UINT32), u64(1), u32(2)])),
    ).toMatchInlineSnapshot(
      `"CheckpointError: /m.gguf: the GGUF metadata "llama.attention.head_count_kv" must be a whole number >= 0, not a list of 1."`,
    );
  });

  test("tokenizers", () => {
    expect(withEntry("tokenizer.ggml.pre", TEXT, text("viking"))).toMatchInlineSnapshot(
      `"CheckpointError: /m.gguf: the pre-tokenizer "viking" (tokenizer.ggml.pre) is not known; use the model's Hugging Face folder instead."`,
    );
    const other = llama.map(
      (entry): GgufEntry => (entry[0] === "tokenizer.ggml.model" ? [entry[0], TEXT, text("bert")] : entry),
    );
    expect(refusal({ metadata: other, tensors: [embedding], data: new Uint8Array(64) })).toMatchInlineSnapshot(
      `"CheckpointError: /m.gguf: the tokenizer model "bert" is not supported; "gpt2" (byte-level BPE) and "llama" (SentencePiece BPE) are."`,
    );
    expect(withEntry("tokenizer.ggml.eos_token_id", UINT32, u32(2))).toMatchInlineSnapshot(
      `"CheckpointError: /m.gguf: tokenizer.ggml.eos_token_id is 2, past the vocabulary of 2."`,
    );
  });

  test("storage types", () => {
    expect(refusal({ metadata: llama, tensors: [{ ...embedding, type: 11 }] })).toMatchInlineSnapshot(
      `"CheckpointError: /m.gguf: tensor "token_embd.weight" is stored as Q3_K; preftune reads F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K. Use another quantization of the model."`,
    );
    expect(refusal({ metadata: llama, tensors: [{ ...embedding, type: 99 }] })).toMatch("stored as type 99");
  });

  test("tensors that the architecture does not have", () => {
    const extra = { ...embedding, name: "blk.0.ffn_gate_exps.weight", offset: 64 };
    expect(refusal({ metadata: llama, tensors: [embedding, extra], data: new Uint8Array(128) })).toMatchInlineSnapshot(
      `"CheckpointError: /m.gguf: tensor "blk.0.ffn_gate_exps.weight" is not part of the Llama architecture that preftune reads."`,
    );
    expect(refusal({ metadata: llama })).toMatchInlineSnapshot(
      `"CheckpointError: /m.gguf: has no tensor "token_embd.weight"."`,
    );
  });

  test("RoPE divisors that are not Llama 3's", () => {
    const divisors = { name: "rope_freqs.weight", dimensions: [2], type: F32, offset: 64 };
    const data = Buffer.concat([new Uint8Array(64), new Uint8Array(Float32Array.of(1, 3).buffer)]);
    expect(refusal({ metadata: llama, tensors: [embedding, divisors], data })).toMatchInlineSnapshot(
      `"CheckpointError: /m.gguf: rope_freqs.weight holds RoPE factors that are not Llama 3's; they are not supported."`,
    );
  });

  describe("headers that contradict themselves or the file", () => {
    test("magic and version", () => {
      expect(refusal({ magic: "GGML" })).toMatchInlineSnapshot(
        `"CheckpointError: /m.gguf: begins with "GGML" instead of "GGUF", so it is not a GGUF file."`,
      );
      expect(refusal({ version: 1 })).toMatchInlineSnapshot(
        `"CheckpointError: /m.gguf: is GGUF version 1; versions 2 and 3 can be read. Convert the model again with a current llama.cpp."`,
      );
      expect(refusal({ version: 0x03000000 })).toMatchInlineSnapshot(
        `"CheckpointError: /m.gguf: is a big-endian GGUF file; convert the model again to little-endian."`,
      );
    });

    test("counts and lengths that the file can't hold", () => {
      expect(refusal({ tensorCount: 2n ** 63n })).toMatchInlineSnapshot(
        `"CheckpointError: /m.gguf: the number of tensors is 9223372036854775808, which can't be right. The file is damaged or incomplete: copy or download it again."`,
      );
      expect(refusal({ metadataCount: 1000n })).toMatchInlineSnapshot(
        `"CheckpointError: /m.gguf: claims 1000 metadata entries, more than the rest of the file can hold. The file is damaged or incomplete: copy or download it again."`,
      );
      const endless = Buffer.concat([u32(TEXT), u64(2 ** 40)]);
      expect(refusal({ metadata: [["tokens", ARRAY, endless]] })).toMatchInlineSnapshot(
        `"CheckpointError: /m.gguf: claims 1099511627776 elements of "tokens", more than the rest of the file can hold. The file is damaged or incomplete: copy or download it again."`,
      );
      expect(refusal({ metadata: [["general.name", TEXT, u64(2 ** 40)]] })).toMatchInlineSnapshot(
        `"CheckpointError: /m.gguf: general.name claims 1099511627776 bytes; at most 67108864 are read. The file is damaged or incomplete: copy or download it again."`,
      );
      expect(refusal({ metadata: [["general.name", TEXT, u64(1000)]] })).toMatchInlineSnapshot(
        `"CheckpointError: /m.gguf: ends in the middle of its header (general.name). The file is damaged or incomplete: copy or download it again."`,
      );
    });

    test("nesting", () => {
      const nested = Buffer.concat(Array.from({ length: 40 }, () => Buffer.concat([u32(ARRAY), u64(1)])));
      expect(refusal({ metadata: [["deep", ARRAY, nested]] })).toMatchInlineSnapshot(
        `"CheckpointError: /m.gguf: the metadata array "deep" nests deeper than 4 levels. The file is damaged or incomplete: copy or download it again."`,
      );
    });

    test("unknown value types, and values of another type than their key has", () => {
      expect(refusal({ metadata: [["general.name", 13, u32(0)]] })).toMatchInlineSnapshot(
        `"CheckpointError: /m.gguf: the metadata key "general.name" has the unknown value type 13. The file is damaged or incomplete: copy or download it again."`,
      );
      expect(refusal({ metadata: [["general.architecture", UINT32, u32(7)]] })).toMatchInlineSnapshot(
        `"CheckpointError: /m.gguf: the GGUF metadata "general.architecture" must be text, not 7."`,
      );
    });

    test("the same key or tensor twice", () => {
      expect(refusal({ metadata: [architecture("llama"), architecture("llama")] })).toMatchInlineSnapshot(
        `"CheckpointError: /m.gguf: the metadata key "general.architecture" is there twice. The file is damaged or incomplete: copy or download it again."`,
      );
      expect(
        refusal({ tensors: [embedding, { ...embedding, offset: 64 }], data: new Uint8Array(128) }),
      ).toMatchInlineSnapshot(
        `"CheckpointError: /m.gguf: tensor "token_embd.weight" is there twice. The file is damaged or incomplete: copy or download it again."`,
      );
    });

    test("tensors", () => {
      const data = new Uint8Array(64);
      expect(refusal({ tensors: [{ ...embedding, dimensions: [1, 1, 1, 1, 1] }], data })).toMatchInlineSnapshot(
        `"CheckpointError: /m.gguf: tensor "token_embd.weight" claims 5 dimensions; GGUF allows 4. The file is damaged or incomplete: copy or download it again."`,
      );
      expect(refusal({ tensors: [{ ...embedding, dimensions: [2n ** 60n] }], data })).toMatchInlineSnapshot(
        `"CheckpointError: /m.gguf: a dimension of token_embd.weight is 1152921504606846976, which can't be right. The file is damaged or incomplete: copy or download it again."`,
      );
      expect(refusal({ tensors: [{ ...embedding, dimensions: [2 ** 30, 2 ** 30] }], data })).toMatchInlineSnapshot(
        `"CheckpointError: /m.gguf: tensor "token_embd.weight" ends at byte 4611686018427388000, past the file's end at 160. The file is damaged or incomplete: copy or download it again."`,
      );
      expect(refusal({ tensors: [{ ...embedding, type: 2 }], data })).toMatchInlineSnapshot(
        `"CheckpointError: /m.gguf: tensor "token_embd.weight" has rows of 8 values, not a multiple of Q4_0's blocks of 32. The file is damaged or incomplete: copy or download it again."`,
      );
      expect(refusal({ tensors: [{ ...embedding, offset: 4 }], data: new Uint8Array(68) })).toMatchInlineSnapshot(
        `"CheckpointError: /m.gguf: tensor "token_embd.weight" begins at 4, not a multiple of 32. The file is damaged or incomplete: copy or download it again."`,
      );
      expect(
        refusal({
          tensors: [embedding, { ...embedding, name: "output.weight", offset: 32 }],
          data: new Uint8Array(96),
        }),
      ).toMatchInlineSnapshot(
        `"CheckpointError: /m.gguf: tensors "token_embd.weight" and "output.weight" overlap. The file is damaged or incomplete: copy or download it again."`,
      );
    });

    test("alignment", () => {
      expect(refusal({ metadata: [["general.alignment", UINT32, u32(0)]] })).toMatchInlineSnapshot(
        `"CheckpointError: /m.gguf: general.alignment is 0; it must be a multiple of 8."`,
      );
    });
  });
});

describe("Llama 3's RoPE scaling is recovered from the divisors that a GGUF file holds", () => {
  /** transformers' llama3 rule, as llama.cpp's converter applies it. */
  function divisors(
    factor: number,
    low: number,
    high: number,
    original: number,
    theta: number,
    headDim: number,
  ): Float32Array {
    return Float32Array.from({ length: headDim / 2 }, (_, i) => {
      const wavelength = 2 * Math.PI * theta ** ((2 * i) / headDim);
      if (wavelength < original / high) return 1;
      if (wavelength > original / low) return factor;
      const smooth = (original / wavelength - low) / (high - low);
      return 1 / ((1 - smooth) / factor + smooth);
    });
  }

  test.each([
    ["Llama 3.1 8B", 8, 128],
    ["Llama 3.2 1B", 32, 64],
    ["Llama 3.2 3B", 32, 128],
  ])("%s", (_, factor, headDim) => {
    expect(fitLlama3Scaling(divisors(factor, 1, 4, 8192, 500000, headDim), 500000, headDim)).toEqual({
      rope_type: "llama3",
      factor,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    });
  });

  test("any parameters are recovered up to the scale that cancels", () => {
    const parameters = fc.record({
      factor: fc.integer({ min: 2, max: 64 }),
      high: fc.integer({ min: 3, max: 16 }),
      original: fc.integer({ min: 1024, max: 32768 }),
    });
    fc.assert(
      fc.property(parameters, ({ factor, high, original }) => {
        const stored = divisors(factor, 1, high, original, 500000, 128);
        const fitted = fitLlama3Scaling(stored, 500000, 128) as Record<string, number>;
        const again = divisors(
          fitted.factor!,
          fitted.low_freq_factor!,
          fitted.high_freq_factor!,
          fitted.original_max_position_embeddings!,
          500000,
          128,
        );
        for (const [i, value] of again.entries()) expect(Math.abs(value - stored[i]!)).toBeLessThan(2e-4 * value);
      }),
    );
  });

  test("divisors of 1 are no scaling; others that no parameters give are refused", () => {
    expect(fitLlama3Scaling(new Float32Array(32).fill(1), 10000, 64)).toBeNull();
    expect(
      fitLlama3Scaling(
        Float32Array.from({ length: 32 }, (_, i) => 1 + i),
        10000,
        64,
      ),
    ).toBeUndefined();
    expect(fitLlama3Scaling(new Float32Array(16).fill(8), 10000, 64)).toBeUndefined();
  });
});
