"""Golden losses and gradients of the objectives over pairs without a reference: tests/golden/objectives/reference-free.json.

An implementation of its own, from the papers' equations in PyTorch with float64: ORPO (Hong et al. 2024, equations 4, 6, 7),
SimPO (Meng et al. 2024, equation 6), AlphaPO (Gupta et al. 2025), CPO (Xu et al. 2024, equation 3), MPO (docs/mpo.md). Log-probabilities
are summed over a completion's tokens. "losses" are one value a pair, whose mean is the loss; their NLL term is the pair's share of the
mean over the chosen tokens of all pairs. "gradient" is that of the mean loss with respect to the policy's log-probability of
[chosen, rejected] of each pair. What TRL has is checked here against TRL's own functions, which are float32.

MPO's "regularization" are completions of a second data set, whose log-probabilities have a gradient too; without them the chosen
completions stand in for it. Its loss is one number.

    python tests/reference/objectives_reference_free.py
"""

import json
from pathlib import Path
from types import SimpleNamespace

import torch
from torch.nn.functional import logsigmoid, relu
from trl.experimental.cpo import CPOTrainer
from trl.experimental.orpo import ORPOTrainer

TARGET = Path(__file__).parents[1] / "golden" / "objectives" / "reference-free.json"


def smoothed(logits: torch.Tensor, smoothing: float) -> torch.Tensor:
    return -(1 - smoothing) * logsigmoid(logits) - smoothing * logsigmoid(-logits)


