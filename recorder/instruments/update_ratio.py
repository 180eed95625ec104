"""How far does a step move each tensor, in proportion to its size?

    u_l(t) = || W_l(t) - W_l(t-1) ||_2 / || W_l(t-1) ||_2          unit: 1

About 1e-3 is usual; far more and training jumps, far less and it stands still.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recorder.reading import Facts, Need, Reading, Statistic
from recorder.runfile.schema import Kind, Series


class UpdateRatio:
    """The relative length of the update that led to this step; NaN where there was none or the tensor was all zeros."""

    name = "update_ratio"
    statistics = frozenset({Statistic.UPDATE_NORM})
    needs: frozenset[Need] = frozenset()

    def declare(self, facts: Facts) -> tuple[Series, ...]:
        doc = "Length of the tensor's last update divided by the tensor's norm before it."
        return (Series("update_ratio", Kind.PER_ITEM, "1", doc, facts.tensor_names, item_dim="tensor"),)

    def measure(self, reading: Reading) -> Mapping[str, np.ndarray]:
        """-> update_ratio (tensor,) float64"""
        update = np.asarray(reading[Statistic.UPDATE_NORM], dtype=np.float64)
        before = reading.previous.get(Statistic.WEIGHT_NORM)
        if before is None:
            return {"update_ratio": np.full(update.shape, np.nan)}
        return {"update_ratio": update / np.where(np.greater(before, 0), before, np.nan)}
