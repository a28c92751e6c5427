"""Golden training steps by TRL's DPOTrainer, the independent trainer: tests/golden/parity/steps-*.json, one file a case.

    python tests/reference/trl_steps.py [CASE ...] [--float64]

All cases: float32, the first usable HH pairs of at most `max_length` tokens in file order, one batch an optimizer step (no accumulation),
AdamW (betas 0.9 and 0.999, epsilon 1e-8, no decay), gradient norm clipped at 1, beta 0.1, no dropout, and the linear schedule without warm-up:
step k of N, counted from 1, runs at learning_rate * (N - k + 1) / N. TRL tokenizes the texts itself; its ids are checked against preftune's
rule before the first step. In preftune's words:

    preftune dpo --data HH --max-length M --truncation drop --limit N*B --no-shuffle --batch-size B --learning-rate X --schedule linear

A LoRA case starts from B = 0 and an A that both sides compute (`initial_a`), distributed as PEFT's own start. Its file has under "initial_a"
the beginning of A in the first and the last module.

"steps" are TRL's own metrics, unrounded. `grad_norm` is before clipping, `learning_rate` the one that the step used. In "parameters" is for each
trainable tensor after the last step the sum and the L2 norm of its values, its first four values, and `change`, the L2 norm of what training added.

With --float64 nothing is written: the cases run in float64 and the distance of the golden files from that is printed.
"""

import argparse
import json
import math
import tempfile

import numpy as np
import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import set_seed
from trl import DPOConfig, DPOTrainer
from trl_common import GOLDEN, TOKENIZERS, first_pairs, load_model, made_with, write

MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
LORA = {"rank": 16, "alpha": 32, "targets": "all-linear"}
CASES = {
    "stories260K-full": {"model": "stories260K", "steps": 20, "batch_size": 8, "max_length": 128, "learning_rate": 1e-4},
    "stories260K-full-ipo": {"model": "stories260K", "loss": "ipo", "steps": 20, "batch_size": 8, "max_length": 128, "learning_rate": 1e-4},
    "stories260K-lora": {"model": "stories260K", "lora": LORA, "steps": 20, "batch_size": 8, "max_length": 128, "learning_rate": 1e-3},
    "SmolLM2-lora": {"model": "SmolLM2", "lora": LORA, "steps": 20, "batch_size": 8, "max_length": 48, "learning_rate": 1e-4},
    "SmolLM2-full": {"model": "SmolLM2", "steps": 5, "batch_size": 4, "max_length": 48, "learning_rate": 1e-5},
}  # fmt: skip
METRICS = [
    "loss", "rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies", "logps/chosen", "logps/rejected",
    "grad_norm", "learning_rate",
]  # fmt: skip


def initial_a(layer, module, shape):
    """LoRA's A [rank, in] of a module: uniform in +-1/sqrt(in), from MurmurHash3's finalizer in unsigned 32-bit arithmetic.

    Element k (row-major) of the module with number m = 7 * layer + its place in MODULES hashes x = k + m * 0x9e3779b9:
        x ^= x >> 16;  x *= 0x85ebca6b;  x ^= x >> 13;  x *= 0xc2b2ae35;  x ^= x >> 16
    and is float32((2 u - 1) / sqrt(in)) with u = (x >> 8) / 2^24.
    """
    number = len(MODULES) * layer + MODULES.index(module)
    x = (np.arange(math.prod(shape), dtype=np.uint64) + number * 0x9E3779B9).astype(np.uint32)
    x ^= x >> 16
    x *= np.uint32(0x85EBCA6B)
    x ^= x >> 13
    x *= np.uint32(0xC2B2AE35)
    x ^= x >> 16
    u = (x >> 8).astype(np.float64) / 2**24
    return torch.from_numpy(((2 * u - 1) / math.sqrt(shape[1])).astype(np.float32).reshape(shape))


def trainable(model):
    """Trainable tensors by the name that PEFT's and transformers' files give them."""
    return {name.replace(".default.", "."): p for name, p in model.named_parameters() if p.requires_grad}


@torch.no_grad()
def start_lora(model):
    for name, parameter in trainable(model).items():
        if ".lora_B." in name:
            parameter.zero_()
            continue
        path = name.split(".")
        parameter.copy_(initial_a(int(path[path.index("layers") + 1]), path[-3], tuple(parameter.shape)))


