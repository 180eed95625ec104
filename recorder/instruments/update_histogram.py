"""How are the last changes of each tensor's weights distributed?

Counts over signed logarithmic bins that never change (`recorder.analysis.histogram`); they sum to the tensor's size, or
to 0 where the update before was not seen. Weights that stood still are in the middle bin.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recorder.analysis.histogram import COLUMNS, EDGES
from recorder.reading import Facts, Need, Reading, Statistic
from recorder.runfile.schema import Kind, Series


class UpdateHistogram:
    """Counts of the entries of each tensor's last update: underflow, bins, overflow, NaN."""

    name = "update_histogram"
    statistics = frozenset({Statistic.UPDATE_HISTOGRAM})
    needs: frozenset[Need] = frozenset()

    def declare(self, facts: Facts) -> tuple[Series, ...]:
        return (
            Series("update_histogram", Kind.DISTRIBUTION, "weight", "Distribution of the tensor's last update.",
                   facts.tensor_names, (COLUMNS,), ("bin",), "uint32", "tensor",
                   edges=tuple(float(e) for e in EDGES)),
        )  # fmt: skip

    def measure(self, reading: Reading) -> Mapping[str, np.ndarray]:
        """-> update_histogram (tensor, bin) counts"""
        return {"update_histogram": reading[Statistic.UPDATE_HISTOGRAM]}
