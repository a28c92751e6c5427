"""Golden trajectories of torch.optim's AdamW and RMSprop with clip_grad_norm_, for tests/training/optimizers.test.ts.

Writes tests/golden/training/optimizers.json:

    python tests/reference/training_optimizers.py
"""

import json
import math
from pathlib import Path

import torch

TARGET = Path(__file__).parents[1] / "golden" / "training" / "optimizers.json"
SIZE, STEPS = 5, 10


def start():
    return [round(0.3 * math.sin(1.7 * i + 0.4), 6) for i in range(SIZE)]


def gradient(step):
    """Gradients from epsilon's size up, one of them 0 at first."""
    values = [round(math.cos(2.3 * step + i) * 10 ** (2 * i - 7), 12) for i in range(SIZE)]
    return [0.0, *values[1:]] if step < 3 else values


def trajectory(name, make, learning_rates, max_norm):
    parameters = torch.nn.Parameter(torch.tensor(start(), dtype=torch.float32))
    optimizer = make([parameters])
    steps = []
    for step, learning_rate in enumerate(learning_rates):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        parameters.grad = torch.tensor(gradient(step), dtype=torch.float32)
        norm = torch.nn.utils.clip_grad_norm_([parameters], max_norm).item()
        optimizer.step()
        steps.append({
            "gradients": gradient(step),
            "learningRate": learning_rate,
            "norm": norm,
            "clipped": parameters.grad.tolist(),
            "parameters": parameters.detach().tolist(),
        })
    moments = {key: value.tolist() for key, value in optimizer.state[parameters].items() if key != "step"}
    return {"name": name, "start": start(), "maxNorm": max_norm, "steps": steps, "moments": moments}


def main():
    falling = [0.05 * (1 - step / STEPS) for step in range(STEPS)]
    adamw = lambda decay: lambda p: torch.optim.AdamW(p, weight_decay=decay)
    rmsprop = lambda decay: lambda p: torch.optim.RMSprop(p, weight_decay=decay)
    cases = [
        {"optimizer": "adamw", "weightDecay": 0.0, **trajectory("AdamW", adamw(0.0), falling, 1.0)},
        {"optimizer": "adamw", "weightDecay": 0.1, **trajectory("AdamW with decay", adamw(0.1), falling, 1.0)},
        {"optimizer": "rmsprop", "weightDecay": 0.0, **trajectory("RMSprop", rmsprop(0.0), falling, 1.0)},
        {"optimizer": "rmsprop", "weightDecay": 0.1, **trajectory("RMSprop with decay", rmsprop(0.1), falling, 1.0)},
        {"optimizer": "adamw", "weightDecay": 0.0, **trajectory("AdamW, never clipped", adamw(0.0), falling, 100.0)},
    ]
    TARGET.write_text(json.dumps({"torch": torch.__version__, "cases": cases}) + "\n")


main()
