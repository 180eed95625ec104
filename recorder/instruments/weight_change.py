"""How far did the last update move the weights?

    d_l(t) = || W_l(t) - W_l(t-1) ||_2          unit: weight

In proportion to the weights it is `update_ratio`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from recorder.analysis.statistics import total_norm
from recorder.charting.per_epoch import Curve, PerEpoch
from recorder.reading import Facts, Need, Reading, Statistic
from recorder.runfile.schema import Kind, Series
from recorder.view import Derived

PER_EPOCH = PerEpoch(
    "weight change per epoch", "weight",
    (Curve("weight_change_total", "weight_change_norm_total", "weight_change_norm"),),
)  # fmt: skip


class WeightChange:
    """The Euclidean norm of each tensor's last update; NaN where that was not seen."""

    name = "weight_change"
    statistics = frozenset({Statistic.UPDATE_NORM, Statistic.WEIGHT_NONFINITE})
    needs: frozenset[Need] = frozenset()
    derived: ClassVar[Derived] = {"weight_change_norm": {"weight_change_per_epoch": PER_EPOCH}}

    def declare(self, facts: Facts) -> tuple[Series, ...]:
        tensors = facts.tensor_names
        return (
            Series("weight_change_norm", Kind.PER_ITEM, "weight", "Euclidean norm of the tensor's last update.",
                   tensors, item_dim="tensor"),
            Series("weight_change_total", Kind.SCALAR, "weight", "Euclidean norm of the last update of all tensors.",
                   ("weight_change_norm_total",), item_dim="scalar"),
        )  # fmt: skip

    def measure(self, reading: Reading) -> Mapping[str, np.ndarray]:
        """-> weight_change_norm (tensor,), weight_change_total (1,) over the tensors whose last update was seen"""
        norms = reading[Statistic.UPDATE_NORM]
        total = total_norm(norms, reading[Statistic.WEIGHT_NONFINITE])
        return {"weight_change_norm": norms, "weight_change_total": np.array([total])}
