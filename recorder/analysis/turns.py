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
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

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


def gradient_angle(gradient: np.ndarray, weight: np.ndarray, kept: Kept, tau: np.ndarray) -> float:  # noqa: ARG001
    assert kept.gradient is not None
    return float(np.degrees(np.arccos(_cosine(widened(gradient), kept.gradient))))


def update_cosine(gradient: np.ndarray, weight: np.ndarray, kept: Kept, tau: np.ndarray) -> float:  # noqa: ARG001
    assert kept.change is not None
    return _cosine(_change(weight, kept), kept.change)


def secant_curvature(gradient: np.ndarray, weight: np.ndarray, kept: Kept, tau: np.ndarray) -> np.ndarray:  # noqa: ARG001
    assert kept.gradient is not None
    some = slice(None, None, stride(gradient.size))
    change = _change(weight, kept)[some].astype(np.float64)
    with np.errstate(all="ignore"):
        difference = widened(gradient[some]).astype(np.float64) - kept.gradient[some]
        curvature = difference[change != 0] / change[change != 0]
    return quantiles(curvature[np.isfinite(curvature)])


def near_zero_movement(gradient: np.ndarray, weight: np.ndarray, kept: Kept, tau: np.ndarray) -> np.ndarray:
    assert kept.planes is not None
    near = np.unpackbits(kept.planes[2].view(np.uint8), count=gradient.size, bitorder="little").astype(bool)
    return quantiles(np.abs(_change(weight, kept)[near & (np.abs(widened(gradient)) <= tau[0])]))


# the definitions, which the compiled pass must equal
OF: Mapping[str, Callable[[np.ndarray, np.ndarray, Kept, np.ndarray], float | np.ndarray]] = {
    "gradient_angle": gradient_angle,
    "update_cosine": update_cosine,
    "secant_curvature": secant_curvature,
    "near_zero_movement": near_zero_movement,
}


def remember(gradient: np.ndarray, weight: np.ndarray, kept: Kept) -> None:
    """What the next update is compared with, but for the weights."""
    assert kept.gradient is not None
    assert kept.change is not None
    kept.gradient[:] = widened(gradient)
    kept.change[:] = _change(weight, kept)  # of weights that are not valid it is never looked at


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


def _change(weight: np.ndarray, kept: Kept) -> np.ndarray:
    with np.errstate(all="ignore"):
        return widened(weight) - widened(kept.weights)


def _cosine(x: np.ndarray, y: np.ndarray) -> float:
    x, y = x.astype(np.float64), y.astype(np.float64)
    with np.errstate(all="ignore"):
        length = math.sqrt(np.dot(x, x)) * math.sqrt(np.dot(y, y))
        return min(1.0, max(-1.0, np.dot(x, y) / length)) if 0 < length < math.inf else math.nan
