"""How long is the gradient, tensor by tensor?

g_l = || dL/dW_l ||_2          unit: loss / weight
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recorder.analysis.statistics import total_norm
from recorder.reading import Facts, Need, Reading, Statistic
from recorder.runfile.schema import Kind, Series


class GradientNorm:
    """The Euclidean norm of each tensor's gradient, and how many of its entries are not finite.

    A norm over a NaN or an infinity is NaN or infinite. A tensor without an update in this step is NaN.
    """

    name = "gradient_norm"
    statistics = frozenset({Statistic.GRADIENT_NORM, Statistic.GRADIENT_NONFINITE})
    needs: frozenset[Need] = frozenset()

    def declare(self, facts: Facts) -> tuple[Series, ...]:
        tensors = facts.tensor_names
        return (
            Series("gradient_norm", Kind.PER_ITEM, "loss / weight", "Euclidean norm of the tensor's gradient.",
                   tensors, item_dim="tensor"),
            Series("gradient_nonfinite", Kind.PER_ITEM, "count", "Entries of the gradient that are NaN or infinite.",
                   tensors, item_dim="tensor", dtype="uint32"),
            Series("gradient_total", Kind.SCALAR, "loss / weight", "Euclidean norm of the gradient of all tensors.",
                   ("gradient_norm_total",), item_dim="scalar"),
        )  # fmt: skip

    def measure(self, reading: Reading) -> Mapping[str, np.ndarray]:
        """-> gradient_norm (tensor,) float32, gradient_nonfinite (tensor,) uint32, gradient_total (1,)"""
        norms, nonfinite = reading[Statistic.GRADIENT_NORM], reading[Statistic.GRADIENT_NONFINITE]
        return {
            "gradient_norm": norms,
            "gradient_nonfinite": nonfinite,
            "gradient_total": np.array([total_norm(norms, nonfinite)]),
        }
