"""How many weights pass a minimum or a maximum of the loss along their own axis?

A coordinate whose gradient changed its sign while its weight moved has stepped over one:

    s = sign((w_t - w_{t-1})[k] (g_t - g_{t-1})[k])          +1 a minimum, -1 a maximum

A sign change without a change of the weight is neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from recorder.charting.per_epoch import Curve, PerEpoch
from recorder.reading import Facts, Need, Reading, Statistic
from recorder.runfile.schema import Kind, Series
from recorder.view import Derived

PER_EPOCH = PerEpoch(
    "extrema passed per epoch", "count",
    (
        Curve("local_extrema_total", "local_minima_total", "local_minima", "minima"),
        Curve("local_extrema_total", "local_maxima_total", "local_maxima", "maxima"),
    ),
)  # fmt: skip


class LocalExtrema:
    """Minima and maxima that the weights of each tensor passed since the update before; 0 where that was not seen."""

    name = "local_extrema"
    statistics = frozenset({Statistic.MINIMA, Statistic.MAXIMA})
    needs: frozenset[Need] = frozenset()
    derived: ClassVar[Derived] = {"local_minima": {"local_extrema_per_epoch": PER_EPOCH}}

    def declare(self, facts: Facts) -> tuple[Series, ...]:
        tensors = facts.tensor_names
        return (
            Series("local_minima", Kind.PER_ITEM, "count", "Weights that passed a minimum of the loss since before.",
                   tensors, dtype="uint32", item_dim="tensor"),
            Series("local_maxima", Kind.PER_ITEM, "count", "Weights that passed a maximum of the loss since before.",
                   tensors, dtype="uint32", item_dim="tensor"),
            Series("local_extrema_total", Kind.SCALAR, "count", "Weights of all tensors that passed an extremum.",
                   ("local_minima_total", "local_maxima_total"), dtype="uint64", item_dim="scalar"),
        )  # fmt: skip

    def measure(self, reading: Reading) -> Mapping[str, np.ndarray]:
        """-> local_minima (tensor,), local_maxima (tensor,), local_extrema_total (2,)"""
        minima, maxima = reading[Statistic.MINIMA], reading[Statistic.MAXIMA]
        return {
            "local_minima": minima,
            "local_maxima": maxima,
            "local_extrema_total": np.array([minima.sum(), maxima.sum()]),
        }
