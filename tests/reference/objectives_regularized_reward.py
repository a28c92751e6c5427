"""Golden numbers for reward under a KL penalty over a finite set of answers, by optimisation in float64.

Writes tests/golden/objectives/regularized-reward.json. The optimum isn't taken from its closed form: Newton's method on the
logits of the policy climbs E_pi[r] - beta KL(pi || pi_ref), with gradient and Hessian from PyTorch's autograd, until the
gradient is gone. Beside it are the terms of the objective for a policy drawn at random.

    python tests/reference/objectives_regularized_reward.py
"""

import json
from pathlib import Path

import torch

TARGET = Path(__file__).parents[1] / "golden" / "objectives" / "regularized-reward.json"


def terms(policy: torch.Tensor, reference: torch.Tensor, rewards: torch.Tensor, beta: float) -> dict[str, torch.Tensor]:
    expected = (policy * rewards).sum()
    divergence = torch.distributions.kl_divergence(
        torch.distributions.Categorical(probs=policy), torch.distributions.Categorical(probs=reference)
    )
    return {"expectedReward": expected, "divergence": divergence, "objective": expected - beta * divergence}


def best(reference: torch.Tensor, rewards: torch.Tensor, beta: float) -> torch.Tensor:
    # The first logit is 0, so that the optimum is one point.
    def loss(free: torch.Tensor) -> torch.Tensor:
        policy = torch.softmax(torch.cat([torch.zeros(1, dtype=torch.float64), free]), 0)
        return -terms(policy, reference, rewards, beta)["objective"]

    free = (reference.log() - reference.log()[0])[1:].clone()
    for _ in range(5000):
        gradient = torch.autograd.functional.jacobian(loss, free)
        if gradient.abs().max() < 1e-15:
            break
        values, vectors = torch.linalg.eigh(torch.autograd.functional.hessian(loss, free))
        # Away from the optimum the loss is not convex: the size of the curvature, and steps of at most 1.
        step = vectors @ ((vectors.T @ gradient) / values.abs().clamp(min=1e-9))
        free = free - step * min(1.0, 1.0 / step.abs().max().item())
    return torch.softmax(torch.cat([torch.zeros(1, dtype=torch.float64), free]), 0)


def case(generator: torch.Generator, count: int, beta: float) -> dict:
    def distribution() -> torch.Tensor:
        return torch.softmax(torch.randn(count, generator=generator, dtype=torch.float64), 0)

    reference, policy = distribution(), distribution()
    rewards = 1.5 * torch.randn(count, generator=generator, dtype=torch.float64)
    optimum = best(reference, rewards, beta)
    numbers = {name: value.item() for name, value in terms(policy, reference, rewards, beta).items()}
    at_best = {name: value.item() for name, value in terms(optimum, reference, rewards, beta).items()}
    return {
        "beta": beta,
        "reference": reference.tolist(),
        "rewards": rewards.tolist(),
        "policy": policy.tolist(),
        "scores": numbers,
        "optimum": optimum.tolist(),
        "optimumScores": at_best,
    }


generator = torch.Generator().manual_seed(2305)
cases = [case(generator, count, beta) for count, beta in [(2, 1.0), (3, 0.5), (6, 0.7), (6, 1.0), (7, 4.0), (9, 20.0)]]
TARGET.write_text(json.dumps(cases, indent=1) + "\n")
