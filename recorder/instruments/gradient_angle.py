"""How far does the gradient turn from one update to the next?

angle between g_{t-1} and g_t in degrees: 0 straight on, 90 unrelated, 180 back
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recorder.reading import Facts, Need, Reading, Statistic
from recorder.runfile.schema import Kind, Series


class GradientAngle:
    """The angle between each tensor's gradient and the one before; NaN where that was not seen or is zero."""

    name = "gradient_angle"
    statistics = frozenset({Statistic.GRADIENT_ANGLE})
    needs: frozenset[Need] = frozenset()

    def declare(self, facts: Facts) -> tuple[Series, ...]:
        doc = "Angle between the tensor's gradient and the one of the update before."
        return (Series("gradient_angle", Kind.PER_ITEM, "degree", doc, facts.tensor_names, item_dim="tensor"),)

    def measure(self, reading: Reading) -> Mapping[str, np.ndarray]:
        """-> gradient_angle (tensor,)"""
        return {"gradient_angle": reading[Statistic.GRADIENT_ANGLE]}
