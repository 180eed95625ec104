"""How strongly do layers correlate, in five numbers for each pair of layers?

Of r[a, b] over all units a of layer i and b of layer j that are alive:

    mean        of r, in a layer with itself over the whole matrix, the r = 1 on its diagonal included
    mean_abs    of |r|        rms    sqrt(mean r^2)        max_abs    of |r|
    q95         the 95 % quantile of |r|, exact, between two entries by their distance, as numpy's

All but the mean leave out a unit's correlation with itself and count each pair of a layer's own units once: independent
units then read sqrt(2 / (pi (N - 1))) in mean_abs whether layers are different or the same. NaN where there is no pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Any

import numpy as np

from recorder.analysis import correlation, correlation_tiles
from recorder.analysis.correlation import pairs, standardise
from recorder.analysis.correlation_tiles import parts

QUANTILE = 0.95


@dataclass(frozen=True)
class CorrelationSummary:
    """One number for each pair of layers (in the order of `correlation.pairs`), or for each layer."""

    mean: np.ndarray  # (pair,) float64
    mean_abs: np.ndarray
    rms: np.ndarray
    max_abs: np.ndarray
    q95: np.ndarray
    dead: np.ndarray  # (layer,) int64, how many units
    nonfinite: np.ndarray


def correlation_summary(layers: Sequence[np.ndarray]) -> CorrelationSummary:
    """Of layers given as their features (sample, unit) on the same samples.

    r is computed tile by tile, each read while it is in the cache; no more than a tile of it is there at a time, and of
    each pair of layers the largest 5 % of |r|.
    """
    s = standardise(layers)
    z = s.z if s.alive.all() else s.z[:, s.alive]
    bounds = list(accumulate((int(s.alive[columns].sum()) for columns in s.layers), initial=0))
    sizes = np.diff(bounds)
    found = {(i, j): _Pair(int(sizes[i]), int(sizes[j]), i == j) for i, j in pairs(len(layers))}
    scratch = np.empty(min(correlation_tiles.TILE, z.shape[1]) ** 2, z.dtype)
    for part in parts(z, bounds):
        n, *sums = _survey()(part.tile, *part.rows, *part.columns, part.triangle, scratch)
        found[part.pair].take_in(scratch[:n], sums)
    numbers = np.array([found[pair].numbers for pair in pairs(len(layers))])
    dead, nonfinite = (np.array([mask[c].sum() for c in s.layers]) for mask in (s.dead, s.nonfinite))
    mean, mean_abs, rms, max_abs, q95 = numbers.T
    return CorrelationSummary(mean, mean_abs, rms, max_abs, q95, dead, nonfinite)


def warm_up() -> None:
    """Load what is compiled, for features in float32."""
    correlation.warm_up()
    _survey()(np.zeros((1, 1), np.float32), 0, 1, 0, 1, False, np.zeros(1, np.float32))


class _Pair:
    """What is known of the correlations of two layers."""

    def __init__(self, rows: int, columns: int, itself: bool) -> None:
        self._units = rows
        self._itself = itself
        self._count = rows * (rows - 1) // 2 if itself else rows * columns
        self._sums = np.zeros(3)  # of r, |r|, r^2
        place = QUANTILE * (self._count - 1)
        self._between = place % 1
        self._most = self._count - int(place)  # of the largest |r|, which are kept: the quantile is at their lower end
        self._largest = np.empty(0)

    def take_in(self, magnitudes: np.ndarray, sums: Sequence[float]) -> None:
        """More of them: |r| (entry,), which may be reordered, and the sums of r, |r| and r^2."""
        self._sums += sums
        if len(self._largest):
            magnitudes = np.concatenate([self._largest, magnitudes])
        rest = max(0, len(magnitudes) - self._most)
        if rest:
            magnitudes.partition(rest)
        self._largest = magnitudes[rest:].copy()

    @property
    def numbers(self) -> tuple[float, float, float, float, float]:
        """mean, mean_abs, rms, max_abs, q95"""
        total, total_abs, squares = self._sums
        mean = total / self._count if self._count else np.nan
        if self._itself:  # every r twice, and 1 for each unit
            mean = (2 * total + self._units) / self._units**2 if self._units else np.nan
        if not self._count:
            return mean, np.nan, np.nan, np.nan, np.nan
        low, high = np.partition(self._largest, 1)[:2] if self._most > 1 else self._largest.repeat(2)
        q95 = float(low) + self._between * (float(high) - float(low))
        return mean, total_abs / self._count, np.sqrt(squares / self._count), float(self._largest.max()), q95


@cache
def _survey() -> Any:
    """(r, top, bottom, left, right, triangle, out) -> count, sums; see `compiled_correlation.survey`"""
    try:
        from recorder.analysis.compiled_correlation import survey
    except ImportError:  # no numba here
        return _numpy_survey
    return survey


def _numpy_survey(
    r: np.ndarray, top: int, bottom: int, left: int, right: int, triangle: bool, out: np.ndarray
) -> tuple[int, float, float, float]:
    some = r[top:bottom, left:right]
    entries = some[np.triu_indices(len(some), 1)] if triangle else some.ravel()
    np.minimum(np.abs(entries), 1, out=out[: entries.size])
    wide = out[: entries.size].astype(np.float64)
    return entries.size, entries.sum(dtype=np.float64), wide.sum(), np.square(wide).sum()
