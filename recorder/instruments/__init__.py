"""Every instrument there is, in the order in which it is listed. One file each; a new one adds one line here."""

from __future__ import annotations

from typing import Any

from recorder.instruments.activation_histogram import ActivationHistogram
from recorder.instruments.activation_statistics import ActivationStatistics
from recorder.instruments.gradient_histogram import GradientHistogram
from recorder.instruments.gradient_norm import GradientNorm
from recorder.instruments.raw_activations import RawActivations
from recorder.instruments.raw_snapshots import RawSnapshots
from recorder.instruments.update_ratio import UpdateRatio
from recorder.instruments.weight_histogram import WeightHistogram
from recorder.instruments.weight_norm import WeightNorm

INSTRUMENTS: tuple[Any, ...] = (
    GradientNorm,
    WeightNorm,
    UpdateRatio,
    ActivationStatistics,
    WeightHistogram,
    GradientHistogram,
    ActivationHistogram,
    RawSnapshots,
    RawActivations,
)

__all__ = [
    "INSTRUMENTS",
    "ActivationHistogram",
    "ActivationStatistics",
    "GradientHistogram",
    "GradientNorm",
    "RawActivations",
    "RawSnapshots",
    "UpdateRatio",
    "WeightHistogram",
    "WeightNorm",
]
