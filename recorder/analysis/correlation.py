"""How do the units of layers correlate, within a layer and between layers, on a fixed batch?

    r[a, b] = sum_n z[n, a] z[n, b]        z = (x - mean x) / ||x - mean x||, unit by unit

Pearson's r of every unit of every layer with every other: one standardisation, with sums in float64, and one symmetric
matrix product of all layers side by side, in float32 (in float64 where a layer is). Of it only the half i <= j is
computed, tile by tile. The r of a unit that is dead or not finite (see `features`) is 0, with itself too, where all
others have 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, pairwise
from math import nan, pi, sqrt
from typing import Any

import numpy as np

from recorder.analysis.correlation_tiles import parts
from recorder.analysis.features import rounding, within_rounding


@dataclass(frozen=True)
class Standardised:
    """Layers side by side, each unit with mean 0 and length 1; units that are not alive are 0."""

    z: np.ndarray  # (sample, unit of all layers), C order
    bounds: tuple[int, ...]  # where each layer begins, and the end
    dead: np.ndarray  # (unit of all layers,) bool
    nonfinite: np.ndarray

    @property
    def layers(self) -> tuple[slice, ...]:
        """The columns of each layer."""
        return tuple(slice(a, b) for a, b in pairwise(self.bounds))

    @property
    def alive(self) -> np.ndarray:
        return ~(self.dead | self.nonfinite)


@dataclass(frozen=True)
class Correlations:
    """Of every pair of layers."""

    of: Mapping[tuple[int, int], np.ndarray]  # (i, j) of all `pairs` -> (unit of layer i, unit of layer j)
    standardised: Standardised

    def block(self, i: int, j: int) -> np.ndarray:
        """-> (unit of layer i, unit of layer j)"""
        return self.of[i, j] if i <= j else self.of[j, i].T

    def blocks(self) -> Iterator[tuple[int, int, np.ndarray]]:
        """(i, j, block) of all `pairs`."""
        return ((i, j, block) for (i, j), block in self.of.items())


def pairs(layers: int) -> Iterator[tuple[int, int]]:
    """(i, j) of i <= j < layers: (0, 0), (0, 1), (1, 1), (0, 2), ... the order of `layer_pairs`."""
    return ((i, j) for j in range(layers) for i in range(j + 1))


def cross_correlation(layers: Sequence[np.ndarray]) -> Correlations:
    """Pearson's r of all units of all layers, each given as its features (sample, unit) on the same samples.

    Within 1e-6 of `numpy.corrcoef` in float64, 1e-5 in float32. A single sample has no r: every unit is dead.

    Raises:
        ValueError: the layers are not (sample, unit) with as many samples each.
    """
    s = standardise(layers)
    found = _room({(i, j): (layers[i].shape[1], layers[j].shape[1]) for i, j in pairs(len(layers))}, s.z.dtype)
    _, place, mirror = _passes()
    for part in parts(s.z, s.bounds):
        place(part.tile, *part.rows, *part.columns, found[part.pair], *part.at)
    for k, columns in enumerate(s.layers):
        mirror(found[k, k])
        np.fill_diagonal(found[k, k], s.alive[columns])
    return Correlations(found, s)


def standardise(layers: Sequence[np.ndarray]) -> Standardised:
    """Layers side by side, of their features (sample, unit); see the head of this file."""
    shapes = [x.shape for x in layers]
    if not layers or any(len(shape) != 2 for shape in shapes) or len({shape[0] for shape in shapes}) > 1:
        raise ValueError(f"correlation: expected features (sample, unit) of the same samples, got the shapes {shapes}")
    if any(x.dtype.kind not in "fiub" or x.dtype.itemsize > 8 for x in layers):
        raise ValueError(f"correlation: expected real numbers up to float64, got {[x.dtype.name for x in layers]}")
    bounds = tuple(accumulate((shape[1] for shape in shapes), initial=0))
    dtype = np.result_type(*layers, np.float32)
    z = np.empty((shapes[0][0], bounds[-1]), dtype)
    dead, nonfinite = np.ones(bounds[-1], bool), np.zeros(bounds[-1], bool)
    fill, _, _ = _passes()
    for x, (begin, end) in zip(layers, pairwise(bounds), strict=True):
        if x.size:
            own = dead[begin:end], nonfinite[begin:end]
            fill(np.ascontiguousarray(x, dtype), z, begin, *own, rounding(x.dtype))
    return Standardised(z, bounds, dead, nonfinite)


def sample_correlation(x: np.ndarray) -> np.ndarray:
    """-> (sample, sample) float64: Pearson's r of the rows of the features `x` (sample, unit).

    A sample on which all units agree, or one that is not finite, has r = 0. The representational dissimilarity matrix
    is 1 - r (Kriegeskorte, Mur, Bandettini 2008).
    """
    return cross_correlation([np.ascontiguousarray(x.T, np.float64)]).block(0, 0)


def defined(r: np.ndarray) -> np.ndarray:
    """Correlations of one set with itself, with NaN where one has none: r = 0 with itself too."""
    dead = np.diagonal(r) == 0
    return np.where(dead[:, None] | dead[None, :], np.nan, r)


def noise_floor(samples: int) -> float:
    """E |r| of two independent units: sqrt(2 / (pi (N - 1))) of N samples; NaN of fewer than two."""
    return sqrt(2 / (pi * (samples - 1))) if samples > 1 else nan


def warm_up() -> None:
    """Load what is compiled, for features in float32."""
    cross_correlation([np.zeros((1, 1), np.float32)])


def _room(shapes: Mapping[tuple[int, int], tuple[int, int]], dtype: np.dtype) -> dict[tuple[int, int], np.ndarray]:
    """An array for each pair, side by side: large memory is had in large pages, many small pieces are not."""
    ends = list(accumulate((a * b for a, b in shapes.values()), initial=0))
    room = np.empty(ends[-1], dtype)
    return {
        pair: room[begin:end].reshape(shape)
        for (pair, shape), (begin, end) in zip(shapes.items(), pairwise(ends), strict=True)
    }


@cache
def _passes() -> tuple[Any, Any, Any]:
    """standardise, place and mirror, see `compiled_correlation`"""
    try:
        from recorder.analysis.compiled_correlation import mirror, place, standardise
    except ImportError:  # no numba here
        return _numpy_standardise, _numpy_place, _numpy_mirror
    return standardise, place, mirror


def _numpy_place(
    r: np.ndarray, top: int, bottom: int, left: int, right: int, out: np.ndarray, row: int, column: int
) -> None:
    some = r[top:bottom, left:right]
    np.clip(some, -1, 1, out=out[row : row + some.shape[0], column : column + some.shape[1]])


def _numpy_mirror(r: np.ndarray) -> None:
    for a in range(1, len(r)):  # three times as fast as by indices
        r[a, :a] = r[:a, a]


def _numpy_standardise(
    x: np.ndarray, z: np.ndarray, begin: int, dead: np.ndarray, nonfinite: np.ndarray, eps: float
) -> None:
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64)
        mean, low, high = wide.mean(axis=0), wide.min(axis=0), wide.max(axis=0)
        nonfinite[:] = ~(np.isfinite(mean) & np.isfinite(high - low))
        dead[:] = ~nonfinite & within_rounding(low, high, eps)
        wide = (wide - mean) / (high - low)  # no square over- or underflows
        wide /= np.sqrt(np.square(wide).sum(axis=0))
    wide[:, dead | nonfinite] = 0
    z[:, begin : begin + x.shape[1]] = wide
