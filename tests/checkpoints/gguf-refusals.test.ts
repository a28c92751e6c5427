/** What a GGUF file is refused for, by the message that says it. */

import { describe, expect, test } from "vitest";
import { openGguf } from "../../src/checkpoints/gguf.ts";
import {
  ggufArchitecture as architecture,
  GGUF_TYPES,
  type GgufEntry,
  type GgufParts,
  ggufBytes,
  MINIMAL_GGUF,
  messageOf,
  temporaryFile,
  text,
  u32,
  u64,
} from "./fixtures.ts";

const { F32, UINT32, TEXT, ARRAY } = GGUF_TYPES;
const {
  metadata: llama,
  tensors: [embedding],
} = MINIMAL_GGUF;

describe("what is not supported is refused by name before any weight is read", () => {
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
