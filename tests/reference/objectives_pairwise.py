"""Golden numbers for the objectives over pairs: losses, and their gradients by PyTorch's autograd in float64.

Writes tests/golden/objectives/pairwise.json: seven pairs, and for every setting each pair's loss and the gradient of the mean loss
with respect to the policy's log-probabilities [chosen, rejected] of each pair.

    python tests/reference/objectives_pairwise.py
"""

import json
from pathlib import Path

import torch
from torch.nn.functional import logsigmoid

TARGET = Path(__file__).parents[1] / "golden" / "objectives" / "pairwise.json"


def losses(setting: dict, policy: torch.Tensor, reference: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    beta = setting["beta"]
    ratios = policy if setting.get("referenceFree") else policy - reference
    if setting["loss"] == "sigmoid":
        smoothing = setting.get("labelSmoothing", 0.0)
        logits = beta * (ratios[:, 0] - ratios[:, 1])
        return -(1 - smoothing) * logsigmoid(logits) - smoothing * logsigmoid(-logits)
    scored = ratios if setting["ipoSum"] else ratios / lengths
    return (scored[:, 0] - scored[:, 1] - 1 / (2 * beta)) ** 2


def main() -> None:
    generator = torch.Generator().manual_seed(7)
    policy = -60 * torch.rand(7, 2, generator=generator, dtype=torch.float64)
    reference = policy + 4 * torch.randn(7, 2, generator=generator, dtype=torch.float64)
    lengths = torch.randint(1, 40, (7, 2), generator=generator).double()
    settings = [
        {"loss": "sigmoid", "beta": 0.1},
        {"loss": "sigmoid", "beta": 0.5},
        {"loss": "sigmoid", "beta": 0.1, "labelSmoothing": 0.2},
        {"loss": "sigmoid", "beta": 0.1, "referenceFree": True},
        {"loss": "ipo", "beta": 0.1, "ipoSum": False},
        {"loss": "ipo", "beta": 0.3, "ipoSum": True},
        {"loss": "ipo", "beta": 0.3, "ipoSum": False, "referenceFree": True},
    ]
    results = []
    for setting in settings:
        variable = policy.clone().requires_grad_()
        each = losses(setting, variable, reference, lengths)
        each.mean().backward()
        results.append({"setting": setting, "losses": each.tolist(), "gradient": variable.grad.tolist()})
    pairs = {"policy": policy.tolist(), "reference": reference.tolist(), "lengths": lengths.tolist()}
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps({**pairs, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
