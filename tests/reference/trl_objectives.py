"""Golden training steps by TRL's trainers for every objective that TRL has: tests/golden/parity/objectives.json, all cases in one file.

    python tests/reference/trl_objectives.py [CASE ...]

All cases: stories260K with all its weights, float32 on the CPU, no dropout, the same start and the same HH rows in file order, the first usable
pairs of at most `max_length` tokens, gone through `epochs` times; AdamW (betas 0.9 and 0.999, epsilon 1e-8, no decay), gradient norm clipped at
1, and the linear schedule without warm-up. A step is one micro-batch of TRL's unless said below, for KTO and BCO of as many completions as
the others have pairs: completion i of them is the chosen one of pair i where i is even, else the rejected one. TRL tokenizes the texts itself;
the ids that it trains on are checked against preftune's rule. A case's "trl" is TRL's configuration, its "preftune" what preftune takes for the
same, which tests/parity/objectives.test.ts runs.

Each step has the loss, the norm of the gradient before clipping, and the reward margin, all as TRL logs them (the margin of KTO and BCO: mean
of the chosen completions less mean of the rejected).

What to know of TRL 1.13, found while making these:

- sigmoid: `label_smoothing` is accepted and ignored. preftune's conservative DPO has no counterpart here.
- bco_pair: no running mean (Jung et al. 2024, delta), so it is compared with preftune's without the shift.
- nca_pair, bco_pair, sppo_hard, aot* and apo_* are refused with another f-divergence than the reverse KL, exo_pair with its own default of
  `label_smoothing`, 0, where the loss is infinite.
- sft, and the NLL term of CPO and ORPO: the mean over all tokens of the micro-batch, so that with accumulation the loss depends on how a step is
  cut. preftune means over the step's tokens. RPO's term is a mean by completion first (Pang et al. 2024: 1 / |y|): its case gives TRL
  micro-batches of one pair, accumulated, where [sigmoid, sft] is just that.
- ORPO's NLL counts the prompt's tokens too (Hong et al. 2024, equation 6, has the completion's alone). Its case has empty prompts: there is
  nothing else to count then.
- KTO compares each prompt with the completion *before* it in its micro-batch (Ethayarajh et al. 2024: with the one after it). TRL gets every
  step's rows in reverse, which changes nothing but that: its mean is over the same prompts and completions then. No two prompts here are
  the same; of two rows with one prompt TRL takes each other's completion, which is not mismatched.
- BCO: delta is the mean of all rewards from the beginning, with those of the present micro-batch.
- CPO: `loss_type="alphapo"` is simpo with cpo_alpha 0 and leaves `alpha` at 0, where AlphaPO is SimPO: alpha has to be given. sigmoid and hinge
  read summed log-probabilities, simpo and ipo averaged ones.
- TR-DPO: the reference is updated after steps whose number, from 1, `ref_model_sync_steps` divides.
"""

import argparse
import contextlib
import io
import json
import logging
import tempfile

import torch
from datasets import Dataset, disable_progress_bars
from transformers import set_seed
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer
from trl.experimental.bco import BCOConfig, BCOTrainer
from trl.experimental.cpo import CPOConfig, CPOTrainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer
from trl_common import GOLDEN, Pair, completion_ids, first_pairs, load_model, made_with, write
from text_common import stories260k

SETTINGS = {"model": "stories260K", "steps": 20, "epochs": 2, "batch_size": 4, "max_length": 80, "learning_rate": 1e-4}
TARGET = "objectives.json"


def case(trainer, *, micro_batch=SETTINGS["batch_size"], empty_prompts=False, preftune=None, **trl):
    """TRL's trainer with its arguments, and what preftune takes for the same: its method with options."""
    return {"trainer": trainer, "trl": trl, "micro_batch": micro_batch, "empty_prompts": empty_prompts, "preftune": preftune or {}}


