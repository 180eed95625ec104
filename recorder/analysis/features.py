"""What are the features of a layer, and which of its units say anything on this batch?

Features are (sample, unit). A unit is dead where no two samples differ by more than a rounding of the unit's largest
magnitude: max x - min x <= eps max |x|, with eps of the dtype the features come in. Its standard deviation is 0, or
made of rounding alone. A unit is not finite where a sample is NaN or infinite. All others are alive.
"""

from __future__ import annotations

from math import prod
from typing import Literal

import numpy as np

Spatial = Literal["mean", "flatten"]


def features(activation: np.ndarray, spatial: Spatial = "mean") -> np.ndarray:
    """-> (sample, unit) float32, or float64 of float64 and of whole numbers.

    Args:
        activation: (sample, unit, ...) of any dtype; (sample,) is a single unit.
        spatial: what becomes of positions: "mean" has a unit for each channel, its mean over them; "flatten" has a unit
            for each channel and position.

    Raises:
        ValueError: there is no axis of samples, or no such `spatial`.
    """
    if activation.ndim == 0 or spatial not in ("mean", "flatten"):
        raise ValueError(
            f"features: expected an activation (sample, unit, ...) and spatial 'mean' or 'flatten', "
            f"got the shape {activation.shape} and {spatial!r}"
        )
    x = (
        activation.reshape(len(activation), prod(activation.shape[1:]))
        if activation.ndim < 3 or spatial == "flatten"
        else activation
    )
    if x.ndim > 2:
        with np.errstate(all="ignore"):
            x = x.mean(axis=tuple(range(2, x.ndim)), dtype=np.float64).astype(_working(x.dtype))
    return np.asarray(x, _working(x.dtype))


def dead_units(x: np.ndarray) -> np.ndarray:
    """-> (unit,) bool: which of the features `x` (sample, unit) are the same on every sample."""
    if not len(x):
        return np.ones(x.shape[1], bool)
    with np.errstate(all="ignore"):
        return within_rounding(x.min(axis=0), x.max(axis=0), rounding(x.dtype))


def rounding(dtype: np.dtype) -> float:
    """The step from 1 to the next number; 0 of whole numbers, which are exact."""
    return float(np.finfo(dtype).eps) if dtype.kind == "f" else 0.0


def within_rounding(low: np.ndarray, high: np.ndarray, eps: float) -> np.ndarray:
    """-> bool: where the smallest and the largest value are the same but for a rounding of the larger magnitude."""
    low, high = low.astype(np.float64), high.astype(np.float64)
    return high - low <= np.maximum(eps * np.maximum(np.abs(low), np.abs(high)), np.finfo(np.float64).tiny)


def centred(x: np.ndarray) -> np.ndarray:
    """-> (sample, unit) float64: each unit without its mean; exactly 0 where it is dead."""
    wide = x.astype(np.float64)
    if len(x):
        wide -= wide.mean(axis=0)
        wide[:, dead_units(x)] = 0
    return wide


def kept_units(x: np.ndarray, most: int = 256) -> np.ndarray:
    """-> (kept,) int32, ascending: the `most` units of largest variance; of equal ones the first.

    Units that are not finite come last.
    """
    with np.errstate(all="ignore"):
        variance = x.var(axis=0, dtype=np.float64) if len(x) else np.zeros(x.shape[1])
    variance = np.where(np.isfinite(variance), variance, -1)
    return np.sort(np.argsort(-variance, kind="stable")[:most]).astype(np.int32)


def _working(dtype: np.dtype) -> np.dtype:
    """float64 where float32 would lose digits."""
    return np.dtype(np.float32 if dtype.kind == "b" or dtype in (np.float16, np.float32) else np.float64)
