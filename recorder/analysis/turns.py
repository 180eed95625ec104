"""How do gradient and weights turn from update to update, and how curved is the loss along each weight's own axis?

For a tensor with gradient g_t and weights w_t, and g_{t-1}, w_{t-1}, w_{t-2} of its updates before:

    gradient_angle       between g_t and g_{t-1}, in degrees
    update_cosine        of the angle between w_t - w_{t-1} and w_{t-1} - w_{t-2}
    secant_curvature     quantiles of (g_t - g_{t-1}) / (w_t - w_{t-1}) over the weights that moved
    near_zero_movement   quantiles of |w_t - w_{t-1}| over the entries that are near zero now and were so before

NaN where an update before was not seen, where a vector is zero, and where there is nothing to take quantiles of. The
curvature of a large tensor is that of up to 16,384 evenly spaced entries; what is not finite is left out of it.
"""

from __future__ import annotations

import math
from collections.abc import Container
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from recorder.analysis.kept import Kept

ANGLES = ("gradient_angle", "update_cosine")
QUANTILES = ("secant_curvature", "near_zero_movement")
AT = (0.05, 0.25, 0.5, 0.75, 0.95)
SAMPLE = 1 << 14
COLUMNS = len(ANGLES) + len(QUANTILES) * len(AT)  # angle, cosine, then the quantiles of both


def stride(entries: int) -> int:
    """Between the entries of which the curvature is taken."""
    return -(-entries // SAMPLE) or 1


def measured(
    gradient: np.ndarray, weight: np.ndarray, kept: Kept, tau: np.ndarray, *, wanted: Container[str], remember: bool
) -> np.ndarray:  # fmt: skip
    """-> (COLUMNS,), quantiles only where wanted; what is compared with next stays in `kept`, but for the weights."""
    found, g = np.full(COLUMNS, np.nan), widened(gradient)
    knows_gradient, knows_change = kept.valid and kept.turned, kept.valid and kept.changed
    if kept.gradient is None or kept.gradient.dtype != g.dtype:
        kept.gradient, knows_gradient = np.empty(g.shape, g.dtype), False
    if kept.change is None:
        kept.change = np.empty(g.shape, widened(weight).dtype)
    with np.errstate(all="ignore"):
        if kept.valid:
            cosine = _cosine(*_moved()(widened(weight), widened(kept.weights), kept.change))
            if knows_change:
                found[1] = cosine
            if knows_gradient:
                found[0] = math.degrees(math.acos(_cosine(*_products()(g, kept.gradient))))
            if knows_gradient and "secant_curvature" in wanted:
                found[2:7] = quantiles(_curvature(g, kept.gradient, kept.change))
            if kept.signed and kept.planes is not None and "near_zero_movement" in wanted:
                found[7:] = quantiles(_movement()(g, kept.change, kept.planes[2], tau[0]))
    np.copyto(kept.gradient, g)
    kept.turned, kept.changed = remember, remember and kept.valid
    return found


def warm_up(entries: np.ndarray) -> None:
    """Compile what this type of entries needs."""
    x = widened(entries)
    _products()(x, x)
    _moved()(x, x, x.copy())
    _movement()(x, x, np.zeros(1, np.uint64), x.dtype.type(0))


def quantiles(values: np.ndarray) -> np.ndarray:
    """-> (5,) float64, NaN of nothing; where a value is NaN, so are they."""
    if not len(values):
        return np.full(len(AT), np.nan)
    ordered = np.sort(values)  # of float32 in vector code: a tenth of the time of numpy's own quantiles
    if np.isnan(ordered[-1]):
        return np.full(len(AT), np.nan)
    place = np.array(AT) * (len(values) - 1)
    low, high = (ordered[end(place).astype(int)].astype(np.float64) for end in (np.floor, np.ceil))
    with np.errstate(invalid="ignore"):
        return np.where(low == high, low, low + (high - low) * (place % 1))


def widened(entries: np.ndarray) -> np.ndarray:
    """float32 for 16 bits, otherwise the entries themselves."""
    if entries.dtype == np.uint16:
        return (entries.astype(np.uint32) << 16).view(np.float32)
    return entries.astype(np.float32) if entries.dtype == np.float16 else entries


def _curvature(g: np.ndarray, before: np.ndarray, change: np.ndarray) -> np.ndarray:
    some = slice(None, None, stride(g.size))
    moved = change[some].astype(np.float64)
    curvature = (g[some].astype(np.float64) - before[some])[moved != 0] / moved[moved != 0]
    return curvature[np.isfinite(curvature)]


def _numpy_movement(g: np.ndarray, change: np.ndarray, before: np.ndarray, tau: Any) -> np.ndarray:
    near = np.flatnonzero(np.unpackbits(before.view(np.uint8), count=g.size, bitorder="little"))
    return np.abs(change[near[np.abs(g[near]) <= tau]])


def _cosine(xy: float, xx: float, yy: float) -> float:
    length = math.sqrt(xx) * math.sqrt(yy)
    return min(1.0, max(-1.0, xy / length)) if length > 0 and math.isfinite(length) else math.nan


@cache
def _products() -> Any:
    """(x, y) -> x.y, x.x, y.y summed in float64"""
    try:
        from recorder.analysis.compiled import products
    except ImportError:  # no numba here
        return _numpy_products
    return products


@cache
def _moved() -> Any:
    """(weight, before, change) -> the products of weight - before and the change, which it becomes"""
    try:
        from recorder.analysis.compiled import moved
    except ImportError:  # no numba here
        return _numpy_moved
    return moved


@cache
def _movement() -> Any:
    """(gradient, change, near before, tau) -> |change| of the entries that are near zero and were so before"""
    try:
        from recorder.analysis.compiled import movement
    except ImportError:  # no numba here
        return _numpy_movement
    return movement


def _numpy_products(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    x, y = x.astype(np.float64), y.astype(np.float64)
    return float(np.dot(x, y)), float(np.dot(x, x)), float(np.dot(y, y))


def _numpy_moved(weight: np.ndarray, before: np.ndarray, change: np.ndarray) -> tuple[float, float, float]:
    now = weight - before
    found = _numpy_products(now, change)
    change[:] = now
    return found
