"""Do weights whose gradient stays near zero move all the same?

Momentum and weight decay move them. Stored are the 5, 25, 50, 75 and 95 % quantiles of |w_t - w_{t-1}| over the entries
of the gradient that are near zero now and were so in the update before (`near_zero`'s tau).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recorder.analysis.turns import AT
from recorder.reading import Facts, Need, Reading, Statistic
from recorder.runfile.schema import Kind, Series


class NearZeroMovement:
    """Quantiles of the last change of each tensor's near-zero weights; NaN where there are none."""

    name = "near_zero_movement"
    statistics = frozenset({Statistic.NEAR_ZERO_MOVEMENT})
    needs: frozenset[Need] = frozenset()

    def declare(self, facts: Facts) -> tuple[Series, ...]:
        doc = "Last change of the weights whose gradient stays near zero: 5, 25, 50, 75 and 95 % quantiles."
        return (
            Series("near_zero_movement", Kind.VECTOR, "weight", doc, facts.tensor_names, (len(AT),),
                   ("quantile",), item_dim="tensor"),
        )  # fmt: skip

    def measure(self, reading: Reading) -> Mapping[str, np.ndarray]:
        """-> near_zero_movement (tensor, quantile)"""
        return {"near_zero_movement": reading[Statistic.NEAR_ZERO_MOVEMENT]}
