"""What do the units of a layer do on the probe batch: their level, spread, zeros, dead and saturated units?

    mean, std       over all numbers (std unbiased: divided by n - 1)
    zero            how many numbers are exactly 0
    nonfinite       how many are NaN or infinite; mean and std are then NaN or infinite too
    dead            units (features, channels) with one and the same value on every sample and at every position
    saturated       numbers within 5 % of a bound of the layer's range, for sigmoid- and tanh-like layers

Input is (sample, unit, ...). Counts are integers; a share is count / numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

# bounds of layers that saturate, by the class name of the module
BOUNDS: Mapping[str, tuple[float, float]] = {
    "Sigmoid": (0.0, 1.0),
    "Hardsigmoid": (0.0, 1.0),
    "Tanh": (-1.0, 1.0),
    "Hardtanh": (-1.0, 1.0),
    "Softsign": (-1.0, 1.0),
}
NEAR = 0.05  # of the range


@dataclass(frozen=True)
class ActivationStatistics:
    """One layer on one probe batch."""

    mean: float
    std: float
    zero: int
    nonfinite: int
    dead: int
    saturated: int | None  # None where the layer has no bounds
    numbers: int
    units: int


def activation_statistics(activations: np.ndarray, kind: str = "") -> ActivationStatistics:
    """Of one layer's `activations` (sample, unit, ...); `kind` is the class name of its module."""
    units = activations.shape[1] if activations.ndim > 1 else 1
    x = activations.reshape(len(activations), units, prod(activations.shape[2:]))
    n = x.size
    if n == 0:
        return ActivationStatistics(np.nan, np.nan, 0, 0, 0, None, 0, units)
    with np.errstate(all="ignore"):  # numbers that are not finite make mean and std honest, not noisy
        mean = x.mean(dtype=np.float64)
        std = np.sqrt(np.square(x - mean, dtype=np.float64).sum() / (n - 1)) if n > 1 else np.nan
    saturated = None
    if kind in BOUNDS:
        low, high = BOUNDS[kind]
        margin = NEAR * (high - low)
        saturated = int(np.count_nonzero(x <= low + margin) + np.count_nonzero(x >= high - margin))
    return ActivationStatistics(
        mean=float(mean),
        std=float(std),
        zero=n - int(np.count_nonzero(x)),
        nonfinite=n - int(np.count_nonzero(np.isfinite(x))),
        dead=int(np.count_nonzero(x.max(axis=(0, 2)) == x.min(axis=(0, 2)))),
        saturated=saturated,
        numbers=n,
        units=units,
    )
