"""How are the activations of each layer distributed on the probe batch?

Counts over signed logarithmic bins that never change (`recorder.analysis.histogram`); they sum to the number of
activations, so exact zeros stand out in the middle bin.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recorder.analysis.histogram import COLUMNS, EDGES
from recorder.analysis.statistics import counts
from recorder.reading import Facts, Need, Reading, Statistic
from recorder.runfile.schema import Kind, Series


class ActivationHistogram:
    """Counts of each layer's activations over all samples and positions: underflow, bins, overflow, NaN."""

    name = "activation_histogram"
    statistics: frozenset[Statistic] = frozenset()
    needs = frozenset({Need.PROBE})

    def __init__(self, *, probe: str = "") -> None:
        self.probe = probe

    def declare(self, facts: Facts) -> tuple[Series, ...]:
        return (
            Series("activation_histogram", Kind.DISTRIBUTION, "activation",
                   "Distribution of the layer's activations on the probe batch.",
                   tuple(layer.name for layer in facts.layers), (COLUMNS,), ("bin",), "uint64", "layer",
                   edges=tuple(float(e) for e in EDGES)),
        )  # fmt: skip

    def measure(self, reading: Reading) -> Mapping[str, Mapping[str, np.ndarray]]:
        """-> activation_histogram {layer: (bin,) counts}"""
        return {"activation_histogram": {layer: counts(a) for layer, a in reading.activations.items()}}