def preference(setting: dict, policy: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    method, options = setting["method"], setting["options"]
    average = policy / lengths
    if method == "orpo":
        odds = average.exp() / (1 - average.exp())
        return -options["lambda"] * torch.sigmoid((odds[:, 0] / odds[:, 1]).log()).log()
    beta, smoothing = options["beta"], options.get("labelSmoothing", 0.0)
    if method == "simpo":
        alpha = options.get("alpha", 0.0)
        reward = average if alpha == 0 else (1 - average.exp() ** -alpha) / alpha
        return smoothed(beta * (reward[:, 0] - reward[:, 1]) - options["gamma"], smoothing)
    if setting["loss"] == "sigmoid":
        return smoothed(beta * (policy[:, 0] - policy[:, 1]), smoothing)
    if setting["loss"] == "hinge":
        return relu(1 - beta * (policy[:, 0] - policy[:, 1]))
    return (average[:, 0] - average[:, 1] - 1 / (2 * beta)) ** 2


def nll_weight(setting: dict) -> float:
    options = setting["options"]
    return 1.0 if setting["method"] == "orpo" else options.get("cpoAlpha", options.get("sftWeight", 0.0))


def losses(setting: dict, policy: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    share = -policy[:, 0] * len(policy) / lengths[:, 0].sum()
    return preference(setting, policy, lengths) + nll_weight(setting) * share


def trl_preference(setting: dict, policy: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    method, options = setting["method"], setting["options"]
    accelerator = SimpleNamespace(device="cpu")
    average = policy / lengths
    if method == "orpo":
        this = SimpleNamespace(beta=options["lambda"], accelerator=accelerator)
        return -ORPOTrainer.odds_ratio_loss(this, average[:, 0], average[:, 1])[0]
    this = SimpleNamespace(
        beta=options["beta"],
        alpha=options.get("alpha", 0.0),
        label_smoothing=options.get("labelSmoothing", 0.0),
        loss_type="simpo" if method == "simpo" else setting["loss"],
        simpo_gamma=options.get("gamma"),
        accelerator=accelerator,
    )
    scores = average if method == "simpo" or setting["loss"] == "ipo" else policy
    return CPOTrainer.cpo_loss(this, scores[:, 0], scores[:, 1])[0]


def mpo(setting: dict, policy: torch.Tensor, lengths: torch.Tensor, extra: torch.Tensor, extra_lengths: torch.Tensor):
    """The probability of choosing the rejected completion, and the likelihood of the data that stands for the reference."""
    options = setting["options"]
    scores = policy / lengths if options["perToken"] else policy
    choice = torch.softmax(options["beta"] * scores, dim=1)
    data, tokens = (extra, extra_lengths) if setting["regularization"] else (policy[:, 0], lengths[:, 0])
    return choice[:, 1].mean() - options["regularizationWeight"] * data.sum() / tokens.sum()


SETTINGS = [
    {"method": "orpo", "loss": "orpo", "options": {"lambda": 0.1}},
    {"method": "orpo", "loss": "orpo", "options": {"lambda": 2.0}},
    {"method": "simpo", "loss": "simpo", "options": {"beta": 2.0, "gamma": 0.5}},
    {"method": "simpo", "loss": "simpo", "options": {"beta": 2.5, "gamma": 1.0, "labelSmoothing": 0.1, "sftWeight": 0.3}},
    {"method": "simpo", "loss": "alphapo", "options": {"beta": 2.0, "gamma": 0.5, "alpha": 0.25}},
    {"method": "simpo", "loss": "alphapo", "options": {"beta": 2.0, "gamma": 0.1, "alpha": -0.5, "labelSmoothing": 0.2, "sftWeight": 1.0}},
    {"method": "cpo", "loss": "sigmoid", "options": {"beta": 0.1, "cpoAlpha": 1.0}},
    {"method": "cpo", "loss": "sigmoid", "options": {"beta": 0.3, "cpoAlpha": 0.5, "labelSmoothing": 0.2}},
    {"method": "cpo", "loss": "hinge", "options": {"beta": 0.1, "cpoAlpha": 0.0}},
    {"method": "cpo", "loss": "ipo", "options": {"beta": 0.1, "cpoAlpha": 1.0}},
]  # fmt: skip
MPO_SETTINGS = [
    {"regularization": regularization, "options": {"beta": beta, "perToken": average, "regularizationWeight": weight}}
    for regularization, beta, average, weight in [
        (False, 1.0, False, 1.0),
        (True, 1.0, False, 1.0),
        (True, 0.1, False, 0.3),
        (False, 2.0, True, 0.0),
        (True, 2.0, True, 0.1),
    ]
]


def main() -> None:
    generator = torch.Generator().manual_seed(11)
    lengths = torch.randint(1, 40, (7, 2), generator=generator).double()
    policy = -lengths * (0.05 + 4 * torch.rand(7, 2, generator=generator, dtype=torch.float64))
    extra_lengths = torch.randint(1, 30, (3,), generator=generator).double()
    extra = -extra_lengths * (0.05 + 4 * torch.rand(3, generator=generator, dtype=torch.float64))
    results = []
    for setting in SETTINGS:
        variable = policy.clone().requires_grad_()
        each = losses(setting, variable, lengths)
        torch.testing.assert_close(trl_preference(setting, policy, lengths).double(), preference(setting, policy, lengths), rtol=1e-5, atol=1e-6)
        each.mean().backward()
        results.append({**setting, "losses": each.tolist(), "gradient": variable.grad.tolist()})
    choices = []
    for setting in MPO_SETTINGS:
        pairs, others = policy.clone().requires_grad_(), extra.clone().requires_grad_()
        loss = mpo(setting, pairs, lengths, others, extra_lengths)
        loss.backward()
        beyond = others.grad.tolist() if setting["regularization"] else None
        choices.append({**setting, "loss": loss.item(), "gradient": pairs.grad.tolist(), "regularizationGradient": beyond})
    data = {
        "policy": policy.tolist(),
        "lengths": lengths.tolist(),
        "regularization": {"policy": extra.tolist(), "lengths": extra_lengths.tolist()},
    }
    TARGET.write_text(json.dumps({**data, "results": results, "mpo": choices}, indent=1) + "\n")


if __name__ == "__main__":
    main()
