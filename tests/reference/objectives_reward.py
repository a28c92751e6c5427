"""Golden numbers for the losses of reward models: as TRL's RewardTrainer writes them, gradients by PyTorch's autograd in float64.

Writes tests/golden/objectives/reward.json: seven pairs of rewards with a margin each, and for every setting each pair's loss and the
gradient of the mean loss with respect to the rewards [chosen, rejected] of each pair.

    python tests/reference/objectives_reward.py
"""

import json
from pathlib import Path

import torch
from torch.nn.functional import logsigmoid

TARGET = Path(__file__).parents[1] / "golden" / "objectives" / "reward.json"
SETTINGS = [{}, {"marginWeight": 1.0}, {"centeringWeight": 0.01}, {"marginWeight": 0.5, "centeringWeight": 0.1}]


def losses(setting: dict, rewards: torch.Tensor, margins: torch.Tensor) -> torch.Tensor:
    chosen, rejected = rewards.unbind(1)
    each = -logsigmoid(chosen - rejected - setting.get("marginWeight", 0.0) * margins)
    return each + setting.get("centeringWeight", 0.0) * (chosen + rejected) ** 2


def main() -> None:
    generator = torch.Generator().manual_seed(11)
    rewards = 3 * torch.randn(7, 2, generator=generator, dtype=torch.float64)
    rewards[5] = torch.tensor([800.0, -700.0])
    rewards[6] = torch.tensor([-800.0, 700.0])
    margins = 2 * torch.rand(7, generator=generator, dtype=torch.float64)
    results = []
    for setting in SETTINGS:
        variable = rewards.clone().requires_grad_()
        each = losses(setting, variable, margins)
        each.mean().backward()
        results.append({"setting": setting, "losses": each.tolist(), "gradient": variable.grad.tolist()})
    TARGET.write_text(json.dumps({"rewards": rewards.tolist(), "margins": margins.tolist(), "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
