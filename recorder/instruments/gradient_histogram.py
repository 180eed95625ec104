"""How is the gradient of each tensor distributed?

Counts over signed logarithmic bins that never change (`recorder.analysis.histogram`); they sum to the
tensor's size, or to 0 where the tensor was not updated in the step. By itself a row is that of an epoch's last recorded
update (`epoch_ends`), so that the last epoch has one as well: no gradient follows the end.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recorder.analysis.histogram import COLUMNS, EDGES
from recorder.reading import Facts, Need, Reading, Statistic
from recorder.runfile.schema import Kind, Series


class GradientHistogram:
    """Counts of the entries of each tensor's gradient: underflow, bins, overflow, NaN."""

    name = "gradient_histogram"
    statistics = frozenset({Statistic.GRADIENT_HISTOGRAM})
    needs: frozenset[Need] = frozenset()

    def declare(self, facts: Facts) -> tuple[Series, ...]:
        return (
            Series("gradient_histogram", Kind.DISTRIBUTION, "loss / weight", "Distribution of the tensor's gradient.",
                   facts.tensor_names, (COLUMNS,), ("bin",), "uint32", "tensor",
                   edges=tuple(float(e) for e in EDGES)),
        )  # fmt: skip

    def measure(self, reading: Reading) -> Mapping[str, np.ndarray]:
        """-> gradient_histogram (tensor, bin) counts"""
        return {"gradient_histogram": reading[Statistic.GRADIENT_HISTOGRAM]}
