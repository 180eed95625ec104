"""How does training look with its noise averaged out? Moving averages of gradients and weights.

    avg <- 0.9 avg + 0.1 x at every update, from the first one that was seen on

Sums are taken in float64 and kept in float32, of float64 tensors in float64. What is not finite stays in the average.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from recorder.analysis.turns import widened

DECAY, SHARE = 0.9, 0.1


class Average:
    """Of the gradient and of the weights of one tensor, in its shape."""

    def __init__(self, gradient: np.ndarray, weight: np.ndarray) -> None:
        self.gradient = widened(gradient).copy()
        self.weight = widened(weight).copy()

    def fits(self, gradient: np.ndarray, weight: np.ndarray) -> bool:
        """Whether the tensor is still the one that is averaged."""
        return self.gradient.shape == gradient.shape and self.weight.shape == weight.shape

    def take_in(self, gradient: np.ndarray, weight: np.ndarray) -> None:
        """One update more."""
        for average, x in ((self.gradient, gradient), (self.weight, weight)):
            _blend()(average.reshape(-1), widened(x).ravel())


def warm_up(entries: np.ndarray) -> None:
    """Compile what this type of entries needs."""
    Average(entries, entries).take_in(entries, entries)


@cache
def _blend() -> Any:
    """(average, x) -> None: the average takes in x, both (entry,)"""
    try:
        from recorder.analysis.compiled import blend
    except ImportError:  # no numba here
        return _numpy_blend
    return blend


def _numpy_blend(average: np.ndarray, x: np.ndarray) -> None:
    with np.errstate(all="ignore"):
        average[:] = DECAY * average.astype(np.float64) + SHARE * x.astype(np.float64)
