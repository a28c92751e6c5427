"""Checks that transformers and peft load what preftune writes and say the same. Makes no golden file; run it by hand.

    npm run build && python tests/reference/checkpoints_roundtrip.py
"""

import json
import subprocess
import tempfile
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = Path(__file__).parents[2]
MODELS = ROOT.parent / "shared" / "models"
SMOLLM2 = MODELS / "SmolLM2-135M-Instruct.Q4_1.gguf"
TINY = ROOT / "tests" / "golden" / "checkpoints" / "tiny.gguf"
TEXTS = json.loads((ROOT / "tests" / "golden" / "checkpoints" / "tokenizer.json").read_text())


def preftune(*arguments: str | Path) -> None:
    script = ROOT / "tests" / "reference" / "checkpoints_roundtrip.mjs"
    subprocess.run(["node", script, *arguments], check=True)


def load_whole(folder: Path):
    """Loads a model and insists that every weight found its place."""
    model, info = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    return model.eval()


@torch.no_grad()
def logits(model, vocabulary: int) -> torch.Tensor:
    ids = torch.randint(0, vocabulary, (2, 40), generator=torch.Generator().manual_seed(0))
    return model(ids).logits


def check_gguf_to_folder(scratch: Path) -> None:
    folder = scratch / "smollm2"
    preftune("convert", SMOLLM2, folder)
    assert len(list(folder.glob("model-*-of-*.safetensors"))) > 1, "meant to be sharded"
    ours = load_whole(folder)
    theirs = AutoModelForCausalLM.from_pretrained(MODELS, gguf_file=SMOLLM2.name, dtype=torch.float32).eval()
    difference = (logits(ours, 49152) - logits(theirs, 49152)).abs().max().item()
    print(f"SmolLM2, folder against transformers' load of the GGUF: logits differ by at most {difference:g}")
    assert difference < 1e-4

    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert [tokenizer.encode(text) for text in TEXTS["texts"]] == TEXTS["smollm"]
    from_gguf = AutoTokenizer.from_pretrained(MODELS, gguf_file=SMOLLM2.name)
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]
    render = lambda t: t.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)  # noqa: E731
    assert render(tokenizer) == render(from_gguf)
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == ("<|im_start|>", "<|im_end|>", "<|im_end|>")
    print("SmolLM2: tokenizer ids, chat template and special tokens agree")


def check_unusual_settings(scratch: Path) -> None:
    folder = scratch / "tiny"
    preftune("convert", TINY, folder)
    model = load_whole(folder)
    expected = json.loads(TINY.with_suffix(".json").read_text())["rope_scaling"]
    found = model.config.rope_parameters
    assert {key: found[key] for key in expected} == expected, found
    assert model.config.attention_bias and model.config.mlp_bias and not model.config.tie_word_embeddings
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert [tokenizer.encode(text, add_special_tokens=False) for text in TEXTS["texts"]] == TEXTS["stories"]
    assert tokenizer.encode("a")[0] == 1
    print("tiny.gguf: biases, RoPE scaling, untied output and SentencePiece tokenizer load in transformers")


def check_adapter(scratch: Path, rs_lora: bool) -> None:
    """Written by peft, read and written by preftune, loaded by peft: the same outputs."""
    torch.manual_seed(1)
    base = AutoModelForCausalLM.from_pretrained(MODELS / "stories260K", dtype=torch.float32)
    config = LoraConfig(
        r=4, lora_alpha=6, use_rslora=rs_lora, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False
    )
    trained = get_peft_model(base, config).eval()
    before = logits(trained, 512)
    theirs, ours = scratch / f"peft-{rs_lora}", scratch / f"preftune-{rs_lora}"
    trained.save_pretrained(theirs)
    preftune("copy-adapter", theirs, ours)
    base = AutoModelForCausalLM.from_pretrained(MODELS / "stories260K", dtype=torch.float32)
    plain = logits(base.eval(), 512)
    after = logits(PeftModel.from_pretrained(base, ours).eval(), 512)
    assert torch.equal(before, after) and (before - plain).abs().max() > 0.1
    print(f"adapter (rsLoRA {rs_lora}): outputs are identical after peft -> preftune -> peft")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        check_gguf_to_folder(scratch)
        check_unusual_settings(scratch)
        check_adapter(scratch, rs_lora=False)
        check_adapter(scratch, rs_lora=True)


if __name__ == "__main__":
    main()