def pairwise(loss, *, preftune=None, **trl):
    return case("dpo", loss_type=loss.split(","), preftune={"method": "dpo", "loss": loss, **(preftune or {})}, **trl)


CASES = {
    "sigmoid": pairwise("sigmoid"),
    "hinge": pairwise("hinge"),
    "ipo": pairwise("ipo"),
    "exo_pair": pairwise("exo_pair", label_smoothing=1e-3, preftune={"labelSmoothing": 1e-3}),
    "nca_pair": pairwise("nca_pair"),
    "robust": pairwise("robust", label_smoothing=0.1, preftune={"labelSmoothing": 0.1}),
    "bco_pair": pairwise("bco_pair"),
    "sppo_hard": pairwise("sppo_hard"),
    "aot": pairwise("aot", label_smoothing=0.1, preftune={"labelSmoothing": 0.1}),
    "aot_unpaired": pairwise("aot_unpaired"),
    "apo_zero": pairwise("apo_zero"),
    "apo_down": pairwise("apo_down"),
    "discopop": pairwise("discopop"),
    "sigmoid_norm": pairwise("sigmoid_norm", beta=2.0, preftune={"beta": 2.0}),
    "sft": pairwise("sft"),
    "sigmoid+bco_pair+sft": pairwise(
        "sigmoid,bco_pair,sft", loss_weights=[0.8, 0.2, 1.0], preftune={"lossWeights": [0.8, 0.2, 1.0]}
    ),
    "sigmoid, RPO": pairwise("sigmoid,sft", loss_weights=[1.0, 0.5], micro_batch=1, preftune={"loss": "sigmoid", "rpoAlpha": 0.5}),
    "sigmoid, forward_kl": pairwise("sigmoid", f_divergence_type="forward_kl", preftune={"fDivergence": "forward_kl"}),
    "sigmoid, js_divergence": pairwise("sigmoid", f_divergence_type="js_divergence", preftune={"fDivergence": "js_divergence"}),
    "sigmoid, alpha_divergence": pairwise(
        "sigmoid", f_divergence_type="alpha_divergence", f_alpha_divergence_coef=0.3, preftune={"fDivergence": "alpha_divergence", "fAlpha": 0.3}
    ),
    "hinge, js_divergence": pairwise("hinge", f_divergence_type="js_divergence", preftune={"fDivergence": "js_divergence"}),
    "sigmoid, LD-DPO": pairwise("sigmoid", ld_alpha=0.5, preftune={"ldAlpha": 0.5}),
    "sigmoid, WPO": pairwise("sigmoid", use_weighting=True, preftune={"wpo": True}),
    "sigmoid, TR-DPO soft": pairwise(
        "sigmoid", sync_ref_model=True, ref_model_mixup_alpha=0.6, ref_model_sync_steps=1, preftune={"referenceMixup": 0.6, "syncReference": 1}
    ),
    "sigmoid, TR-DPO hard": pairwise(
        "sigmoid", sync_ref_model=True, ref_model_mixup_alpha=1.0, ref_model_sync_steps=6, preftune={"referenceMixup": 1.0, "syncReference": 6}
    ),
    "kto": case("kto", preftune={"method": "kto"}),
    "kto, weights": case(
        "kto", desirable_weight=1.0, undesirable_weight=1.5, beta=0.3, preftune={"method": "kto", "beta": 0.3, "undesirableWeight": 1.5}
    ),
    "apo_zero_unpaired": case("kto", loss_type="apo_zero_unpaired", preftune={"method": "kto", "loss": "apo_zero_unpaired"}),
    "bco": case("bco", preftune={"method": "bco"}),
    "orpo": case("orpo", empty_prompts=True, preftune={"method": "orpo"}),
    "cpo": case("cpo", preftune={"method": "cpo"}),
    "cpo, smoothed": case("cpo", label_smoothing=0.1, preftune={"method": "cpo", "labelSmoothing": 0.1}),
    "cpo hinge": case("cpo", loss_type="hinge", preftune={"method": "cpo", "loss": "hinge"}),
    "cpo ipo": case("cpo", loss_type="ipo", preftune={"method": "cpo", "loss": "ipo"}),
    "simpo": case("cpo", loss_type="simpo", cpo_alpha=0.0, beta=2.0, simpo_gamma=1.0, preftune={"method": "simpo", "beta": 2.0, "gamma": 1.0}),
    "alphapo": case(
        "cpo", loss_type="alphapo", alpha=0.25, beta=2.0, simpo_gamma=1.0, preftune={"method": "simpo", "loss": "alphapo", "alpha": 0.25, "beta": 2.0, "gamma": 1.0}
    ),
}  # fmt: skip

