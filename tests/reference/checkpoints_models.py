"""Golden numbers for whole models: what transformers reads from the two shared models.

Writes tests/golden/checkpoints/models.json: settings, and for a choice of tensors the shape, the SHA-256 of the float32 values
(little-endian, row-major) and the first values of a middle row.

    python tests/reference/checkpoints_models.py
"""

import hashlib
import json
import re
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

ROOT = Path(__file__).parents[2]
MODELS = ROOT.parent / "shared" / "models"
CONFIG_KEYS = [
    "model_type", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
    "head_dim", "rms_norm_eps", "max_position_embeddings", "vocab_size", "tie_word_embeddings", "attention_bias", "mlp_bias",
    "bos_token_id", "eos_token_id",
]  # fmt: skip


def describe(model: torch.nn.Module, layers: set[int]) -> dict:
    tensors = {}
    for name, tensor in model.state_dict().items():
        layer = re.match(r"model\.layers\.(\d+)\.", name)
        if name == "lm_head.weight" or (layer and int(layer[1]) not in layers):
            continue
        values = tensor.contiguous().numpy().astype("<f4")
        row = values.reshape(-1, values.shape[-1])[values.reshape(-1, values.shape[-1]).shape[0] // 2]
        tensors[name] = {
            "shape": list(values.shape),
            "sha256": hashlib.sha256(values.tobytes()).hexdigest(),
            "row": [float(x) for x in row[:4]],
        }
    config = {key: getattr(model.config, key) for key in CONFIG_KEYS}
    config["rope_theta"] = model.config.rope_parameters["rope_theta"]
    return {"config": config, "tensors": tensors}


def main() -> None:
    smollm2 = AutoModelForCausalLM.from_pretrained(
        MODELS, gguf_file="SmolLM2-135M-Instruct.Q4_1.gguf", dtype=torch.float32
    )
    stories = AutoModelForCausalLM.from_pretrained(MODELS / "stories260K", dtype=torch.float32)
    golden = {"SmolLM2": describe(smollm2, {0, 17, 29}), "stories260K": describe(stories, {0, 4})}
    target = ROOT / "tests" / "golden" / "checkpoints" / "models.json"
    target.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