def config(case, folder):
    return DPOConfig(
        output_dir=folder, use_cpu=True, bf16=False, gradient_checkpointing=False, report_to=[], save_strategy="no", disable_tqdm=True,
        logging_steps=1, train_sampling_strategy="sequential", per_device_train_batch_size=case["batch_size"], max_steps=case["steps"],
        optim="adamw_torch", learning_rate=case["learning_rate"], adam_beta1=0.9, adam_beta2=0.999, adam_epsilon=1e-8, weight_decay=0.0,
        lr_scheduler_type="linear", warmup_steps=0, max_grad_norm=1.0, beta=0.1, loss_type=[case.get("loss", "sigmoid")], max_length=None,
    )  # fmt: skip


def check_ids(dataset, pairs):
    for pair, tokens in zip(pairs, dataset, strict=True):
        ours = [pair.prompt_ids, pair.ids["chosen"], pair.ids["rejected"]]
        if ours != [tokens["prompt_ids"], tokens["chosen_ids"], tokens["rejected_ids"]]:
            raise SystemExit(f"row {pair.row}: TRL's ids are not those of preftune's rule")


def train(case, dtype=torch.float32):
    set_seed(0)
    tokenizer = TOKENIZERS[case["model"]]()
    pairs = first_pairs(tokenizer, case["steps"] * case["batch_size"], case["max_length"])
    lora = case.get("lora")
    with tempfile.TemporaryDirectory() as folder:
        trainer = DPOTrainer(
            model=load_model(case["model"]),
            ref_model=None if lora else load_model(case["model"], dtype),
            args=config(case, folder),
            train_dataset=Dataset.from_list([{"prompt": pair.prompt, **pair.texts} for pair in pairs]),
            processing_class=tokenizer,
            peft_config=LoraConfig(r=lora["rank"], lora_alpha=lora["alpha"], target_modules=lora["targets"], lora_dropout=0.0) if lora else None,
        )
        check_ids(trainer.train_dataset, pairs)
        if lora:
            start_lora(trainer.model)
        trainer.model.to(dtype)
        initial = {name: p.detach().clone() for name, p in trainable(trainer.model).items()}
        trainer.train()
    steps = [{"step": row["step"], **{key: row[key] for key in METRICS}} for row in trainer.state.log_history if "loss" in row]
    return pairs, steps, initial, trainable(trainer.model)


def short(value):
    """Nine significant digits hold a float32."""
    return float(f"{value:.9g}")


@torch.no_grad()
def summary(initial, final):
    values, change = final.double(), final.double() - initial.double()
    return {
        "sum": short(values.sum().item()),
        "norm": short(values.norm().item()),
        "first": [short(x) for x in values.flatten()[:4].tolist()],
        "change": short(change.norm().item()),
    }


def beginnings(initial):
    """The first four values of A in the first and the last module."""
    names = [name for name in initial if ".lora_A." in name]
    return {name: [short(x) for x in initial[name].flatten()[:4].tolist()] for name in (names[0], names[-1])}


def make(name, case):
    pairs, steps, initial, final = train(case)
    write(
        f"steps-{name}.json",
        {
            "made_with": made_with("torch", "transformers", "trl", "peft"),
            "settings": {"loss": "sigmoid", "beta": 0.1, **case},
            "rows": [pair.row for pair in pairs],
            **({"initial_a": beginnings(initial)} if "lora" in case else {}),
            "steps": steps,
            "parameters": {key: summary(initial[key], final[key]) for key in final},
        },
    )


def compare(name, case):
    golden = json.loads((GOLDEN / f"steps-{name}.json").read_text())
    _, steps, initial, final = train(case, torch.float64)
    for key in METRICS:
        # Rewards begin at 0 and cross it, so that only their absolute distance means something.
        relative = not key.startswith("rewards/")
        distances = [abs(a[key] - b[key]) / (abs(b[key]) if relative else 1) for a, b in zip(golden["steps"], steps, strict=True)]
        print(f"  {key}: {max(distances):.1e} {'relative' if relative else 'absolute'}")
    changes = [abs(golden["parameters"][key]["change"] / summary(initial[key], final[key])["change"] - 1) for key in final]
    print(f"  change of a tensor: {max(changes):.1e} relative")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"one of {', '.join(CASES)}; all by default")
    parser.add_argument("--float64", action="store_true", help="compare the golden files with float64 instead of making them")
    args = parser.parse_args()
    if unknown := set(args.cases) - set(CASES):
        parser.error(f"no such case: {', '.join(unknown)}")
    torch.set_num_threads(2)
    for name in args.cases or CASES:
        print(f"{name}, largest distance from float64:" if args.float64 else name, flush=True)
        (compare if args.float64 else make)(name, CASES[name])


if __name__ == "__main__":
    main()
