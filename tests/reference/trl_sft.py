"""Golden training steps by TRL's SFTTrainer: tests/golden/parity/sft-*.json, one file a case.

    python tests/reference/trl_sft.py [CASE ...]

All weights of stories260K, float32, on the chosen completions of the first usable HH pairs whose prompt and chosen completion have at most
`max_length` tokens, in file order, the loss over the completions' tokens alone. An optimizer step is `batch_size` rows, accumulated over
micro-batches of `micro_batch_size`: TRL divides each by the tokens of the whole step (num_items_in_batch). AdamW (betas 0.9 and 0.999, epsilon
1e-8, no decay), gradient norm clipped at 1, linear schedule without warm-up. TRL tokenizes the texts itself; its ids are checked against
preftune's rule before the first step. In preftune's words:

    preftune sft --tuning full --data HH --max-length M --truncation drop --limit N*B --no-shuffle --batch-size B --learning-rate X --loss LOSS

"steps" are TRL's own metrics, unrounded; "parameters" as in trl_steps.py.
"""

import argparse
import itertools
import tempfile

import torch
from datasets import Dataset
from transformers import set_seed
from trl import SFTConfig, SFTTrainer
from trl_common import TOKENIZERS, load_model, made_with, usable_pairs, write
from trl_steps import summary, trainable

COMMON = {"model": "stories260K", "steps": 20, "batch_size": 8, "micro_batch_size": 2, "max_length": 128, "learning_rate": 1e-3}
CASES = {"nll": {"loss": "nll", **COMMON}, "dft": {"loss": "dft", **COMMON}}
METRICS = ["loss", "grad_norm", "learning_rate"]


def config(case, folder):
    return SFTConfig(
        output_dir=folder, use_cpu=True, bf16=False, gradient_checkpointing=False, report_to=[], save_strategy="no", disable_tqdm=True,
        logging_steps=1, train_sampling_strategy="sequential", per_device_train_batch_size=case["micro_batch_size"],
        gradient_accumulation_steps=case["batch_size"] // case["micro_batch_size"], max_steps=case["steps"], optim="adamw_torch",
        learning_rate=case["learning_rate"], adam_beta1=0.9, adam_beta2=0.999, adam_epsilon=1e-8, weight_decay=0.0, lr_scheduler_type="linear",
        warmup_steps=0, max_grad_norm=1.0, loss_type=case["loss"], max_length=None, completion_only_loss=True,
    )  # fmt: skip


def first_rows(tokenizer, case):
    """The first usable rows, each with a prompt and the chosen completion."""
    fitting = (pair for pair in usable_pairs(tokenizer) if len(pair.prompt_ids) + len(pair.ids["chosen"]) <= case["max_length"])
    return list(itertools.islice(fitting, case["steps"] * case["batch_size"]))


def check_ids(dataset, rows):
    for pair, tokens in zip(rows, dataset, strict=True):
        length = len(pair.prompt_ids)
        if tokens["input_ids"] != [*pair.prompt_ids, *pair.ids["chosen"]]:
            raise SystemExit(f"row {pair.row}: TRL's ids are not those of preftune's rule")
        if tokens["labels"] != [-100] * length + pair.ids["chosen"]:
            raise SystemExit(f"row {pair.row}: TRL scores other tokens than the completion's")


def make(name, case):
    set_seed(0)
    tokenizer = TOKENIZERS[case["model"]]()
    rows = first_rows(tokenizer, case)
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model=load_model(case["model"]),
            args=config(case, folder),
            train_dataset=Dataset.from_list([{"prompt": pair.prompt, "completion": pair.texts["chosen"]} for pair in rows]),
            processing_class=tokenizer,
        )
        check_ids(trainer.train_dataset, rows)
        initial = {key: p.detach().clone() for key, p in trainable(trainer.model).items()}
        trainer.train()
    final = trainable(trainer.model)
    write(
        f"sft-{name}.json",
        {
            "made_with": made_with("torch", "transformers", "trl"),
            "settings": case,
            "rows": [pair.row for pair in rows],
            "steps": [{"step": row["step"], **{key: row[key] for key in METRICS}} for row in trainer.state.log_history if "loss" in row],
            "parameters": {key: summary(initial[key], final[key]) for key in final},
        },
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"one of {', '.join(CASES)}; all by default")
    torch.set_num_threads(2)
    for case in parser.parse_args().cases or CASES:
        make(case, CASES[case])
