"""What the text_*.py scripts share: where things are, and the two tokenizers."""

import json
from pathlib import Path

from tokenizers import pre_tokenizers
from transformers import AutoTokenizer

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
GOLDEN = ROOT / "tests" / "golden" / "text"
TEMPLATES = ROOT / "tests" / "text" / "templates"


def smollm2():
    """SmolLM2's tokenizer from the shared GGUF.

    transformers reads the GGUF's vocabulary but not its pre-tokenizer's name and leaves out the first of its two steps, digits one by
    one; it is put back here as SmolLM2's own tokenizer.json has it.
    """
    tokenizer = AutoTokenizer.from_pretrained(SHARED / "models", gguf_file="SmolLM2-135M-Instruct.Q4_1.gguf")
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    return tokenizer


def stories260k():
    return AutoTokenizer.from_pretrained(SHARED / "models" / "stories260K")


def write(name, value):
    GOLDEN.mkdir(parents=True, exist_ok=True)
    (GOLDEN / name).write_text(json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n")
