"""What does a network that learns digits look like from inside? A 4-layer MLP with batch norm, fully recorded.

784 - 512 - 256 - 128 - 10, batch norm and ReLU after each hidden layer (whose own bias batch norm would take away);
Adam under a one-cycle schedule up to 3e-3; 0.57 M parameters
"""

from __future__ import annotations

import os
import sys
from collections import OrderedDict
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn

from recorder.analysis.classification import classification
from recorder.instruments.raw_activations import RawActivations
from recorder.instruments.raw_snapshots import RawSnapshots
from recorder.recipes.digits import Source, load
from recorder.recording.checkpoint import Checkpoints
from recorder.recording.record import record
from recorder.schedule import each_epoch

WIDTHS = (784, 512, 256, 128)
CLASSES = 10
PROBE = 256  # validation images that are watched


def network() -> nn.Sequential:
    """The MLP, untrained."""
    layers: dict[str, nn.Module] = {"flatten": nn.Flatten()}
    for k, (inputs, units) in enumerate(pairwise(WIDTHS), start=1):
        layers |= {
            f"linear{k}": nn.Linear(inputs, units, bias=False),
            f"norm{k}": nn.BatchNorm1d(units),
            f"relu{k}": nn.ReLU(),
        }
    return nn.Sequential(OrderedDict(layers, output=nn.Linear(WIDTHS[-1], CLASSES)))


def main(
    path: str | os.PathLike[str],
    *,
    data: Source = "digits",
    root: Path | None = None,
    epochs: int = 5,
    batch: int = 64,
    learning_rate: float = 3e-3,
    seed: int = 0,
    progress: bool = True,
) -> Path:
    """Train and record; the path of the run."""
    digits = load(data, root=root)
    torch.manual_seed(seed)
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    steps = epochs * -(-len(digits.images) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=max(1, steps))
    loss_of = nn.CrossEntropyLoss()
    settings = {"recipe": "mnist_mlp", "data": data, "epochs": epochs, "batch": batch, "seed": seed}
    with record(
        model,
        path,
        optimizer=optimizer,
        probe=(digits.validation_images[:PROBE], digits.validation_labels[:PROBE]),
        instruments=["full", RawSnapshots("*.bias", quantities=("gradient", "weight")), RawActivations("output")],
        checkpoints=Checkpoints(every=each_epoch, best="val_accuracy"),
        meta=settings | {"learning_rate": learning_rate},
        progress=progress,
    ) as run:
        for _ in range(epochs):
            model.train()
            for chosen in torch.randperm(len(digits.images)).split(batch):
                images, labels = digits.images[chosen], digits.labels[chosen]
                answers = model(images)
                loss = loss_of(answers, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                run.step(loss=loss, samples=len(images), accuracy=_accuracy(answers, labels))
            model.eval()
            with torch.no_grad():
                answers = model(digits.validation_images)
            run.epoch(
                val_loss=loss_of(answers, digits.validation_labels),
                **classification(digits.validation_labels, answers, prefix="val_"),
            )
        if progress and sys.stdout.isatty():
            print(run)
    return run.path


def _accuracy(answers: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return (answers.argmax(dim=1) == labels).float().mean()
