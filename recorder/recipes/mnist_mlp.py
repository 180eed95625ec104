"""What does a network that learns digits look like from inside? A 4-layer MLP with batch norm, fully recorded.

784 - 512 - 256 - 128 - 10, batch norm and ReLU after each hidden layer (whose own bias batch norm would take away);
Adam under a one-cycle schedule up to 3e-3; 0.57 M parameters
"""

from __future__ import annotations

import os
import sys
from collections import OrderedDict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn

from recorder.instruments.augmentation_variance import AugmentationVariance
from recorder.instruments.probe_activations import ProbeActivations
from recorder.instruments.raw_activations import RawActivations
from recorder.instruments.raw_snapshots import RawSnapshots
from recorder.probe import Probe
from recorder.recipes.digits import MEAN, STD, Source, load
from recorder.recipes.trainer import Batch, MetricsCallback, ModelSaveCallback, Trainer
from recorder.recording.record import record

WIDTHS = (784, 512, 256, 128)
CLASSES = 10
PROBE = 256  # validation images that are watched
AUGMENTED = 5  # of these, of which 300 augmentations each are looked at


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
    tensorboard: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Path:
    """Train and record; the path of the run."""
    digits = load(data, root=root)
    torch.manual_seed(seed)
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    steps = epochs * -(-len(digits.images) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=max(1, steps))
    settings = {"recipe": "mnist_mlp", "data": data, "epochs": epochs, "batch": batch, "seed": seed}
    watched, labels = digits.validation_images[:PROBE], digits.validation_labels[:PROBE]
    known = {"labels": labels, "classes": [str(digit) for digit in range(CLASSES)], "mean": MEAN, "std": STD}
    with record(
        model,
        path,
        optimizer=optimizer,
        probe={
            "digits": Probe(watched, **known),
            "augmentations": Probe.augmented(watched, samples=range(AUGMENTED), **known),
        },
        instruments=[
            "full",  # the correlations among them, as each epoch begins
            AugmentationVariance(),  # at the end
            RawSnapshots("*.bias", quantities=("gradient", "weight")),
            RawActivations("output"),
            ProbeActivations("output"),
        ],
        meta=settings | {"learning_rate": learning_rate},
        tensorboard=tensorboard,
        progress=progress,
    ) as run:  # fmt: skip
        callbacks = [MetricsCallback(run, console=progress), ModelSaveCallback(run)]
        trainer = Trainer(model, optimizer, nn.CrossEntropyLoss(), scheduler=schedule, callbacks=callbacks)
        batches = Shuffled(digits.images, digits.labels, batch)
        trainer.fit(batches, (digits.validation_images, digits.validation_labels), epochs=epochs)
        if progress and sys.stdout.isatty():
            print(run)
    return run.path


class Shuffled:
    """Batches of samples in a new order at each pass."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor, batch: int) -> None:
        self._images, self._labels, self._batch = images, labels, batch

    def __iter__(self) -> Iterator[Batch]:
        for chosen in torch.randperm(len(self._images)).split(self._batch):
            yield self._images[chosen], self._labels[chosen]
