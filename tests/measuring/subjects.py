"""Small trainings with checkpoints, and what `measure` is given for them: models and data by factories."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from recorder import Checkpoints, record
from recorder.schedule import every

SAMPLES = torch.linspace(-2, 2, 12 * 6).reshape(12, 6).sin()
LABELS = torch.arange(12) % 3
PROBED = ("activation_statistics", "cka", "effective_dimension", "raw_activations")


class Net(nn.Module):
    """Batch norm and dropout are in it, whose state and randomness a probe must not touch or see."""

    def __init__(self, units: int = 8) -> None:
        super().__init__()
        self.fc1 = nn.Linear(6, units)
        self.norm = nn.BatchNorm1d(units)
        self.drop = nn.Dropout(0.3)
        self.fc2 = nn.Linear(units, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.drop(torch.relu(self.norm(self.fc1(x)))))


def wide() -> Net:
    return Net(units=9)


def data() -> tuple[torch.Tensor, torch.Tensor]:
    return SAMPLES, LABELS


def other_data() -> torch.Tensor:
    return SAMPLES.flip(0)[:10]


def train(path: Path, *, steps: int = 20, each: int = 5, probe: object = (SAMPLES, LABELS), **options: object) -> Path:
    """A run with checkpoints, and with what looks at the probe recorded every ten steps."""
    torch.manual_seed(0)
    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), 0.02)
    live = [every(10, name) for name in PROBED] if probe is not None else []
    checkpoints = Checkpoints(every=each)
    with record(
        net, path, probe=probe, instruments=["gradient_norm", *live], checkpoints=checkpoints, progress=False, **options
    ) as run:
        for step in range(steps):
            if step % 10 == 0 and step:
                run.epoch()
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(SAMPLES), LABELS)
            loss.backward()
            optimizer.step()
            run.step(loss=loss)
    return path


def same(one: object, other: object) -> bool:
    return np.array_equal(np.asarray(one), np.asarray(other), equal_nan=True)
