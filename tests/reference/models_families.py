"""Golden numbers for every family of models: tiny models in transformers, float32, with adapters by PEFT.

Weights are not stored: both sides make them from the weight's name (`values`, tests/models/families.ts). For every variant
tests/golden/models/families.json holds the configuration as transformers writes it, the log-probability of each completion token
(every completion scored alone), and of the gradient of `sum of coefficient * log-probability of completion` with respect to each
weight its norm, its product with another such formula, and three of its values; the same for an adapter on every linear layer, and rewards of the
bodies under a reward head.

    python tests/reference/models_families.py
"""

import json
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

TARGET = Path(__file__).parents[1] / "golden" / "models" / "families.json"
VOCABULARY = 19
COEFFICIENTS = [1.0, -0.5, 0.75, 0.25, -1.0]
SIZES = dict(
    vocab_size=VOCABULARY, hidden_size=12, intermediate_size=10, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=64,
)  # fmt: skip
LONGROPE = dict(rope_type="longrope", short_factor=[1.0, 1.25, 1.5], long_factor=[1.5, 3.0, 6.0])
BASES = {
    "gpt2": dict(vocab_size=VOCABULARY, n_positions=32, n_embd=12, n_layer=2, n_head=3),
    "gpt_neox": dict(
        vocab_size=VOCABULARY, hidden_size=16, intermediate_size=10, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=64,
    ),
}  # fmt: skip

VARIANTS = {
    "mistral": ("mistral", dict(head_dim=4, sliding_window=4)),
    "mistral-everywhere": ("mistral", dict(sliding_window=None, hidden_size=16, rope_theta=100.0)),
    "mistral-yarn": (
        "mistral",
        dict(
            head_dim=8,
            rope_parameters=dict(
                rope_type="yarn", rope_theta=100.0, factor=4.0, original_max_position_embeddings=16, truncate=False, beta_fast=3.0,
                mscale=0.7, mscale_all_dim=1.3,
            ),
        ),
    ),
    "qwen2": ("qwen2", dict(hidden_size=8, tie_word_embeddings=True)),
    "qwen2-window": ("qwen2", dict(hidden_size=16, use_sliding_window=True, sliding_window=5, max_window_layers=1)),
    "qwen3": ("qwen3", dict(head_dim=6)),
    "qwen3-biased-yarn": (
        "qwen3",
        dict(
            head_dim=8, attention_bias=True, tie_word_embeddings=True,
            rope_parameters=dict(rope_type="yarn", rope_theta=100.0, factor=4.0, original_max_position_embeddings=16),
        ),
    ),
    "gemma2": (
        "gemma2",
        dict(head_dim=4, sliding_window=4, attn_logit_softcapping=1.5, final_logit_softcapping=3.0, query_pre_attn_scalar=4),
    ),
    "gemma2-uncapped": (
        "gemma2",
        dict(
            head_dim=6, sliding_window=6, attn_logit_softcapping=None, final_logit_softcapping=None, attention_bias=True, query_pre_attn_scalar=3,
            layer_types=["full_attention", "sliding_attention"],
        ),
    ),
    "gemma3": (
        "gemma3_text",
        dict(
            num_hidden_layers=3, head_dim=4, sliding_window=4, sliding_window_pattern=3, query_pre_attn_scalar=6,
            rope_parameters=dict(
                full_attention=dict(rope_type="linear", factor=8.0, rope_theta=1000.0),
                sliding_attention=dict(rope_type="default", rope_theta=50.0),
            ),
        ),
    ),
    "gemma3-deep": (
        "gemma3_text",
        dict(
            num_hidden_layers=6, head_dim=4, sliding_window=4, query_pre_attn_scalar=4,
            rope_parameters=dict(
                full_attention=dict(rope_type="linear", factor=8.0, rope_theta=1000.0),
                sliding_attention=dict(rope_type="default", rope_theta=10000.0),
            ),
        ),
    ),
    "gemma3-capped": (
        "gemma3_text",
        dict(head_dim=6, sliding_window=5, sliding_window_pattern=2, final_logit_softcapping=2.0, attention_bias=True),
    ),
    "phi3": ("phi3", dict(hidden_size=16, sliding_window=5)),
    "phi3-short": (
        "phi3",
        dict(hidden_size=32, original_max_position_embeddings=32, rope_parameters=dict(**LONGROPE, partial_rotary_factor=0.75)),
    ),
    "phi3-long": ("phi3", dict(hidden_size=24, original_max_position_embeddings=4, rope_parameters=LONGROPE)),
    "olmo2": ("olmo2", dict(hidden_size=16)),
    "olmo2-biased": ("olmo2", dict(hidden_size=8, attention_bias=True, tie_word_embeddings=True)),
    "smollm3": ("smollm3", dict(hidden_size=16, no_rope_layer_interval=2)),
    "smollm3-deep": ("smollm3", dict(hidden_size=8, num_hidden_layers=4)),
    "smollm3-window": (
        "smollm3",
        dict(
            hidden_size=16, no_rope_layers=[0, 1], use_sliding_window=True, sliding_window=4, attention_bias=True, mlp_bias=True,
            tie_word_embeddings=False,
        ),
    ),
    "gpt2": ("gpt2", {}),
    "gpt2-scaled": (
        "gpt2",
        dict(n_inner=14, activation_function="gelu", scale_attn_by_inverse_layer_idx=True, tie_word_embeddings=False),
    ),
    "gpt2-unscaled": ("gpt2", dict(activation_function="gelu_pytorch_tanh", scale_attn_weights=False)),
    "gpt_neox": ("gpt_neox", dict(rotary_pct=0.5)),
    "gpt_neox-sequential": (
        "gpt_neox",
        dict(
            use_parallel_residual=False, attention_bias=False, hidden_act="gelu_fast", tie_word_embeddings=True, rotary_pct=0.25, rotary_emb_base=100,
            rope_scaling=dict(rope_type="linear", factor=3.0),
        ),
    ),
}  # fmt: skip
ADAPTED = ["gemma2", "phi3", "gpt2", "gpt_neox"]
REWARDED = ["gemma2", "phi3", "gpt2-scaled", "gpt_neox"]
LORA = dict(r=2, lora_alpha=3)


