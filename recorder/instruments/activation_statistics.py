"""What do the units of each layer do on the probe batch: their level, spread, zeros, dead and saturated units?

Counts are stored as integers; a share is a count over the layer's activations (samples x shape of one sample), whose
number follows from the run's `layers` and `probe_samples`.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import nan, prod
from typing import ClassVar

import numpy as np

from recorder.analysis.activation import BOUNDS, activation_statistics
from recorder.analysis.activation import ActivationStatistics as Statistics
from recorder.charting.probed import Probed
from recorder.charting.shares import Derive, Share
from recorder.reading import Facts, Need, Reading, Statistic
from recorder.runfile.schema import Kind, Series
from recorder.view import Derived, RunView

SERIES = {
    "activation_mean": ("activation", "float32", "Mean activation of the layer on the probe batch."),
    "activation_std": ("activation", "float32", "Unbiased standard deviation of the layer's activations."),
    "activation_zero_count": ("count", "uint64", "Activations of the layer that are exactly 0."),
    "activation_dead_units": ("count", "uint32", "Units with the same activation on every probe sample and position."),
    "activation_nonfinite": ("count", "uint64", "Activations of the layer that are NaN or infinite."),
}
SATURATED = ("count", "uint64", "Activations of a sigmoid- or tanh-like layer within 5 % of its bounds.")


def _numbers(run: RunView, series: str) -> dict[str, int]:
    """How many activations each layer has on the probe batch, from what the run knows of its model."""
    probed = Probed(run, series)
    return {name: probed.samples * prod(shape) for name, shape in probed.shapes.items()}


def _units(run: RunView, series: str) -> dict[str, int]:
    return {name: (shape or (1,))[0] for name, shape in Probed(run, series).shapes.items()}


SHARED = (
    Share(
        "activation_zero_count", "activation_zero_share", "Share of the layer's activations that are exactly 0.",
        _numbers,
    ),
    Share(
        "activation_dead_units", "activation_dead_share",
        "Share of the layer's units with the same activation on every probe sample and position.", _units,
    ),
    Share(
        "activation_saturated_count", "activation_saturated_share",
        "Share of the layer's activations within 5 % of its bounds.", _numbers,
    ),
)  # fmt: skip


class ActivationStatistics:
    """Mean, spread, exact zeros, dead units, saturation and non-finite values, layer by layer."""

    name = "activation_statistics"
    statistics: frozenset[Statistic] = frozenset()
    needs = frozenset({Need.PROBE})
    shares: ClassVar[Mapping[str, Mapping[str, Derive]]] = {share.counts: {share.name: share.of} for share in SHARED}
    derived: ClassVar[Derived] = {share.counts: {share.name: share} for share in SHARED}

    def __init__(self, *, probe: str = "") -> None:
        self.probe = probe
        self._kinds: Mapping[str, str] = {}

    def declare(self, facts: Facts) -> tuple[Series, ...]:
        self._kinds = {layer.name: layer.kind for layer in facts.layers}
        bounded = tuple(name for name, kind in self._kinds.items() if kind in BOUNDS)
        series = [_series(name, *what, tuple(self._kinds)) for name, what in SERIES.items()]
        if bounded:
            series.append(_series("activation_saturated_count", *SATURATED, bounded))
        return tuple(series)

    def measure(self, reading: Reading) -> Mapping[str, np.ndarray]:
        """-> each series as (layer,)"""
        seen = reading.activations
        of = {
            name: activation_statistics(seen[name], kind) if name in seen else _absent(kind)
            for name, kind in self._kinds.items()
        }
        measured = {
            "activation_mean": [s.mean for s in of.values()],
            "activation_std": [s.std for s in of.values()],
            "activation_zero_count": [s.zero for s in of.values()],
            "activation_dead_units": [s.dead for s in of.values()],
            "activation_nonfinite": [s.nonfinite for s in of.values()],
        }
        saturated = [s.saturated for s in of.values() if s.saturated is not None]
        if saturated:
            measured["activation_saturated_count"] = saturated
        return {name: np.array(values) for name, values in measured.items()}


def _absent(kind: str) -> Statistics:
    """Of a layer that has no part in the forward pass any more."""
    return Statistics(nan, nan, 0, 0, 0, 0 if kind in BOUNDS else None, 0, 0)


def _series(name: str, unit: str, dtype: str, doc: str, layers: tuple[str, ...]) -> Series:
    return Series(name, Kind.PER_ITEM, unit, doc, layers, dtype=dtype, item_dim="layer")
