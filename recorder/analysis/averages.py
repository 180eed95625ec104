"""How does training look with its noise averaged out? Moving averages of gradients and weights.

    avg <- 0.9 avg + 0.1 x at every update, from the first one that was seen on

Sums are taken in float64 and kept in float32, of float64 tensors in float64. What is not finite stays in the average.
"""

from __future__ import annotations

import numpy as np

DECAY, SHARE = 0.9, 0.1


def blended(average: np.ndarray, x: np.ndarray) -> np.ndarray:
    """-> (entry,) float64: the average when it has taken in x; the definition, which the compiled pass must equal."""
    with np.errstate(all="ignore"):
        return DECAY * average.astype(np.float64) + SHARE * x.astype(np.float64)
