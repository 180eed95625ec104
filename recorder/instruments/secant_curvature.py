"""How curved is the loss along each weight's own axis, as far as the last step shows?

    c_k = (g_t - g_{t-1})[k] / (w_t - w_{t-1})[k]          over the weights that moved

On a quadratic whose Hessian is diagonal that is the Hessian; elsewhere the other weights' steps are in it as well, and
with batches their noise. Stored are the 5, 25, 50, 75 and 95 % quantiles of each tensor.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recorder.analysis.turns import AT
from recorder.reading import Facts, Need, Reading, Statistic
from recorder.runfile.schema import Kind, Series


class SecantCurvature:
    """Quantiles of each tensor's secant curvature; NaN where the update before was not seen or nothing moved."""

    name = "secant_curvature"
    statistics = frozenset({Statistic.SECANT_CURVATURE})
    needs: frozenset[Need] = frozenset()

    def declare(self, facts: Facts) -> tuple[Series, ...]:
        doc = "Change of the gradient over change of the weight: 5, 25, 50, 75 and 95 % quantiles."
        return (
            Series("secant_curvature", Kind.VECTOR, "loss / weight^2", doc, facts.tensor_names, (len(AT),),
                   ("quantile",), item_dim="tensor"),
        )  # fmt: skip

    def measure(self, reading: Reading) -> Mapping[str, np.ndarray]:
        """-> secant_curvature (tensor, quantile)"""
        return {"secant_curvature": reading[Statistic.SECANT_CURVATURE]}
