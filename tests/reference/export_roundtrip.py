"""Checks that transformers loads the GGUF files and half-precision folders that preftune exports, and says the same; and that PEFT
loads an exported adapter. Makes no golden file; run it by hand.

    npm run build && python tests/reference/export_roundtrip.py
"""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import gguf
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

ROOT = Path(__file__).parents[2]
MODELS = ROOT.parent / "shared" / "models"
STORIES = MODELS / "stories260K"
SMOLLM2 = MODELS / "SmolLM2-135M-Instruct.Q4_1.gguf"
TEXTS = json.loads((ROOT / "tests" / "golden" / "checkpoints" / "tokenizer.json").read_text())["texts"]


def export(model: Path, output: Path, *flags: str) -> Path:
    command = ["node", ROOT / "dist" / "cli" / "main.js", "export", "--model", model, "--output", output, *flags]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return output


def load(path: Path):
    """A model and tokenizer in float32 from a folder or a GGUF file."""
    where = {"pretrained_model_name_or_path": path} if path.is_dir() else {
        "pretrained_model_name_or_path": path.parent,
        "gguf_file": path.name,
    }
    model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32).eval()
    return model, AutoTokenizer.from_pretrained(**where)


@torch.no_grad()
def logps(model, ids: torch.Tensor) -> torch.Tensor:
    scores = model(ids[None]).logits[0].log_softmax(-1)
    return scores[:-1].gather(1, ids[1:, None])[:, 0]


def probe(vocabulary: int) -> torch.Tensor:
    return torch.randint(3, vocabulary, (100,), generator=torch.Generator().manual_seed(0))


def check_tokenizers(name: str, first, second) -> None:
    """transformers' own conversion of SentencePiece puts no prefix before a text that begins with a space, so that is left out."""
    texts = [text for text in TEXTS if first.bos_token != "<s>" or not text.startswith(" ")]
    for text in texts:
        assert first.encode(text, add_special_tokens=False) == second.encode(text, add_special_tokens=False), text
    for key in ("bos_token_id", "eos_token_id", "pad_token_id", "chat_template"):
        assert getattr(first, key) == getattr(second, key), key
    print(f"{name}: {len(texts)} texts get the same ids, special tokens and template agree")


def check_unquantized(name: str, source: Path, scratch: Path, like: Path | None = None) -> None:
    """`like`: a model whose tokenizer the export must have. transformers converts GGUF's byte-level BPE without looking at how the file
    says that text is split, so only two GGUF files can be compared."""
    model, tokenizer = load(source)
    tokenizer = load(like)[1] if like else tokenizer
    ids = probe(model.config.vocab_size)
    expected = logps(model, ids)
    exported, exported_tokenizer = load(export(source, scratch / f"{name}.gguf", "--format", "gguf"))
    difference = (logps(exported, ids) - expected).abs().max().item()
    print(f"{name} as F32 GGUF: log-probabilities differ by at most {difference:.2g}")
    assert difference < 1e-4
    check_tokenizers(name, tokenizer, exported_tokenizer)


def check_halves(name: str, source: Path, scratch: Path) -> None:
    """A half-precision folder and GGUF hold what torch rounds the weights to."""
    state = load(source)[0].state_dict()
    for dtype, torch_dtype in (("f16", torch.float16), ("bf16", torch.bfloat16)):
        folder = export(source, scratch / f"{name}-{dtype}", "--dtype", dtype)
        stored = AutoModelForCausalLM.from_pretrained(folder)
        assert stored.dtype == torch_dtype, stored.dtype
        assert all(torch.equal(value, state[key].to(torch_dtype)) for key, value in stored.state_dict().items())
        in_gguf = load(export(source, scratch / f"{name}-{dtype}.gguf", "--format", "gguf", "--dtype", dtype))[0].state_dict()
        for key, value in state.items():
            kept = value if value.dim() == 1 else value.to(torch_dtype).float()
            assert torch.equal(in_gguf[key], kept), key
    print(f"{name} as f16 and bf16: every weight is torch's rounding")