TRAINERS = {
    "dpo": (DPOTrainer, DPOConfig),
    "kto": (KTOTrainer, KTOConfig),
    "bco": (BCOTrainer, BCOConfig),
    "orpo": (ORPOTrainer, ORPOConfig),
    "cpo": (CPOTrainer, CPOConfig),
}  # fmt: skip
UNPAIRED = {"kto", "bco"}
WITH_REFERENCE = {"dpo", "kto", "bco"}


def desirable(index):
    return index % 2 == 0


def rows_of(name, pairs):
    """What TRL's trainer is given: pairs, or the completions with their labels, every step's in reverse."""
    kind, size = CASES[name]["trainer"], SETTINGS["batch_size"]
    if kind not in UNPAIRED:
        return [{"prompt": "" if CASES[name]["empty_prompts"] else pair.prompt, **pair.texts} for pair in pairs]
    rows = [
        {"prompt": pair.prompt, "completion": pair.texts["chosen" if desirable(i) else "rejected"], "label": desirable(i)}
        for i, pair in enumerate(pairs)
    ]
    return [row for start in range(0, len(rows), size) for row in reversed(rows[start : start + size])]


def config(name, folder):
    kind, micro_batch = CASES[name]["trainer"], CASES[name]["micro_batch"]
    return TRAINERS[kind][1](
        output_dir=folder, use_cpu=True, bf16=False, gradient_checkpointing=False, report_to=[], save_strategy="no", disable_tqdm=True,
        logging_steps=1, train_sampling_strategy="sequential", per_device_train_batch_size=micro_batch,
        gradient_accumulation_steps=SETTINGS["batch_size"] // micro_batch, max_steps=SETTINGS["steps"],
        optim="adamw_torch", learning_rate=SETTINGS["learning_rate"], adam_beta1=0.9, adam_beta2=0.999, adam_epsilon=1e-8, weight_decay=0.0,
        lr_scheduler_type="linear", warmup_steps=0, max_grad_norm=1.0, max_length=512, **CASES[name]["trl"],
    )  # fmt: skip


def expected_ids(name, pairs):
    """The sequences that TRL should train on, by preftune's rule: prompt and completion, for each row that it is given."""
    if CASES[name]["trainer"] not in UNPAIRED:
        return [(pair.prompt_ids, pair.ids["chosen"], pair.ids["rejected"]) for pair in pairs]
    size = SETTINGS["batch_size"]
    rows = [(pair.prompt_ids, pair.ids["chosen" if desirable(i) else "rejected"]) for i, pair in enumerate(pairs)]
    return [row for start in range(0, len(rows), size) for row in reversed(rows[start : start + size])]


def ids_of(kind, row):
    """What a row of TRL's tokenized data set trains on: prompt and completions."""
    if kind == "dpo":
        return row["prompt_ids"], row["chosen_ids"], row["rejected_ids"]
    if kind == "kto":
        return row["prompt_ids"], row["completion_ids"]
    sides = ["completion"] if kind == "bco" else ["chosen", "rejected"]
    wholes = [(row[f"{side}_input_ids"], sum(label == -100 for label in row[f"{side}_labels"])) for side in sides]
    whole, cut = wholes[0]
    return whole[:cut], *(ids[start:] for ids, start in wholes)


