"""Golden numbers for the objectives over labelled completions and over rankings, by PyTorch's autograd in float64.

Writes tests/golden/objectives/unpaired.json. Each case has the log-probabilities of the completions, what else the objective
reads, and its losses with the gradient of their mean with respect to the policy's log-probabilities:

- KTO as TRL 1.13 writes it (KTOTrainer._compute_loss), apart for desirable and undesirable examples, with the mean over
  mismatched completions of a step;
- BCO as TRL writes it (BCOTrainer.bco_loss with RunningMoments), two steps one after another;
- Plackett-Luce from the model's definition: the completion that is placed next is chosen among those that are left in
  proportion to e^r. Ties from their definition as well: each completion chosen against all that are strictly worse.

    python tests/reference/objectives_unpaired.py
"""

import json
from pathlib import Path

import torch
from torch.nn import functional

TARGET = Path(__file__).parents[1] / "golden" / "objectives" / "unpaired.json"


def kto(setting: dict, ratios: torch.Tensor, labels: torch.Tensor, mismatched: torch.Tensor) -> torch.Tensor:
    beta = setting["beta"]
    kl = mismatched.mean().detach().clamp(min=0) if setting["loss"] == "kto" else torch.zeros((), dtype=torch.float64)
    losses = torch.empty_like(ratios)
    losses[labels] = setting["desirableWeight"] * (1 - torch.sigmoid(beta * (ratios[labels] - kl)))
    losses[~labels] = setting["undesirableWeight"] * (1 - torch.sigmoid(beta * (kl - ratios[~labels])))
    return losses


def kto_cases(generator: torch.Generator) -> list[dict]:
    def normal(*size: int) -> torch.Tensor:
        return torch.randn(*size, generator=generator, dtype=torch.float64)

    reference = -40 * torch.rand(7, generator=generator, dtype=torch.float64) - 1
    policy = reference + 5 * normal(7)
    mismatched_reference = -90 * torch.rand(7, generator=generator, dtype=torch.float64)
    labels = torch.tensor([1, 0, 0, 1, 0, 1, 0], dtype=torch.bool)
    cases = []
    for shift in (2.0, -3.0):  # the estimate of the divergence above 0, and below it
        mismatched_policy = mismatched_reference + shift + normal(7)
        for setting in (
            {"loss": "kto", "beta": 0.1, "desirableWeight": 1.0, "undesirableWeight": 1.0},
            {"loss": "kto", "beta": 0.5, "desirableWeight": 1.33, "undesirableWeight": 0.7},
            {"loss": "apo_zero_unpaired", "beta": 0.3, "desirableWeight": 1.0, "undesirableWeight": 2.0},
        ):
            variable = policy.clone().requires_grad_()
            losses = kto(setting, variable - reference, labels, mismatched_policy - mismatched_reference)
            losses.mean().backward()
            cases.append(
                {
                    "setting": setting,
                    "policy": policy.tolist(),
                    "reference": reference.tolist(),
                    "label": labels.int().tolist(),
                    "mismatched": {"policy": mismatched_policy.tolist(), "reference": mismatched_reference.tolist()},
                    "losses": losses.tolist(),
                    "gradient": variable.grad.tolist(),
                }
            )
    return cases


def bco_case(generator: torch.Generator, beta: float) -> dict:
    mean, count = 0.0, 1e-24  # TRL's RunningMoments
    steps = []
    for size in (5, 3):
        reference = -40 * torch.rand(size, generator=generator, dtype=torch.float64) - 1
        policy = reference + 5 * torch.randn(size, generator=generator, dtype=torch.float64) + 2
        labels = torch.rand(size, generator=generator) > 0.4
        variable = policy.clone().requires_grad_()
        rewards = beta * (variable - reference)
        batch = rewards.detach()
        mean += (batch.mean() - mean).item() * size / (count + size)
        count += size
        losses = torch.where(
            labels, -functional.logsigmoid(rewards - mean), -functional.logsigmoid(-(rewards - mean))
        )
        losses.mean().backward()
        steps.append(
            {
                "policy": policy.tolist(),
                "reference": reference.tolist(),
                "label": labels.int().tolist(),
                "delta": mean,
                "losses": losses.tolist(),
                "gradient": variable.grad.tolist(),
            }
        )
    return {"beta": beta, "steps": steps}


def ranking_loss(rewards: torch.Tensor, ranks: list[int]) -> torch.Tensor:
    if len(set(ranks)) == len(ranks):
        left = sorted(range(len(ranks)), key=lambda i: ranks[i])
        loss = torch.zeros((), dtype=torch.float64)
        while left:
            chances = torch.softmax(rewards[left], dim=0)
            loss = loss - torch.log(chances[0])
            left = left[1:]
        return loss
    loss = torch.zeros((), dtype=torch.float64)
    for k, rank in enumerate(ranks):
        worse = [j for j, other in enumerate(ranks) if other > rank]
        loss = loss - torch.log(torch.softmax(rewards[[k, *worse]], dim=0)[0])
    return loss


def ranking_case(generator: torch.Generator, beta: float, all_ranks: list[list[int]]) -> dict:
    total = sum(len(ranks) for ranks in all_ranks)
    reference = -40 * torch.rand(total, generator=generator, dtype=torch.float64) - 1
    policy = reference + 8 * torch.randn(total, generator=generator, dtype=torch.float64)
    variable = policy.clone().requires_grad_()
    rewards = (beta * (variable - reference)).split([len(ranks) for ranks in all_ranks])
    losses = torch.stack([ranking_loss(own, ranks) for own, ranks in zip(rewards, all_ranks, strict=True)])
    losses.mean().backward()
    return {
        "beta": beta,
        "ranks": all_ranks,
        "policy": policy.tolist(),
        "reference": reference.tolist(),
        "losses": losses.tolist(),
        "gradient": variable.grad.tolist(),
    }


def main() -> None:
    generator = torch.Generator().manual_seed(11)
    golden = {
        "kto": kto_cases(generator),
        "bco": [bco_case(generator, beta) for beta in (0.1, 0.4)],
        "rankings": [
            ranking_case(generator, 0.1, [[1, 2, 3], [1, 2], [1, 2, 3, 4, 5]]),
            ranking_case(generator, 0.5, [[1, 1, 2], [1, 2, 2, 3], [1, 2], [1, 1, 1, 2, 2], [1, 2, 2, 2]]),
        ],
    }
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
