"""Log-probabilities that transformers gives to held-out film reviews, with the embedded example's model in float32.

Run from the repository's root with an environment that has transformers:
    python tests/reference/film_reviews_logps.py
Writes tests/golden/film-reviews-logps.json, which tests/examples/model.test.ts reads.
"""

import json
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = Path(__file__).resolve().parents[2]
ROWS = 24
tokenizer = AutoTokenizer.from_pretrained(ROOT / "examples/film-reviews/model")
model = AutoModelForCausalLM.from_pretrained(ROOT / "examples/film-reviews/model", dtype=torch.float32).eval()


@torch.no_grad()
def score(prompt, completion):
    """Tokens of the completion, and the sum of their log-probabilities in nats, accumulated in float64."""
    prompt_ids = tokenizer.apply_chat_template(prompt, add_generation_prompt=True)["input_ids"]
    ids = tokenizer.apply_chat_template(prompt + completion)["input_ids"]
    assert ids[: len(prompt_ids)] == prompt_ids
    logps = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    scored = logps[range(len(prompt_ids) - 1, len(ids) - 1), ids[len(prompt_ids) :]]
    return {"tokens": len(scored), "logp": scored.double().sum().item()}


rows = [json.loads(line) for line in (ROOT / "examples/film-reviews/preferences-eval.jsonl").read_text().splitlines()]
golden = [{side: score(row["prompt"], row[side]) for side in ("chosen", "rejected")} for row in rows[:ROWS]]
path = ROOT / "tests/golden/film-reviews-logps.json"
path.write_text(json.dumps(golden) + "\n")
print(f"{path.name}: {path.stat().st_size} bytes, {len(golden)} pairs")
