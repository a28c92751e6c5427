"""What the trl_*.py scripts share: models, the HH rows as preftune reads them, and where golden files go.

Pairs follow preftune's rules for plain text (src/data/preferences.ts, src/text/boundary.ts), worked out here from transformers' ids alone:
- the prompt is the common beginning of chosen and rejected up to and with its last "\n\nAssistant:"; completions keep their leading space;
- prompt ids are ids(prompt), BOS as the tokenizer's own settings say; completion ids are ids(prompt + completion) without ids(prompt) when
  those are their prefix, else ids(completion) alone; the end-of-text token follows unless it is there;
- pairs whose completions are empty or the same, and rows without a common prompt, are not used.
Selecting by length is `--max-length N --truncation drop`: a pair is used when its prompt and longer completion have at most N tokens.
"""

import gzip
import json
import os
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from text_common import ROOT, SHARED, smollm2, stories260k
from transformers import AutoModelForCausalLM, GgufConfig

DATA = SHARED / "data" / "hh-rlhf-harmless-base-test.jsonl.gz"
GGUF = SHARED / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
STORIES = SHARED / "models" / "stories260K"
GOLDEN = ROOT / "tests" / "golden" / "parity"
MARK = "\n\nAssistant:"

TOKENIZERS = {"SmolLM2": smollm2, "stories260K": stories260k}


@dataclass
class Pair:
    """A preference pair: where it stands in the file (from 1), its texts, and its token ids without the prompt's in the completions."""

    row: int
    prompt: str
    texts: dict[str, str]
    prompt_ids: list[int]
    ids: dict[str, list[int]]

    @property
    def length(self):
        return len(self.prompt_ids) + max(map(len, self.ids.values()))


def load_model(name, dtype=torch.float32):
    return load_gguf(GGUF, dtype) if name == "SmolLM2" else AutoModelForCausalLM.from_pretrained(STORIES, dtype=dtype)


def load_gguf(path, dtype=torch.float32):
    """A GGUF file as a plain model: without `dequantize`, transformers takes it for a quantized one and refuses to train it."""
    unpack = GgufConfig(dequantize=True)
    return AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, quantization_config=unpack, dtype=dtype)


def split(row):
    """Prompt and completions of an HH row, or None where chosen and rejected have no prompt in common or are the same."""
    shared = os.path.commonprefix([row["chosen"], row["rejected"]])
    end = shared.rfind(MARK) + len(MARK)
    if end < len(MARK) or row["chosen"] == row["rejected"]:
        return None
    return row["chosen"][:end], {side: row[side][end:] for side in ("chosen", "rejected")}


def completion_ids(tokenizer, prompt, completion):
    head, whole = tokenizer(prompt)["input_ids"], tokenizer(prompt + completion)["input_ids"]
    merged = whole[: len(head)] != head
    ids = tokenizer(completion, add_special_tokens=False)["input_ids"] if merged else whole[len(head) :]
    return ids if ids[-1:] == [tokenizer.eos_token_id] else [*ids, tokenizer.eos_token_id]


def usable_pairs(tokenizer, path=DATA):
    """The pairs of an HH file that preftune uses, in file order."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            parts = split(json.loads(line))
            if parts is None:
                continue
            prompt, texts = parts
            ids = {side: completion_ids(tokenizer, prompt, text) for side, text in texts.items()}
            if ids["chosen"] == ids["rejected"] or any(len(i) == 1 for i in ids.values()):
                continue
            yield Pair(number, prompt, texts, tokenizer(prompt)["input_ids"], ids)


def first_pairs(tokenizer, count, max_length):
    """The first `count` usable pairs of at most `max_length` tokens."""
    pairs = []
    for pair in usable_pairs(tokenizer):
        if pair.length <= max_length:
            pairs.append(pair)
        if len(pairs) == count:
            return pairs
    raise SystemExit(f"{DATA} has only {len(pairs)} usable pairs of at most {max_length} tokens; {count} are wanted")


def made_with(*packages):
    return {package: version(package) for package in packages}


def write(name, value):
    """Writes a golden file: short lists and objects on one line each."""
    GOLDEN.mkdir(parents=True, exist_ok=True)
    lines = []
    for key, part in value.items():
        entries = part.items() if isinstance(part, dict) else [(None, x) for x in part] if isinstance(part, list) else None
        if entries is None or not any(isinstance(x, dict | list) for _, x in entries):
            lines.append(f"{json.dumps(key)}: {json.dumps(part)}")
            continue
        body = ",\n  ".join((f"{json.dumps(k)}: " if k is not None else "") + json.dumps(x) for k, x in entries)
        lines.append(f"{json.dumps(key)}: " + ("{%s}" if isinstance(part, dict) else "[%s]") % f"\n  {body}\n ")
    Path(GOLDEN / name).write_text("{\n " + ",\n ".join(lines) + "\n}\n")
