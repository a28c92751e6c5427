"""Golden ids of texts and of prompts with completions: tests/golden/text/tokenization.json.

    python tests/reference/text_tokenization.py

"texts": ids without special tokens, ids with them, and both ways of decoding. "pairs": prompt and completion by the rule in
src/text/boundary.ts, worked out here from transformers' ids alone.
"""

from text_common import smollm2, stories260k, write

TEXTS = [
    "",
    "Once upon a time, there was a little girl named Lily.",
    " leading and trailing ",
    "double  spaces   and\ttabs\t\tand\r\nwindows lines\r\n\r\n",
    "\n\nHuman: hi\n\nAssistant: hello",
    "In 1984 there were 12345 sheep, 3.14 of them black",
    "don't we'll I'VE they're 's",
    "x\u00b2 + \u00bd \u2167 \u0663\u0664 in  7  8",
    "caf\u00e9 nai\u0308ve \u00c5ngstr\u00f6m \u2014 \u201cquoted\u201d \u2026",
    "\u4f60\u597d\uff0c\u4e16\u754c \u3053\u3093\u306b\u3061\u306f \ud55c\uad6d\uc5b4 \u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd",
    "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1eb\U0001f1f7 \ufe0f",
    "a\ufeffb \ufeff c\u0085d\u00a0e\u3000f \u200b g\u2028h",
    "\x00\x01 control \x7f",
    "def f(x):\n    return {'a': [x, -1e-3]}  # comment\n",
    "<|im_start|>user\nhi<|im_end|>\n<s>x</s> y <unk>",
    "</s>",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "\u2581under\u2581score _ \u2581",
]

PAIRS = [
    ("\n\nHuman: What is it?\n\nAssistant:", " It is a test."),
    ("The story so far", "."),
    ("Once upon a ", "time there was"),
    ("Once upon a", " time there was"),
    ("Once upon a", "time there was"),
    ("one thousand and 1", "2 nights"),
    ("He said \"", "\"hello\""),
    ("Line\n", "\nNext"),
    ("ends with emoji \U0001f468", "\u200d\U0001f469"),
    ("Q: yes or no? A:", " yes<|im_end|>"),
    ("Q: yes or no? A:", " yes</s>"),
    ("Q: yes or no? A:", " yes</s></s>\n"),
    ("", "No prompt at all"),
    ("<s>Tokenized with BOS already", " and going on"),
    ("a prompt", " "),
]


def texts(tokenizer):
    rows = []
    for text in TEXTS:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        rows.append(
            {
                "text": text,
                "ids": ids,
                "withSpecial": tokenizer(text)["input_ids"],
                "decoded": tokenizer.decode(ids, clean_up_tokenization_spaces=False),
                "skipped": tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False),
            }
        )
    return rows


def pairs(tokenizer):
    def prompt_ids(text):
        ids = tokenizer(text)["input_ids"]
        bos = tokenizer.bos_token_id
        return ids[1:] if ids[:2] == [bos, bos] else ids

    rows = []
    for prompt, completion in PAIRS:
        head, whole = prompt_ids(prompt), prompt_ids(prompt + completion)
        merged = whole[: len(head)] != head
        ids = tokenizer(completion, add_special_tokens=False)["input_ids"] if merged else whole[len(head) :]
        text, eos = tokenizer.decode(ids), tokenizer.eos_token
        if eos in text and text.rindex(eos) + len(eos) == len(text.rstrip()):
            ids = ids[: len(ids) - ids[::-1].index(tokenizer.eos_token_id)]
            while ids[-2:] == [tokenizer.eos_token_id] * 2:
                ids = ids[:-1]
        else:
            ids = ids + [tokenizer.eos_token_id]
        rows.append({"prompt": prompt, "completion": completion, "promptIds": head, "completionIds": ids, "merged": merged})
    return rows


write(
    "tokenization.json",
    {name: {"texts": texts(t), "pairs": pairs(t)} for name, t in [("smollm2", smollm2()), ("stories260K", stories260k())]},
)
