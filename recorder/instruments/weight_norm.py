"""How large are the weights, tensor by tensor?

w_l = || W_l ||_2              unit: weight
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recorder.reading import Facts, Need, Reading, Statistic
from recorder.runfile.schema import Kind, Series


class WeightNorm:
    """The Euclidean norm of each tensor, and how many of its entries are not finite."""

    name = "weight_norm"
    statistics = frozenset({Statistic.WEIGHT_NORM, Statistic.WEIGHT_NONFINITE})
    needs: frozenset[Need] = frozenset()

    def declare(self, facts: Facts) -> tuple[Series, ...]:
        tensors = facts.tensor_names
        return (
            Series("weight_norm", Kind.PER_ITEM, "weight", "Euclidean norm of the tensor.", tensors, item_dim="tensor"),
            Series("weight_nonfinite", Kind.PER_ITEM, "count", "Entries of the tensor that are NaN or infinite.",
                   tensors, item_dim="tensor", dtype="uint32"),
        )  # fmt: skip

    def measure(self, reading: Reading) -> Mapping[str, np.ndarray]:
        """-> weight_norm (tensor,) float32, weight_nonfinite (tensor,) uint32"""
        return {
            "weight_norm": reading[Statistic.WEIGHT_NORM],
            "weight_nonfinite": reading[Statistic.WEIGHT_NONFINITE],
        }
