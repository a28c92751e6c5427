"""Golden ids for the tokenizer of a GGUF file.

Writes tests/golden/checkpoints/tokenizer.json: texts and their ids
  - "transformers": as transformers' own load of the shared SmolLM2 GGUF has them. It splits as GPT-2 does, where SmolLM2 and
    llama.cpp set every digit apart first, which differs for a run of spaces before a digit;
  - "smollm": the same vocabulary in the tokenizers library with the pre-tokenizer that SmolLM2's tokenizer.json has;
  - "pre": the same vocabulary under other names of pre-tokenizers, as transformers builds them for GGUF files;
  - "gemma": the vocabulary of tests/golden/checkpoints/tiny.gguf with spaces for its last two tokens and all scores equal, as
    transformers builds a Gemma 3 file's;
  - "stories": the SentencePiece vocabulary of the shared stories260K by its own tokenizer.json, in the tokenizers library.

    python tests/reference/checkpoints_tokenizer.py
"""

import json
from pathlib import Path

from tokenizers import Tokenizer, pre_tokenizers
from transformers import AutoTokenizer
from transformers.integrations.gguf.gguf_tokenizer_mapping import convert_gguf_tokenizer, get_gguf_tokenizer

ROOT = Path(__file__).parents[2]
MODELS = ROOT.parent / "shared" / "models"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"

TEXTS = [
    "The capital of France is Paris.",
    " leading space",
    "  two leading spaces",
    "trailing spaces   ",
    "runs   of    spaces\tand\t\ttabs",
    "lines\nand\r\nmore\n\n\nlines\n  indented\n",
    "   \n \n   ",
    "12345 3.14159 1,000,000 2024-05-17 0x1F",
    "  42 and   7",
    "x² + y³ = ½ ٣ Ⅷ 五",
    "it's we'll they'VE I'M don't 'tis rock'n'roll",
    "def f(x: int) -> list[int]:\n    return [x ** 2 for _ in range(10)]  # squares\n",
    "<div class=\"a\">&amp;</div> {\"key\": [1, 2, null]}",
    "héllo naïve Ångström e\u0301 ﬁne Ⓐ",
    "привет мир, как дела?",
    "你好，世界。今日は良い天気ですね",
    "مرحبا بالعالم",
    "हिन्दी में एक वाक्य",
    "😀 👩‍👩‍👧‍👦 🇫🇷 zero\u200bwidth nbsp\u00a0here\u3000wide",
    "<|im_start|>user\nHi!<|im_end|>\n<|im_start|>assistant\n",
    "text<|endoftext|> <|im_end|>x<|not_special|>",
    "\n\nHuman: How do I pick a lock?\n\nAssistant: I'd rather not say.",
    "ALLCAPS camelCase snake_case kebab-case http://example.com/a?b=c#d",
    "!!! ... --- ??!! $$$ %^&*()_+",
    "a",
    "",
]
OTHER_PRE_TOKENIZERS = ["gpt-2", "llama-bpe", "qwen2", "tekken", "dbrx", "smaug-bpe", "gpt-4o"]


def gemma() -> Tokenizer:
    _, tokenizer, _ = get_gguf_tokenizer(str(ROOT / "tests" / "golden" / "checkpoints" / "tiny.gguf"))
    tokens = [*tokenizer["tokens"][:-2], "  ", "    "]
    return convert_gguf_tokenizer("gemma3", {**tokenizer, "tokens": tokens, "scores": [0.0] * len(tokens)})[0]


def main() -> None:
    loaded = AutoTokenizer.from_pretrained(MODELS, gguf_file=GGUF)
    smollm = Tokenizer.from_str(loaded.backend_tokenizer.to_str())
    smollm.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    stories = Tokenizer.from_file(str(MODELS / "stories260K" / "tokenizer.json"))
    architecture, tokenizer, _ = get_gguf_tokenizer(str(MODELS / GGUF))
    ids = lambda backend: [backend.encode(text, add_special_tokens=False).ids for text in TEXTS]  # noqa: E731
    golden = {
        "texts": TEXTS,
        "transformers": [loaded.encode(text, add_special_tokens=False) for text in TEXTS],
        "smollm": ids(smollm),
        "pre": {
            name: ids(convert_gguf_tokenizer(architecture, {**tokenizer, "pre_tokenizer_type": name})[0])
            for name in OTHER_PRE_TOKENIZERS
        },
        "gemma": ids(gemma()),
        "stories": ids(stories),
    }
    target = ROOT / "tests" / "golden" / "checkpoints" / "tokenizer.json"
    target.write_text(json.dumps(golden, ensure_ascii=False) + "\n")
    for i, text in enumerate(TEXTS):
        if golden["transformers"][i] != golden["smollm"][i]:
            print("transformers' own load differs from the published pre-tokenizer on", repr(text))


if __name__ == "__main__":
    main()
