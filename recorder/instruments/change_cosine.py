"""Do the weights keep their course, or do they go back and forth?

    cosine of the angle between w_t - w_{t-1} and w_{t-1} - w_{t-2}: 1 straight on, -1 back

NaN at the first two updates, which have not two changes behind them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recorder.reading import Facts, Need, Reading, Statistic
from recorder.runfile.schema import Kind, Series


class ChangeCosine:
    """The cosine between each tensor's last change and the one before; NaN where one was not seen or is zero."""

    name = "change_cosine"
    statistics = frozenset({Statistic.UPDATE_COSINE})
    needs: frozenset[Need] = frozenset()

    def declare(self, facts: Facts) -> tuple[Series, ...]:
        doc = "Cosine between the tensor's last change and the change before."
        return (Series("change_cosine", Kind.PER_ITEM, "1", doc, facts.tensor_names, item_dim="tensor"),)

    def measure(self, reading: Reading) -> Mapping[str, np.ndarray]:
        """-> change_cosine (tensor,)"""
        return {"change_cosine": reading[Statistic.UPDATE_COSINE]}
