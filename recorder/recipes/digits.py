"""Which handwritten digits is the MNIST recipe trained on? 10,000 that ship with layerscope, or all 70,000."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from recorder.errors import RecordError

Source = Literal["digits", "torchvision"]
SOURCES: tuple[Source, ...] = ("digits", "torchvision")
VALIDATION = 2_000  # of the 10,000 digits, the last ones
MEAN, STD = 0.1307, 0.3081  # of MNIST's training pixels


@dataclass(frozen=True)
class Digits:
    """Images (sample, 1, 28, 28) float32, standardised; labels (sample,) int64."""

    images: torch.Tensor
    labels: torch.Tensor
    validation_images: torch.Tensor
    validation_labels: torch.Tensor


def load(source: Source = "digits", *, root: Path | None = None) -> Digits:
    """The digits that ship with layerscope, or torchvision's MNIST, downloaded into `root` when it is not there."""
    if source == "digits":
        with files("recorder").joinpath("data/mnist-10k.npz").open("rb") as file, np.load(file) as arrays:
            images, labels = arrays["images"], arrays["labels"]
        return _digits(images[:-VALIDATION], labels[:-VALIDATION], images[-VALIDATION:], labels[-VALIDATION:])
    if source == "torchvision":
        return _digits(*_torchvision(root or cache()))
    raise RecordError(f"no digits are called {source!r}; choose from {', '.join(SOURCES)}")


def cache() -> Path:
    """Where downloads are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "layerscope"


def _torchvision(root: Path) -> tuple[np.ndarray, ...]:
    try:
        from torchvision.datasets import MNIST
    except ImportError as missing:
        raise RecordError("--data torchvision needs torchvision: pip install 'layerscope[torch]'") from missing
    parts: list[np.ndarray] = []
    for train in (True, False):
        part = MNIST(str(root), train=train, download=True)
        parts += [part.data.numpy(), part.targets.numpy()]
    return tuple(parts)


def _digits(images: np.ndarray, labels: np.ndarray, held_images: np.ndarray, held_labels: np.ndarray) -> Digits:
    def standardised(pixels: np.ndarray) -> torch.Tensor:
        return ((torch.from_numpy(np.array(pixels)).float() / 255 - MEAN) / STD).unsqueeze(1)

    def long(classes: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.array(classes)).long()

    return Digits(standardised(images), long(labels), standardised(held_images), long(held_labels))
