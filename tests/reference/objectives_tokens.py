"""Golden numbers for the objectives that see whole distributions, WPO and TDPO, by PyTorch's autograd in float64, from raw logits.

Writes tests/golden/objectives/tokens.json: logits [R, V] of policy and reference at the scored tokens of four pairs, the tokens,
the completions' lengths, and for every setting each pair's loss and the gradient of the mean loss with respect to the policy's
logits; from the papers' equations (arXiv 2406.11827, equation 2; arXiv 2404.11999), one completion at a time.

    python tests/reference/objectives_tokens.py
"""

import json
from pathlib import Path

import torch
from torch.nn.functional import kl_div, logsigmoid

TARGET = Path(__file__).parents[1] / "golden" / "objectives" / "tokens.json"
LENGTHS = [3, 5, 1, 4, 6, 2, 2, 1]
VOCABULARY = 6


def sequence_logp(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    return sum(logits[t].log_softmax(0)[token] for t, token in enumerate(tokens))


def wpo_weight(logits: torch.Tensor, tokens: torch.Tensor) -> float:
    total = 0.0
    for t, token in enumerate(tokens):
        p = logits[t].detach().softmax(0)
        total += (torch.log(p[token]) - torch.log((p * p).sum())).item()
    return torch.tensor(total / len(tokens)).double().exp().item()


def sequential_kl(logits: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    # kl_div(input, target) is KL(target || input).
    each = kl_div(logits.log_softmax(-1), reference.log_softmax(-1), log_target=True, reduction="none")
    return each.sum()


def pair_loss(setting: dict, chosen: tuple, rejected: tuple) -> torch.Tensor:
    ratios, kls, weight = [], [], 1.0
    for logits, reference, tokens in (chosen, rejected):
        ratios.append(sequence_logp(logits, tokens) - sequence_logp(reference, tokens))
        kls.append(sequential_kl(logits, reference))
        weight *= wpo_weight(logits, tokens)
    beta, margin = setting["beta"], ratios[0] - ratios[1]
    if setting["loss"] == "tdpo1":
        return -logsigmoid(beta * (margin - (kls[1] - kls[0])))
    if setting["loss"] == "tdpo2":
        return -logsigmoid(beta * (margin - setting["tdpoAlpha"] * (kls[1] - kls[0].detach())))
    if setting["loss"] == "ipo":
        means = ratios[0] / len(chosen[2]) - ratios[1] / len(rejected[2])
        return weight * (means - 1 / (2 * beta)) ** 2
    return weight * -logsigmoid(beta * margin)


def main() -> None:
    generator = torch.Generator().manual_seed(11)
    rows = sum(LENGTHS)
    draw = lambda: 2 * torch.randn(rows, VOCABULARY, generator=generator, dtype=torch.float64)
    policy, reference = draw(), draw()
    tokens = torch.randint(0, VOCABULARY, (rows,), generator=generator)
    settings = [
        {"loss": "sigmoid", "beta": 0.5, "wpo": True},
        {"loss": "ipo", "beta": 0.3, "wpo": True},
        {"loss": "tdpo1", "beta": 0.1},
        {"loss": "tdpo1", "beta": 0.7},
        {"loss": "tdpo2", "beta": 0.1, "tdpoAlpha": 0.5},
        {"loss": "tdpo2", "beta": 0.7, "tdpoAlpha": 1.5},
        {"loss": "tdpo2", "beta": 0.7, "tdpoAlpha": 0.0},
    ]
    results = []
    for setting in settings:
        variable = policy.clone().requires_grad_()
        parts = list(zip(variable.split(LENGTHS), reference.split(LENGTHS), tokens.split(LENGTHS)))
        losses = torch.stack([pair_loss(setting, *parts[i : i + 2]) for i in range(0, len(parts), 2)])
        losses.mean().backward()
        results.append({"setting": setting, "losses": losses.tolist(), "gradient": variable.grad.flatten().tolist()})
    given = {
        "vocabulary": VOCABULARY,
        "lengths": LENGTHS,
        "tokens": tokens.tolist(),
        "policy": policy.flatten().tolist(),
        "reference": reference.flatten().tolist(),
    }
    TARGET.write_text(json.dumps({**given, "results": results}) + "\n")


if __name__ == "__main__":
    main()