def check_quantized(name: str, source: Path, scratch: Path) -> None:
    """What transformers dequantizes is what the gguf package's quantization of the float32 export gives."""
    plain = gguf.GGUFReader(export(source, scratch / f"{name}-plain.gguf", "--format", "gguf"))
    values = {tensor.name: tensor.data for tensor in plain.tensors}
    for dtype in ("q8_0", "q4_0"):
        path = export(source, scratch / f"{name}-{dtype}.gguf", "--format", "gguf", "--dtype", dtype)
        types = set()
        for tensor in gguf.GGUFReader(path).tensors:
            expected = gguf.quants.quantize(values[tensor.name], tensor.tensor_type)
            assert (tensor.data.view("u1").ravel() == expected.view("u1").ravel()).all(), tensor.name
            types.add(tensor.tensor_type.name)
        model, _ = load(path)
        ids = probe(model.config.vocab_size)
        difference = (logps(model, ids) - logps(load(source)[0], ids)).abs().mean().item()
        print(f"{name} as {dtype} ({', '.join(sorted(types))}): bytes are the gguf package's; {difference:.2g} nats a token off")


def check_adapter(scratch: Path) -> None:
    """An adapter exported alone is loaded by peft; merged into a folder it says the same as peft."""
    torch.manual_seed(1)
    base = AutoModelForCausalLM.from_pretrained(STORIES, dtype=torch.float32)
    config = LoraConfig(r=4, lora_alpha=6, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    trained = get_peft_model(base, config).eval()
    trained.save_pretrained(scratch / "peft")
    ids = probe(512)
    expected = logps(trained, ids)
    alone = export(STORIES, scratch / "alone", "--adapter", str(scratch / "peft"), "--format", "peft")
    base = AutoModelForCausalLM.from_pretrained(STORIES, dtype=torch.float32)
    assert torch.equal(logps(PeftModel.from_pretrained(base, alone).eval(), ids), expected)
    merged, _ = load(export(STORIES, scratch / "merged.gguf", "--adapter", str(scratch / "peft"), "--format", "gguf"))
    difference = (logps(merged, ids) - expected).abs().max().item()
    print(f"adapter: alone identical in peft; merged into a GGUF {difference:.2g} nats from peft")
    assert difference < 1e-3


# Golden configurations of families that transformers reads from GGUF, with its own defaults where it reads no key.
GEMMA = {"head_dim": 256, "query_pre_attn_scalar": 256}
ROPE_3 = {kind: {"rope_type": "default", "rope_theta": base} for kind, base in (("full_attention", 1e6), ("sliding_attention", 1e4))}
FAMILIES = {
    "mistral-everywhere": {},
    "qwen2": {},
    "qwen3": {"head_dim": 128},
    "gemma2": {**GEMMA, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0},
    "gemma3-deep": {**GEMMA, "rope_parameters": ROPE_3},
    "phi3": {"vocab_size": 32064, "sliding_window": None, "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}},
    "gpt2": {"n_positions": 1024},
}


def check_family(variant: str, changes: dict, scratch: Path) -> None:
    """A random model of the family, saved by transformers, exported, and loaded by transformers again."""
    golden = json.loads((ROOT / "tests" / "golden" / "models" / "families.json").read_text())["variants"][variant]
    settings = {**golden["config"], "vocab_size": 512, "bos_token_id": 1, "eos_token_id": 2, **changes}
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**settings), dtype=torch.float32).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    folder = scratch / variant
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(STORIES / name, folder / name)
    ids = torch.randint(3, 512, (50,), generator=torch.Generator().manual_seed(0))
    exported, _ = load(export(folder, scratch / f"{variant}.gguf", "--format", "gguf"))
    difference = (logps(exported, ids) - logps(model, ids)).abs().max().item()
    print(f"{variant} as F32 GGUF: log-probabilities differ by at most {difference:.2g}")
    assert difference < 1e-4


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        for variant, changes in FAMILIES.items():
            check_family(variant, changes, scratch)
        check_unquantized("stories260K", STORIES, scratch)
        check_halves("stories260K", STORIES, scratch)
        check_quantized("stories260K", STORIES, scratch)
        check_adapter(scratch)
        check_unquantized("SmolLM2", SMOLLM2, scratch)
        folder = export(SMOLLM2, scratch / "smollm2")
        check_unquantized("SmolLM2-folder", folder, scratch, like=SMOLLM2)
        check_quantized("SmolLM2-folder", folder, scratch)


if __name__ == "__main__":
    main()