def check(name, trainer, pairs):
    """Float32 on the CPU without dropout, the step in one micro-batch where it should be, and preftune's ids."""
    models = [trainer.model, *([trainer.ref_model] if CASES[name]["trainer"] in WITH_REFERENCE else [])]
    for model in models:
        assert {(p.dtype, p.device.type) for p in model.parameters()} == {(torch.float32, "cpu")}
        assert all(module.p == 0 for module in model.modules() if isinstance(module, torch.nn.Dropout))
        assert model.config.attention_dropout == 0
    assert not trainer.args.bf16 and not trainer.args.fp16
    assert trainer.args.per_device_train_batch_size * trainer.args.gradient_accumulation_steps == SETTINGS["batch_size"]
    for row, expected in zip(trainer.train_dataset, expected_ids(name, pairs), strict=True):
        if ids_of(CASES[name]["trainer"], row) != expected:
            raise SystemExit(f"{name}: TRL's ids are not those of preftune's rule")


def train(name, pairs):
    set_seed(0)
    kind = CASES[name]["trainer"]
    tokenizer = stories260k()
    tokenizer.pad_token = tokenizer.eos_token
    with tempfile.TemporaryDirectory() as folder:
        trainer = TRAINERS[kind][0](
            model=load_model(SETTINGS["model"]),
            **({"ref_model": load_model(SETTINGS["model"])} if kind in WITH_REFERENCE else {}),
            args=config(name, folder),
            train_dataset=Dataset.from_list(rows_of(name, pairs)),
            processing_class=tokenizer,
        )
        check(name, trainer, pairs)
        trainer.train()
    return [row for row in trainer.state.log_history if "loss" in row]


def short(values):
    """Nine significant digits hold a float32."""
    return [float(f"{value:.9g}") for value in values]


def make(name, pairs):
    if CASES[name]["empty_prompts"]:
        tokenizer = stories260k()
        pairs = [without_prompt(tokenizer, pair) for pair in pairs]
    with contextlib.redirect_stdout(io.StringIO()):
        steps = train(name, pairs)
    assert len(steps) == SETTINGS["steps"]
    margins = [step["rewards/chosen"] - step["rewards/rejected"] for step in steps]
    return {
        **CASES[name],
        "loss": short(step["loss"] for step in steps),
        "grad_norm": short(step["grad_norm"] for step in steps),
        "margin": short(margins),
    }


def without_prompt(tokenizer, pair):
    ids = {side: completion_ids(tokenizer, "", text) for side, text in pair.texts.items()}
    return Pair(pair.row, "", pair.texts, tokenizer("")["input_ids"], ids)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="*", metavar="CASE", help="all by default; others of the file stay as they are")
    args = parser.parse_args()
    if unknown := set(args.cases) - set(CASES):
        parser.error(f"no such case: {', '.join(unknown)}. There are {', '.join(CASES)}")
    torch.set_num_threads(1)
    disable_progress_bars()
    logging.disable(logging.WARNING)
    count = SETTINGS["steps"] * SETTINGS["batch_size"] // SETTINGS["epochs"]
    pairs = first_pairs(stories260k(), count, SETTINGS["max_length"])
    assert len({pair.prompt for pair in pairs}) == count, "prompts must differ: KTO mismatches completions"
    target = GOLDEN / TARGET
    kept = json.loads(target.read_text())["cases"] if args.cases and target.exists() else {}
    found = {}
    for name in CASES:
        if args.cases and name not in args.cases:
            found[name] = {**kept[name], **CASES[name]} if name in kept else None
            continue
        print(name, flush=True)
        found[name] = make(name, pairs)
    write(
        TARGET,
        {
            "made_with": made_with("torch", "transformers", "trl"),
            "settings": SETTINGS,
            "rows": [pair.row for pair in pairs],
            "cases": {name: made for name, made in found.items() if made},
        },
    )


if __name__ == "__main__":
    main()
