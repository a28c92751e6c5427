"""Golden numbers for the Llama graph: tiny random models in transformers, float32, with adapters by PEFT.

For every variant writes tests/golden/models/NAME.safetensors: each weight, and under `gradient:` its gradient for the loss
`sum of coefficient * log-probability of completion`. tests/golden/models/llama.json holds the configurations as transformers writes
them, the token ids, the coefficients, and the log-probabilities of all completion tokens. Every completion is scored alone.

    python tests/reference/models_llama.py
"""

import json
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

TARGET = Path(__file__).parents[1] / "golden" / "models"
VOCABULARY = 17
BASE = dict(
    vocab_size=VOCABULARY, hidden_size=12, intermediate_size=16, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=4, head_dim=4, max_position_embeddings=64, rms_norm_eps=1e-5, tie_word_embeddings=False,
    attn_implementation="eager",
)  # fmt: skip
# Of the four frequencies one is kept, one blended and two are divided.
LLAMA3 = dict(
    rope_type="llama3", rope_theta=100.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
    original_max_position_embeddings=32,
)  # fmt: skip
VARIANTS = {
    # hidden / heads is 3 here: queries, keys and values are wider than the hidden rows.
    "wide-heads": {},
    "grouped-tied": dict(num_key_value_heads=2, tie_word_embeddings=True),
    "biased": dict(hidden_size=8, head_dim=None, num_key_value_heads=1, attention_bias=True, mlp_bias=True),
    "llama3-rope": dict(hidden_size=8, head_dim=8, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, rope_parameters=LLAMA3),
    "linear-rope": dict(
        hidden_size=8, head_dim=4, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
        rope_parameters=dict(rope_type="linear", rope_theta=500.0, factor=4.0),
    ),
}  # fmt: skip
ADAPTERS = {
    "lora-all-linear": dict(r=3, lora_alpha=6, target_modules="all-linear"),
    "lora-some": dict(r=2, lora_alpha=3, use_rslora=True, target_modules=["q_proj", "v_proj", "down_proj"]),
}


def randomize(model: torch.nn.Module) -> None:
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, mean=1.0 if "norm" in name else 0.0, std=0.3)


def draw_examples() -> list[dict]:
    def ids(count: int) -> list[int]:
        return torch.randint(0, VOCABULARY, (count,)).tolist()

    shapes = [(5, [3, 6]), (1, [4, 1]), (21, [7, 2, 9])]
    return [{"prompt": ids(prompt), "completions": [ids(length) for length in lengths]} for prompt, lengths in shapes]


def score(model: torch.nn.Module, prompt: list[int], completion: list[int]) -> torch.Tensor:
    logits = model(torch.tensor([prompt + completion])).logits[0, len(prompt) - 1 : -1]
    return logits.log_softmax(-1).gather(1, torch.tensor(completion)[:, None])[:, 0]


def run(model: torch.nn.Module, examples: list[dict], coefficients: list[float]) -> list[list[float]]:
    pairs = [(example["prompt"], completion) for example in examples for completion in example["completions"]]
    scores = [score(model, prompt, completion) for prompt, completion in pairs]
    sum(c * logps.sum() for c, logps in zip(coefficients, scores, strict=True)).backward()
    return [logps.tolist() for logps in scores]


def main() -> None:
    TARGET.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    examples = draw_examples()
    coefficients = [1.0, -0.5, 0.75, 0.25, -1.0, 0.5, -0.25]
    golden: dict = {"examples": examples, "coefficients": coefficients, "variants": {}, "adapters": {}}
    for name, changes in VARIANTS.items():
        model = LlamaForCausalLM(LlamaConfig(**{**BASE, **changes}))
        randomize(model)
        logps = run(model, examples, coefficients)
        save(name, dict(model.named_parameters()))
        golden["variants"][name] = {"config": model.config.to_diff_dict(), "logps": logps}

    for name, settings in ADAPTERS.items():
        base = LlamaForCausalLM(LlamaConfig(**{**BASE, **VARIANTS["biased"]}))
        base.load_state_dict(golden_weights("biased"))
        model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **settings))
        randomize(model)
        logps = run(model, examples, coefficients)
        tensors = {
            key.removeprefix("base_model.model.").replace(".default", ""): value
            for key, value in model.named_parameters()
            if value.requires_grad
        }
        save(name, tensors)
        lora = {"rank": settings["r"], "alpha": settings["lora_alpha"], "rankStabilized": settings.get("use_rslora", False)}
        golden["adapters"][name] = {**lora, "logps": logps}
    (TARGET / "llama.json").write_text(json.dumps(golden) + "\n")


def save(name: str, tensors: dict[str, torch.Tensor]) -> None:
    values = {key: value.detach().clone() for key, value in tensors.items()}
    gradients = {f"gradient:{key}": value.grad.clone() for key, value in tensors.items()}
    path = TARGET / f"{name}.safetensors"
    save_file({**values, **gradients}, path)
    path.chmod(0o644)


def golden_weights(name: str) -> dict[str, torch.Tensor]:
    return {key: value for key, value in load_file(TARGET / f"{name}.safetensors").items() if ":" not in key}


if __name__ == "__main__":
    main()
