"""Golden numbers for greedy generation: what transformers' `generate` says in float32, token by token.

Writes tests/golden/sampling/generate.json: for each model the prompt's text and ids, the new ids, their log-probabilities in
nats and the text.

    python tests/reference/sampling_generate.py
"""

import json
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = Path(__file__).parents[2]
MODELS = ROOT.parent / "shared" / "models"
SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"


@torch.no_grad()
def continue_text(model, tokenizer, prompt: str, max_new_tokens: int) -> dict:
    ids = tokenizer(prompt, return_tensors="pt").input_ids
    out = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=max_new_tokens,
        do_sample=False,
        return_dict_in_generate=True,
        output_logits=True,
        pad_token_id=tokenizer.eos_token_id,
    )
    new = out.sequences[0, ids.shape[1] :]
    logps = torch.stack([z[0].log_softmax(-1) for z in out.logits])
    best = torch.stack([z[0].topk(2).values for z in out.logits])
    print(f"{prompt!r}: closest call {float((best[:, 0] - best[:, 1]).min()):.2e}")
    return {
        "prompt": prompt,
        "promptIds": ids[0].tolist(),
        "tokens": new.tolist(),
        "logps": [round(x, 6) for x in logps.gather(1, new[:, None])[:, 0].tolist()],
        "text": tokenizer.decode(new, skip_special_tokens=True),
    }


def main() -> None:
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(MODELS, gguf_file=SMOLLM2)
    model = AutoModelForCausalLM.from_pretrained(MODELS, gguf_file=SMOLLM2, dtype=torch.float32).eval()
    chats = [
        tokenizer.apply_chat_template([{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True)
        for text in ["What is the capital of France?", "Name three colors of the rainbow."]
    ]
    smollm2 = [continue_text(model, tokenizer, chat, 24) for chat in chats]

    stories_tokenizer = AutoTokenizer.from_pretrained(MODELS / "stories260K")
    stories_model = AutoModelForCausalLM.from_pretrained(MODELS / "stories260K", dtype=torch.float32).eval()
    stories = [
        continue_text(stories_model, stories_tokenizer, prompt, 96) for prompt in ["Once upon a time", "Lily and Tom"]
    ]
    target = ROOT / "tests" / "golden" / "sampling" / "generate.json"
    target.write_text(json.dumps({"SmolLM2": smollm2, "stories260K": stories}, indent=1) + "\n")


if __name__ == "__main__":
    main()
