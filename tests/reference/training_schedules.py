"""Learning-rate factors of transformers' get_scheduler without warm-up, for tests/training/schedules.test.ts.

Writes tests/golden/training/schedules.json:

    python tests/reference/training_schedules.py
"""

import json
from pathlib import Path

import torch
import transformers

TARGET = Path(__file__).parents[1] / "golden" / "training" / "schedules.json"


def factors(name, steps):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = transformers.get_scheduler(name, optimizer, num_warmup_steps=0, num_training_steps=steps)
    values = []
    for _ in range(steps):
        values.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return values


cases = [
    {"schedule": name, "factors": factors(name, steps)} for name in ["linear", "cosine", "constant"] for steps in [1, 7, 20]
]
TARGET.write_text(json.dumps({"transformers": transformers.__version__, "cases": cases}) + "\n")
