"""GGUF files of the families' tiny models (models_families.py), written by the official `gguf` package as llama.cpp's converter lays
them out: its names of tensors, its metadata keys, rows permuted, norms plus one, projections reordered or transposed.

Writes tests/golden/checkpoints/families/ARCHITECTURE.gguf; qwen3 split in parts. Where transformers reads the architecture from GGUF, the
weights that it reads are checked to be the model's. tests/checkpoints/gguf-families.test.ts holds the log-probabilities of what
preftune reads against those of the Hugging Face model in tests/golden/models/families.json.

    python tests/reference/checkpoints_gguf_families.py
"""

import shutil
import tempfile
from pathlib import Path

import gguf
import models_families
import numpy as np
import torch
from transformers import AutoModelForCausalLM, PreTrainedConfig

TARGET = Path(__file__).parents[1] / "golden" / "checkpoints" / "families"
ARCH = gguf.MODEL_ARCH
# By general.architecture: the variant, and whether transformers reads the architecture.
FAMILIES = {
    "qwen2": ("qwen2", True),
    "qwen3": ("qwen3", True),
    "gemma2": ("gemma2", True),
    "gemma3": ("gemma3-deep", True),
    "phi3": ("phi3-short", True),
    "olmo2": ("olmo2", False),
    "smollm3": ("smollm3-deep", False),
    "gpt2": ("gpt2", True),
    "gptneox": ("gpt_neox", False),
}


def permute(rows: np.ndarray, heads: int) -> np.ndarray:
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def separate(rows: np.ndarray, heads: int) -> np.ndarray:
    """Each head's query, key and value, to all queries, all keys, all values."""
    return rows.reshape(heads, 3, rows.shape[0] // heads // 3, *rows.shape[1:]).swapaxes(0, 1).reshape(rows.shape)


def stored(arch: str, name: str, values: np.ndarray, config: PreTrainedConfig) -> np.ndarray:
    if arch == "smollm3" and ("q_proj" in name or "k_proj" in name):
        return permute(values, config.num_attention_heads if "q_proj" in name else config.num_key_value_heads)
    if arch.startswith("gemma") and name.endswith("norm.weight"):
        return values + np.float32(1)
    if arch == "gpt2" and name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight")):
        return values.T
    if arch == "gptneox" and "query_key_value" in name:
        return separate(values, config.num_attention_heads)
    return values


def head_dim(config: PreTrainedConfig) -> int:
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def add_settings(writer: gguf.GGUFWriter, arch: str, config: PreTrainedConfig) -> None:
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(4 * config.n_embd if arch == "gpt2" else config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    if arch in ("gpt2", "gptneox"):
        writer.add_layer_norm_eps(config.layer_norm_epsilon if arch == "gpt2" else config.layer_norm_eps)
    else:
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if arch == "gptneox":
        writer.add_rope_dimension_count(int(config.rope_parameters["partial_rotary_factor"] * head_dim(config)))
        writer.add_parallel_residual(config.use_parallel_residual)
    if arch in ("qwen3", "gemma2", "gemma3"):
        writer.add_key_length(head_dim(config))
        writer.add_value_length(head_dim(config))
    if arch in ("qwen2", "qwen3", "olmo2", "smollm3", "phi3"):
        writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    if arch == "smollm3":
        writer.add_rope_dimension_count(head_dim(config))
    if arch == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
        writer.add_sliding_window(config.sliding_window)
    if arch == "gemma3":
        full = config.rope_parameters["full_attention"]
        writer.add_rope_freq_base(full["rope_theta"])
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(full["factor"])
        writer.add_sliding_window(config.sliding_window)
    if arch == "phi3":
        rope = config.rope_parameters
        writer.add_rope_dimension_count(int(rope["partial_rotary_factor"] * head_dim(config)))
        writer.add_rope_scaling_orig_ctx_len(config.original_max_position_embeddings)
        writer.add_sliding_window(config.sliding_window or 0)


def add_tokenizer(writer: gguf.GGUFWriter, vocabulary: int) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([*(chr(ord("a") + i) for i in range(vocabulary - 1)), "ab"])
    writer.add_token_types([gguf.TokenType.NORMAL] * vocabulary)
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(1)
    writer.add_pad_token_id(0)


def write(arch: str, variant: str, path: Path, **split: int) -> dict[str, np.ndarray]:
    family, changes = models_families.VARIANTS[variant]
    model = models_families.build(family, changes)
    config = model.config
    writer = gguf.GGUFWriter(path, arch, **split)
    add_settings(writer, arch, config)
    add_tokenizer(writer, config.vocab_size)
    kind = next(key for key, value in gguf.MODEL_ARCH_NAMES.items() if value == arch)
    names = gguf.get_tensor_name_map(kind, config.num_hidden_layers)
    weights = {name: value.detach().numpy() for name, value in model.named_parameters()}
    for name, values in weights.items():
        target = names.get_name(models_families.stored_name(family, name), try_suffixes=(".weight", ".bias"))
        writer.add_tensor(target, np.ascontiguousarray(stored(arch, name, values, config)))
    if arch == "phi3":
        for length in ["long", "short"]:
            factors = np.array(config.rope_parameters[f"{length}_factor"], np.float32)
            writer.add_tensor(f"rope_factors_{length}.weight", factors)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return weights


def check_against_transformers(path: Path, weights: dict[str, np.ndarray]) -> None:
    state = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).state_dict()
    for name, values in weights.items():
        assert np.allclose(state[name].numpy(), values, rtol=0, atol=2.5e-7), (path.name, name)


def main() -> None:
    shutil.rmtree(TARGET, ignore_errors=True)
    TARGET.mkdir(parents=True)
    for arch, (variant, is_read) in FAMILIES.items():
        if is_read:
            with tempfile.TemporaryDirectory() as folder:
                whole = Path(folder) / f"{arch}.gguf"
                check_against_transformers(whole, write(arch, variant, whole))
        write(arch, variant, TARGET / f"{arch}.gguf", **({"split_max_tensors": 12} if arch == "qwen3" else {}))


if __name__ == "__main__":
    main()
