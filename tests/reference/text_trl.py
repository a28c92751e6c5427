"""How TRL's DPOTrainer itself tokenizes HH rows: tests/golden/text/trl.json.

    python tests/reference/text_trl.py

Every twelfth row of the shared HH file with SmolLM2's tokenizer: lengths and a hash of the ids of prompt, chosen and rejected (no text: some of
it is offensive). The prompt is given to TRL as this project cuts it, at the last turn of the assistant's that both sides share. "chat" is
the same row with the prompt as one user message and the completions as the assistant's. Rows whose prompt's and completion's tokens merge are
left out: TRL cuts such a completion in the middle. The newline that TRL keeps behind a turn's end token is left out as well.
"""

import gzip
import hashlib
import json
import logging
import os
import types

import numpy as np
from datasets import Dataset
from text_common import SHARED, smollm2, write
from trl import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

MARK = "\n\nAssistant:"


def split(row):
    shared = os.path.commonprefix([row["chosen"], row["rejected"]])
    end = shared.rindex(MARK) + len(MARK)
    return {"prompt": row["chosen"][:end], "chosen": row["chosen"][end:], "rejected": row["rejected"][end:]}


def chat(row):
    roles = {"prompt": "user", "chosen": "assistant", "rejected": "assistant"}
    return {field: [{"role": role, "content": row[field]}] for field, role in roles.items()}


def tokenize(rows):
    trainer = types.SimpleNamespace(_tokenizer=tokenizer)
    config = DPOConfig(output_dir="/tmp/unused", max_length=None, report_to=[], use_cpu=True, bf16=False)
    return DPOTrainer._prepare_dataset(trainer, Dataset.from_list(rows), tokenizer, config, "train")


def merges(text, side):
    head, whole = (tokenizer(t, add_special_tokens=False)["input_ids"] for t in (text["prompt"], text["prompt"] + text[side]))
    return whole[: len(head)] != head


def summary(line, ids):
    entry = {"line": line}
    for field in ("prompt", "chosen", "rejected"):
        data = np.asarray(ids[f"{field}_ids"], dtype="<i4")
        if field != "prompt":
            data = data[: np.flatnonzero(data == tokenizer.eos_token_id)[-1] + 1]
        entry[field] = [len(data), hashlib.sha256(data.tobytes()).hexdigest()[:16]]
    return entry


tokenizer = smollm2()
with gzip.open(SHARED / "data" / "hh-rlhf-harmless-base-test.jsonl.gz", "rt") as file:
    rows = [(line, split(json.loads(text))) for line, text in enumerate(file, 1)][::12]


def rendered(row):
    messages = chat(row)
    prompt = tokenizer.apply_chat_template(messages["prompt"], add_generation_prompt=True, tokenize=False)
    whole = {s: tokenizer.apply_chat_template(messages["prompt"] + messages[s], tokenize=False) for s in ("chosen", "rejected")}
    return {"prompt": prompt, **{s: text[len(prompt) :] for s, text in whole.items()}}


def keep(text):
    return not any(merges(text, side) for side in ("chosen", "rejected"))


plain = [(line, row) for line, row in rows if keep(row)]
chats = [(line, chat(row)) for line, row in rows if keep(rendered(row))]
write(
    "trl.json",
    {
        name: [summary(line, ids) for (line, _), ids in zip(chosen, tokenize([row for _, row in chosen]), strict=True)]
        for name, chosen in (("plain", plain), ("chat", chats))
    },
)
