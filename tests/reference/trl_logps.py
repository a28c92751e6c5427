"""Golden log-probabilities of completions: tests/golden/parity/logps-SmolLM2.json and logps-stories260K.json.

    python tests/reference/trl_logps.py

The first 24 usable pairs of the shared HH file that fit (512 tokens; 256 for stories260K), scored by transformers in float32: each
completion alone behind its prompt, no padding, summed over the completion's tokens in float64. "float64" is the same with weights,
activations and log-softmax in float64 (transformers keeps float32 within its norms and rotary tables): what float32 should have found.

The log-softmax is x - logsumexp(x), as TRL has it. torch.log_softmax is not used: on the CPU it sums the vocabulary's exponentials
without care for small terms beside a large one, and comes out too high by about 1e-5 nats a token, always in the same direction.
"""

import torch
from trl_common import TOKENIZERS, first_pairs, load_model, made_with, write

MAX_LENGTH = {"stories260K": 256, "SmolLM2": 512}
PAIRS = 24
PAIRS_WITH_IDS = 4


@torch.no_grad()
def logp(model, prompt, completion):
    ids = torch.tensor([prompt + completion])
    logits = model(ids, use_cache=False).logits[0, len(prompt) - 1 : -1]
    tokens = logits.gather(1, ids[0, len(prompt) :, None]).squeeze(1) - logits.logsumexp(dim=-1)
    return tokens.double().sum().item()


def score(model, pairs):
    return [logp(model, pair.prompt_ids, ids) for pair in pairs for ids in pair.ids.values()]


def main():
    torch.set_num_threads(2)
    for name, max_length in MAX_LENGTH.items():
        pairs = first_pairs(TOKENIZERS[name](), PAIRS, max_length)
        model = load_model(name).eval()
        float32 = score(model, pairs)
        float64 = score(model.double(), pairs)
        completions = [
            {
                "row": pair.row,
                "completion": side,
                "prompt_tokens": len(pair.prompt_ids),
                "tokens": len(ids),
            }
            for pair in pairs
            for side, ids in pair.ids.items()
        ]
        for entry, low, high in zip(completions, float32, float64, strict=True):
            entry.update(logp=low, float64=high)
        print(name, "float32 against float64:", max(abs(a - b) for a, b in zip(float32, float64, strict=True)), "nats at most")
        write(
            f"logps-{name}.json",
            {
                "made_with": made_with("torch", "transformers"),
                "max_length": max_length,
                "completions": completions,
                "ids": [{"row": p.row, "prompt": p.prompt_ids, **p.ids} for p in pairs[:PAIRS_WITH_IDS]],
            },
        )


if __name__ == "__main__":
    main()
