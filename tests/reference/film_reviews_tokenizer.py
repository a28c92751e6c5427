"""What transformers makes of the film reviews example's tokenizer: ids, decoded text and rendered conversations.

Run from the repository's root with an environment that has transformers:
    python tests/reference/film_reviews_tokenizer.py
Writes tests/golden/film-reviews-tokenizer.json, which tests/examples/tokenizer.test.ts reads.
"""

import json
from pathlib import Path

from transformers import PreTrainedTokenizerFast

ROOT = Path(__file__).resolve().parents[2]
tokenizer = PreTrainedTokenizerFast.from_pretrained(ROOT / "examples/film-reviews/model")

rows = [json.loads(line) for line in (ROOT / "examples/film-reviews/preferences-eval.jsonl").read_text().splitlines()]
texts = [row[side][0]["content"] for row in rows[:8] for side in ("prompt", "chosen", "rejected")] + [
    "",
    " ",
    "  two  spaces  ",
    "tabs\tand\r\nlines\n\n\nend\n",
    "I'll say we're done; it's THEIRS, they've said, don't you'd",
    "12345 and 3.14159, ½ and ٣",
    "Ærø, naïve café, Grüße, Привет, 映画, 영화, مرحبا, हिन्दी",
    "e\u0301 (a letter and its accent), \u00a0 a hard space, \u200d a joiner",
    "🎬👩‍👩‍👧 and 🏳️‍🌈",
    "\u0000\u0007\u001b\u007f\u00ad\ufeff\ufffd",
    "a <|im_end|> in a text<|im_start|>and <|endoftext|>\n",
    "<|im_end| > <|IM_END|>",
]
conversations = [
    rows[0]["prompt"],
    rows[0]["prompt"] + rows[0]["chosen"],
    [{"role": "system", "content": "You review films."}, *rows[1]["prompt"], *rows[1]["rejected"], *rows[2]["prompt"]],
]


def text_row(text):
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids) == text
    return {"text": text, "ids": ids}


def conversation_row(messages):
    """A conversation that ends in a question is a prompt, and is rendered with the beginning of the answer."""
    options = {"add_generation_prompt": messages[-1]["role"] == "user"}
    rendered = tokenizer.apply_chat_template(messages, tokenize=False, **options)
    ids = tokenizer.apply_chat_template(messages, **options)["input_ids"]
    return {"messages": messages, **options, "rendered": rendered, "ids": ids}


golden = {
    "eos_token_id": tokenizer.eos_token_id,
    "pad_token_id": tokenizer.pad_token_id,
    "vocabulary": len(tokenizer),
    "texts": [text_row(text) for text in texts],
    "conversations": [conversation_row(messages) for messages in conversations],
}
path = ROOT / "tests/golden/film-reviews-tokenizer.json"
path.write_text(json.dumps(golden) + "\n")
print(f"{path.name}: {path.stat().st_size} bytes, {len(texts)} texts, {len(conversations)} conversations")
