"""Checks that transformers loads the reward models that preftune trains, and says the same. Makes no golden file; run it by hand.

    npm run build && python tests/reference/reward_roundtrip.py
"""

import json
import subprocess
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
DATA = SHARED / "data" / "hh-rlhf-harmless-base-test.jsonl.gz"
MODELS = {
    "stories260K": SHARED / "models" / "stories260K",
    "film-reviews": ROOT / "examples" / "film-reviews" / "model",
    "SmolLM2": SHARED / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf",
}
CASES = [
    ("stories260K", {"tuning": "lora"}),
    ("stories260K", {"tuning": "full"}),
    ("film-reviews", {"tuning": "lora", "rsLora": True}),
    ("SmolLM2", {"tuning": "lora", "maxSteps": 1}),
]


@torch.no_grad()
def check(name: str, settings: dict, folder: Path) -> None:
    script = ROOT / "tests" / "reference" / "reward_roundtrip.mjs"
    subprocess.run(["node", script, MODELS[name], DATA, folder, json.dumps(settings)], check=True)
    rows = json.loads((folder / "rewards.json").read_text())
    path = folder / "run" / "model"
    model, info = AutoModelForSequenceClassification.from_pretrained(path, dtype=torch.float32, output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    assert model.config.num_labels == 1
    tokenizer = AutoTokenizer.from_pretrained(path)
    assert tokenizer.pad_token_id == model.config.pad_token_id != tokenizer.eos_token_id
    batch = tokenizer.pad({"input_ids": [row["ids"] for row in rows]}, return_tensors="pt")
    theirs = model.eval()(**batch).logits.squeeze(-1)
    ours = torch.tensor([row["reward"] for row in rows])
    difference = (theirs - ours).abs().max().item()
    print(f"{name} {settings}: rewards from {ours.min():.3f} to {ours.max():.3f} differ by at most {difference:.1e}")
    assert difference < 1e-4


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        for i, (name, settings) in enumerate(CASES):
            folder = Path(scratch) / str(i)
            folder.mkdir()
            check(name, settings, folder)


if __name__ == "__main__":
    main()