def mix(x: np.ndarray) -> np.ndarray:
    """A bijection of 32-bit numbers that leaves no pattern (Wellons' lowbias32)."""
    for shift, factor in [(16, 0x7FEB352D), (15, 0x846CA68B)]:
        x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
    return x ^ (x >> np.uint32(16))


def values(name: str, count: int) -> np.ndarray:
    """`count` numbers in [-0.5, 0.5) that depend on the name alone, exact in float32."""
    seed = np.uint32(2166136261)
    with np.errstate(over="ignore"):
        for byte in name.encode():
            seed = (seed ^ np.uint32(byte)) * np.uint32(16777619)
        mixed = mix(seed + np.arange(count, dtype=np.uint32))
    return (mixed >> np.uint32(8)).astype(np.float64) / 2**24 - 0.5


def fill(name: str, parameter: torch.nn.Parameter) -> None:
    is_gain = parameter.ndim == 1 and name.endswith(".weight")
    data = torch.from_numpy(values(name, parameter.numel())).reshape(parameter.shape)
    parameter.data = ((1.0 if is_gain else 0.0) + data).float()


def summary(name: str, gradient: torch.Tensor) -> list[float]:
    flat = gradient.double().flatten().numpy()
    at = [0, len(flat) // 3, len(flat) - 1]
    return [round(float(x), 9) for x in [np.linalg.norm(flat), flat @ values(f"probe:{name}", len(flat)), *flat[at]]]


def draw_examples() -> list[dict]:
    ids = [int(x) for x in (values("tokens", 200) + 0.5) * VOCABULARY]

    def take(count: int) -> list[int]:
        return [ids.pop() for _ in range(count)]

    shapes = [(6, [9, 3]), (1, [5]), (13, [7, 4])]
    return [{"prompt": take(prompt), "completions": [take(length) for length in lengths]} for prompt, lengths in shapes]


def score(model: torch.nn.Module, prompt: list[int], completion: list[int]) -> torch.Tensor:
    logits = model(torch.tensor([prompt + completion])).logits[0, len(prompt) - 1 : -1]
    return logits.log_softmax(-1).gather(1, torch.tensor(completion)[:, None])[:, 0]


def run(model: torch.nn.Module, examples: list[dict]) -> list[list[float]]:
    pairs = [(example["prompt"], completion) for example in examples for completion in example["completions"]]
    scores = [score(model, prompt, completion) for prompt, completion in pairs]
    sum(c * logps.sum() for c, logps in zip(COEFFICIENTS, scores, strict=True)).backward()
    return [[round(x, 7) for x in logps.tolist()] for logps in scores]


def stored_name(family: str, name: str) -> str:
    """The weight's name in a checkpoint: transformers renames GPT-NeoX's head when it reads one."""
    return "embed_out.weight" if (family, name) == ("gpt_neox", "lm_head.weight") else name


def build(family: str, changes: dict) -> torch.nn.Module:
    config = AutoConfig.for_model(family, pad_token_id=None, **{**BASES.get(family, SIZES), **changes})
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    for name, parameter in model.named_parameters():
        fill(stored_name(family, name), parameter)
    return model


def adapted(family: str, changes: dict, examples: list[dict]) -> dict:
    model = get_peft_model(build(family, changes), LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", **LORA)).eval()
    trained = {
        name.removeprefix("base_model.model.").replace(".default", ""): parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
    for name, parameter in trained.items():
        fill(name.replace(".weight", ""), parameter)
    logps = run(model, examples)
    gradients = {name: summary(name, parameter.grad) for name, parameter in trained.items()}
    fan_in_fan_out = model.peft_config["default"].fan_in_fan_out
    return {**LORA, "fanInFanOut": fan_in_fan_out, "logps": logps, "gradients": gradients}


def rewards(family: str, changes: dict, examples: list[dict]) -> dict:
    """The same body under a reward head, which reads the last token."""
    config = AutoConfig.for_model(family, pad_token_id=None, num_labels=1, **{**BASES.get(family, SIZES), **changes})
    model = AutoModelForSequenceClassification.from_config(config, attn_implementation="eager").eval()
    for name, parameter in model.named_parameters():
        fill(name, parameter)
    scores = [
        model(torch.tensor([example["prompt"] + completion])).logits.item()
        for example in examples
        for completion in example["completions"]
    ]
    config.architectures = [type(model).__name__]
    return {"config": config.to_diff_dict(), "rewards": [round(x, 7) for x in scores]}


def main() -> None:
    examples = draw_examples()
    golden: dict = {"examples": examples, "coefficients": COEFFICIENTS, "variants": {}, "adapters": {}, "rewards": {}}
    for name, (family, changes) in VARIANTS.items():
        model = build(family, changes)
        logps = run(model, examples)
        weights = {stored_name(family, key): value for key, value in model.named_parameters()}
        golden["variants"][name] = {
            "config": model.config.to_diff_dict(),
            "shapes": {key: list(value.shape) for key, value in weights.items()},
            "logps": logps,
            "gradients": {key: summary(key, value.grad) for key, value in weights.items()},
        }
    for name in ADAPTED:
        golden["adapters"][name] = adapted(*VARIANTS[name], examples)
    for name in REWARDED:
        golden["rewards"][name] = rewards(*VARIANTS[name], examples)
    TARGET.write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
