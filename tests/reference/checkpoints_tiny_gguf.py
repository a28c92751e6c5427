"""A tiny but complete Llama GGUF, written by the official `gguf` package, and what must be read from it.

Writes tests/golden/checkpoints/tiny.gguf (seeded random weights, the vocabulary of the shared stories260K) with what the shared
models lack: heads wider than hidden_size / heads, grouped queries, biases, an output matrix of its own, Llama 3's RoPE divisors, a
SentencePiece vocabulary, and seven storage types; and tiny.json with the float32 values of each tensor under its Hugging Face
name, from the `gguf` package's dequantization and the inverse of llama.cpp's row permutation (checked here against transformers).

    python tests/reference/checkpoints_tiny_gguf.py
"""

import hashlib
import json
import math
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from transformers import AutoModelForCausalLM

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "checkpoints"
STORIES = ROOT.parent / "shared" / "models" / "stories260K" / "tokenizer.json"

HIDDEN, HEADS, KV_HEADS, HEAD_DIM, FEED_FORWARD = 32, 4, 2, 16, 64
ROPE = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 64.0, "original_max_position_embeddings": 4096}
THETA = 10000.0


def permute(rows: np.ndarray, heads: int) -> np.ndarray:
    """What llama.cpp's converter does to query and key rows."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def unpermute(rows: np.ndarray, heads: int) -> np.ndarray:
    return rows.reshape(heads, rows.shape[0] // heads // 2, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def rope_divisors() -> np.ndarray:
    """As transformers' llama3 scaling divides its frequencies."""
    divisors = []
    for i in range(HEAD_DIM // 2):
        wavelength = 2 * math.pi * THETA ** (2 * i / HEAD_DIM)
        low, high, old = ROPE["low_freq_factor"], ROPE["high_freq_factor"], ROPE["original_max_position_embeddings"]
        if wavelength < old / high:
            divisors.append(1.0)
        elif wavelength > old / low:
            divisors.append(ROPE["factor"])
        else:
            smooth = (old / wavelength - low) / (high - low)
            divisors.append(1 / ((1 - smooth) / ROPE["factor"] + smooth))
    return np.array(divisors, np.float32)


def vocabulary() -> tuple[list[str], list[float], list[int]]:
    """Tokens with scores that fall in the order in which the tokenizer's merges make them, as SentencePiece numbers its pieces."""
    model = json.loads(STORIES.read_text())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    made = {}
    for rank, (left, right) in enumerate(merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]):
        made.setdefault(left + right, -float(rank))
    scores = [made.get(token, -1e6) for token in tokens]
    types = [gguf.TokenType.NORMAL] * len(tokens)
    types[0], types[1], types[2] = gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL
    for i, token in enumerate(tokens):
        if token.startswith("<0x") and len(token) == 6:
            types[i] = gguf.TokenType.BYTE
    return tokens, scores, [int(kind) for kind in types]


def tensors() -> list[tuple[str, str, np.ndarray, Type]]:
    rng = np.random.default_rng(7)
    draw = lambda *shape: rng.normal(0, 0.5, shape).astype(np.float32)  # noqa: E731
    layer, attention, mlp = "model.layers.0", "model.layers.0.self_attn", "model.layers.0.mlp"
    q, kv = HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM
    return [
        ("token_embd.weight", "model.embed_tokens.weight", draw(512, HIDDEN), Type.Q4_0),
        ("blk.0.attn_norm.weight", f"{layer}.input_layernorm.weight", draw(HIDDEN), Type.F32),
        ("blk.0.attn_q.weight", f"{attention}.q_proj.weight", draw(q, HIDDEN), Type.Q5_0),
        ("blk.0.attn_q.bias", f"{attention}.q_proj.bias", draw(q), Type.F32),
        ("blk.0.attn_k.weight", f"{attention}.k_proj.weight", draw(kv, HIDDEN), Type.Q5_1),
        ("blk.0.attn_k.bias", f"{attention}.k_proj.bias", draw(kv), Type.F32),
        ("blk.0.attn_v.weight", f"{attention}.v_proj.weight", draw(kv, HIDDEN), Type.F16),
        ("blk.0.attn_v.bias", f"{attention}.v_proj.bias", draw(kv), Type.F32),
        ("blk.0.attn_output.weight", f"{attention}.o_proj.weight", draw(HIDDEN, q), Type.BF16),
        ("blk.0.attn_output.bias", f"{attention}.o_proj.bias", draw(HIDDEN), Type.F32),
        ("blk.0.ffn_norm.weight", f"{layer}.post_attention_layernorm.weight", draw(HIDDEN), Type.F32),
        ("blk.0.ffn_gate.weight", f"{mlp}.gate_proj.weight", draw(FEED_FORWARD, HIDDEN), Type.Q8_0),
        ("blk.0.ffn_gate.bias", f"{mlp}.gate_proj.bias", draw(FEED_FORWARD), Type.F32),
        ("blk.0.ffn_up.weight", f"{mlp}.up_proj.weight", draw(FEED_FORWARD, HIDDEN), Type.Q4_1),
        ("blk.0.ffn_up.bias", f"{mlp}.up_proj.bias", draw(FEED_FORWARD), Type.F32),
        ("blk.0.ffn_down.weight", f"{mlp}.down_proj.weight", draw(HIDDEN, FEED_FORWARD), Type.Q8_0),
        ("blk.0.ffn_down.bias", f"{mlp}.down_proj.bias", draw(HIDDEN), Type.F32),
        ("output_norm.weight", "model.norm.weight", draw(HIDDEN), Type.F32),
        ("output.weight", "lm_head.weight", draw(512, HIDDEN), Type.Q4_0),
    ]


def heads_of(name: str) -> int | None:
    return HEADS if ".attn_q." in name else KV_HEADS if ".attn_k." in name else None


def write(path: Path) -> dict[str, np.ndarray]:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(8192)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(1)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_key_length(HEAD_DIM)
    writer.add_value_length(HEAD_DIM)
    writer.add_rope_dimension_count(HEAD_DIM)
    writer.add_rope_freq_base(THETA)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(512)
    tokens, scores, types = vocabulary()
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template("{% for m in messages %}{{ m.content }}{% endfor %}")
    expected = {}
    for name, hugging_face_name, values, kind in tensors():
        heads = heads_of(name)
        stored = gguf.quants.quantize(permute(values, heads) if heads else values, kind)
        writer.add_tensor(name, stored, raw_dtype=kind)
        read = gguf.quants.dequantize(stored, kind).astype(np.float32).reshape(values.shape)
        expected[hugging_face_name] = unpermute(read, heads) if heads else read
    writer.add_tensor("rope_freqs.weight", rope_divisors(), raw_dtype=Type.F32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return expected


def check_against_transformers(path: Path, expected: dict[str, np.ndarray]) -> None:
    """transformers reads no bias settings from a GGUF, so the biases are checked by the inverse permutation alone."""
    model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    state = model.state_dict()
    for name, values in expected.items():
        if not name.endswith(".bias"):
            assert np.array_equal(state[name].numpy(), values), name


def main() -> None:
    path = GOLDEN / "tiny.gguf"
    expected = write(path)
    check_against_transformers(path, expected)
    golden = {
        "rope_scaling": {"rope_type": "llama3", **ROPE},
        "tensors": {
            name: {
                "shape": list(values.shape),
                "sha256": hashlib.sha256(values.astype("<f4").tobytes()).hexdigest(),
            }
            for name, values in expected.items()
        },
    }
    (GOLDEN / "tiny.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
