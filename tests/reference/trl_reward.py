"""Golden rewards and training steps of reward models, by transformers and TRL's RewardTrainer: tests/golden/parity/reward*.json.

    python tests/reference/trl_reward.py

The model is stories260K as a sequence classifier of one label, whose head is drawn here and stands in the golden files under "head".
Pairs, tokenization, optimizer and schedule are those of trl_steps.py; TRL's own ids are checked before the first step.

The tokenizer has no padding token. TRL would take its end token, and the model then reads a reward one token before the end
(transformers looks for the last token that is not padding). Here it is the unknown token, as preftune chooses it.

- rewards-stories260K.json: of ten pairs the rewards [chosen, rejected], in float64; once padded with the unknown and once with the end
  token ("before_end").
- steps-stories260K-reward.json, steps-stories260K-reward-centered.json: TRL's metrics of 20 steps of all weights, as trl_steps.py has them.
"""

import tempfile

import torch
from datasets import Dataset
from transformers import AutoModelForSequenceClassification, set_seed
from trl import RewardConfig, RewardTrainer
from trl_common import STORIES, TOKENIZERS, first_pairs, made_with, write
from trl_steps import short, summary

STEPS = {"steps": 20, "batch_size": 4, "max_length": 96, "learning_rate": 1e-4}
CASES = {"reward": {}, "reward-centered": {"centering_weight": 0.05}}
METRICS = {
    "loss": "loss", "rewards/margins": "margin", "rewards/accuracies": "accuracy", "rewards/mean": "mean_reward",
    "grad_norm": "grad_norm", "learning_rate": "learning_rate",
}  # fmt: skip


def head():
    """A head [1, 64] that gives rewards of the size of 1."""
    return 0.2 * torch.randn(1, 64, generator=torch.Generator().manual_seed(5), dtype=torch.float32)


@torch.no_grad()
def load(pad_token_id, dtype):
    model = AutoModelForSequenceClassification.from_pretrained(STORIES, num_labels=1, dtype=dtype)
    model.config.pad_token_id = pad_token_id
    model.score.weight.copy_(head())
    return model


@torch.no_grad()
def rewards(pairs, pad):
    """Rewards of all completions in one padded batch."""
    texts = [torch.tensor(pair.prompt_ids + pair.ids[side]) for pair in pairs for side in ("chosen", "rejected")]
    batch = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True, padding_value=pad)
    lengths = torch.tensor([len(ids) for ids in texts])
    attention = (torch.arange(batch.shape[1]) < lengths[:, None]).long()
    return load(pad, torch.float64).eval()(batch, attention_mask=attention).logits.view(-1, 2).tolist()


def config(case, folder):
    return RewardConfig(
        output_dir=folder, use_cpu=True, bf16=False, gradient_checkpointing=False, report_to=[], save_strategy="no", disable_tqdm=True,
        logging_steps=1, train_sampling_strategy="sequential", per_device_train_batch_size=STEPS["batch_size"], max_steps=STEPS["steps"],
        optim="adamw_torch", learning_rate=STEPS["learning_rate"], adam_beta1=0.9, adam_beta2=0.999, adam_epsilon=1e-8, weight_decay=0.0,
        lr_scheduler_type="linear", warmup_steps=0, max_grad_norm=1.0, max_length=None, pad_token="<unk>",
        center_rewards_coefficient=case.get("centering_weight"),
    )  # fmt: skip


def check_ids(dataset, pairs):
    for pair, tokens in zip(pairs, dataset, strict=True):
        if any(pair.prompt_ids + pair.ids[side] != tokens[f"{side}_ids"] for side in ("chosen", "rejected")):
            raise SystemExit(f"row {pair.row}: TRL's ids are not those of preftune's rule")


def train(case, tokenizer, pairs):
    set_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        trainer = RewardTrainer(
            model=load(tokenizer.unk_token_id, torch.float32),
            args=config(case, folder),
            train_dataset=Dataset.from_list([{"prompt": pair.prompt, **pair.texts} for pair in pairs]),
            processing_class=tokenizer,
        )
        check_ids(trainer.train_dataset, pairs)
        initial = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
        trainer.train()
    log = [row for row in trainer.state.log_history if "loss" in row]
    steps = [{"step": row["step"], **{ours: row[theirs] for ours, theirs in METRICS.items()}} for row in log]
    final = {name: summary(initial[name], p) for name, p in trainer.model.named_parameters()}
    return steps, final


def main():
    torch.set_num_threads(2)
    tokenizer = TOKENIZERS["stories260K"]()
    pairs = first_pairs(tokenizer, STEPS["steps"] * STEPS["batch_size"], STEPS["max_length"])
    start = [short(x) for x in head().flatten().tolist()]
    versions = made_with("torch", "transformers", "trl")
    write(
        "rewards-stories260K.json",
        {
            "made_with": versions,
            "head": start,
            "rows": [pair.row for pair in pairs[:10]],
            "max_length": STEPS["max_length"],
            "rewards": rewards(pairs[:10], tokenizer.unk_token_id),
            "before_end": rewards(pairs[:10], tokenizer.eos_token_id),
        },
    )
    for name, case in CASES.items():
        steps, parameters = train(case, tokenizer, pairs)
        write(
            f"steps-stories260K-{name}.json",
            {"made_with": versions, "settings": {**STEPS, **case}, "head": start, "steps": steps, "parameters": parameters},
        )


if __name__ == "__main__":
    main()
