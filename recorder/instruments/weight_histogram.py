"""How are the weights of each tensor distributed?

Counts over signed logarithmic bins that never change (`recorder.analysis.histogram`); they sum to the tensor's size.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recorder.analysis.histogram import COLUMNS, EDGES
from recorder.reading import Facts, Need, Reading, Statistic
from recorder.runfile.schema import Kind, Series


class WeightHistogram:
    """Counts of each tensor's entries: underflow, bins, overflow, NaN."""

    name = "weight_histogram"
    statistics = frozenset({Statistic.WEIGHT_HISTOGRAM})
    needs: frozenset[Need] = frozenset()

    def declare(self, facts: Facts) -> tuple[Series, ...]:
        return (
            Series("weight_histogram", Kind.DISTRIBUTION, "weight", "Distribution of the tensor's weights.",
                   facts.tensor_names, (COLUMNS,), ("bin",), "uint32", "tensor",
                   edges=tuple(float(e) for e in EDGES)),
        )  # fmt: skip

    def measure(self, reading: Reading) -> Mapping[str, np.ndarray]:
        """-> weight_histogram (tensor, bin) counts"""
        return {"weight_histogram": reading[Statistic.WEIGHT_HISTOGRAM]}
