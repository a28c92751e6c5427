"""How fast TRL's DPOTrainer is on this machine, and in how much memory: the peer that `npm run bench` measures preftune against.

    python bench/trl.py --config fp32-mb1 --steps 4

LoRA of rank 16 on every linear layer, batches of 8 pairs an optimizer step, SmolLM2 from its GGUF, HH rows in file order. The token ids are those
of `preftune dpo --limit N --no-shuffle --max-length 512`: made here by the same rules and handed to TRL, so both train on the same tokens.
Gradient checkpointing is off, which is faster. Where memory allows no more, smaller micro-batches are TRL's best on a CPU: they pad less.

Prints one line of JSON. `pairs_per_second` is over all steps but the first, `median_pairs_per_second` that of the median step among them;
`tokens` counts each prompt once, `sequence_tokens` once a completion, as TRL computes it (without its padding); `losses` are one a step.
"""

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

# This file's own folder must not be searched: the file would be found as the package `trl`.
sys.path[0] = str(Path(__file__).parents[1] / "tests" / "reference")

import torch
from datasets import Dataset
from peft import LoraConfig
from text_common import smollm2
from transformers import PrinterCallback, TrainerCallback, set_seed
from trl import DPOConfig, DPOTrainer
from trl_common import DATA, GGUF, load_gguf, usable_pairs

BATCH = 8
CONFIGS = {
    "fp32-mb1": {"weights": torch.float32, "autocast": False, "micro_batch": 1},
    "fp32-mb4": {"weights": torch.float32, "autocast": False, "micro_batch": 4},
    "bf16-weights": {"weights": torch.bfloat16, "autocast": False, "micro_batch": 1},
    "bf16-autocast": {"weights": torch.float32, "autocast": True, "micro_batch": 1},
}


class StepClock(TrainerCallback):
    """Seconds of each optimizer step."""

    def __init__(self):
        self.seconds = []

    def on_step_begin(self, args, state, control, **kwargs):
        self.start = time.perf_counter()

    def on_step_end(self, args, state, control, **kwargs):
        self.seconds.append(time.perf_counter() - self.start)


class TokenizedTrainer(DPOTrainer):
    """DPOTrainer over rows that are token ids already."""

    def _prepare_dataset(self, dataset, *_):
        return dataset


def shorten(pair, max_length):
    """The pair as src/data/truncate.ts has it (SmolLM2 has no BOS to keep): first the prompt from the left, then the completions' ends."""
    prompt = pair.prompt_ids
    max_prompt_length = min(max_length // 2, 512)
    excess = max(0, pair.length - max_length)
    prompt = prompt[-max(max_prompt_length, len(prompt) - excess) :] if excess else prompt
    room = max_length - len(prompt)
    return {"prompt_ids": prompt, "chosen_ids": pair.ids["chosen"][:room], "rejected_ids": pair.ids["rejected"][:room]}


def first_rows(path, count, max_length):
    rows = []
    for pair in usable_pairs(smollm2(), path):
        row = shorten(pair, max_length)
        if row["chosen_ids"] != row["rejected_ids"]:
            rows.append(row)
        if len(rows) == count:
            return rows
    raise SystemExit(f"{path} has only {len(rows)} usable pairs; {count} are wanted")


def peak_rss_mib():
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def train(args, rows):
    config = CONFIGS[args.config]
    set_seed(0)
    clock = StepClock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = TokenizedTrainer(
            model=load_gguf(args.model, config["weights"]),
            args=DPOConfig(
                output_dir=folder, use_cpu=True, bf16=config["autocast"], gradient_checkpointing=False, report_to=[], save_strategy="no",
                disable_tqdm=True, logging_steps=1, train_sampling_strategy="sequential", max_steps=args.steps, max_length=args.max_length,
                per_device_train_batch_size=config["micro_batch"], gradient_accumulation_steps=BATCH // config["micro_batch"],
                learning_rate=1e-4, beta=0.1,
            ),  # fmt: skip
            train_dataset=Dataset.from_list(rows),
            processing_class=smollm2(),
            peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", lora_dropout=0.0),
            callbacks=[clock],
        )
        trainer.remove_callback(PrinterCallback)
        loaded = peak_rss_mib()
        trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return clock.seconds, losses, loaded


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", choices=CONFIGS, required=True)
    parser.add_argument("--steps", type=int, default=4, help="optimizer steps, at least 2: the first is not counted")
    parser.add_argument("--limit", type=int, help="use the first N usable rows (default: as many as the steps need)")
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", type=Path, default=GGUF, help="a GGUF file with SmolLM2's tokenizer")
    parser.add_argument("--data", type=Path, default=DATA, help="HH rows, gzipped JSONL")
    args = parser.parse_args()
    limit = args.limit or args.steps * BATCH
    if args.steps < 2 or limit < args.steps * BATCH:
        parser.error(f"--steps {args.steps} needs to be at least 2 and takes {BATCH} rows a step; --limit is {limit}")
    torch.set_num_threads(args.threads)
    rows = first_rows(args.data, limit, args.max_length)[: args.steps * BATCH]
    seconds, losses, loaded = train(args, rows)
    completions = sum(len(row["chosen_ids"]) + len(row["rejected_ids"]) for row in rows)
    prompts = sum(len(row["prompt_ids"]) for row in rows)
    result = {
        "config": args.config,
        "pairs_per_second": round(BATCH * len(seconds[1:]) / sum(seconds[1:]), 4),
        "median_pairs_per_second": round(BATCH / statistics.median(seconds[1:]), 4),
        "peak_rss_mib": peak_rss_mib(),
        "peak_rss_before_training_mib": loaded,
        "pairs": len(rows),
        "tokens": prompts + completions,
        "sequence_tokens": 2 * prompts + completions,
        "threads": torch.get_num_threads(),
        "step_seconds": [round(s, 3) for s in seconds],
        "losses": [round(loss, 6) for loss in losses],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
