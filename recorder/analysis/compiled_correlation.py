"""The numbers of `correlation` and `correlation_summary` at memory speed, compiled by numba.

Sums run in float64 and in a free order (`reassoc`), so they agree with numpy to rounding. Rows are taken of arrays in C
order, so that the compiler knows them to be contiguous.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from recorder.analysis.compiled import jit

TINY = np.finfo(np.float64).tiny  # of less there is no 1 / x
COLUMNS = 256  # units at a time: all their samples stay in the second-level cache while they are read three times

SQUARE = 8  # units: columns a power of two apart share few lines of the cache


@jit(fastmath={"reassoc", "contract"})
def standardise(x: Any, z: Any, begin: Any, dead: Any, nonfinite: Any, eps: Any) -> None:
    """Fill the columns of z (sample, unit of all layers) from `begin` on with the features x (sample, unit).

    There is at least one sample; `dead` and `nonfinite` (unit,) are filled as well. See `correlation.standardise`.
    """
    samples, units = x.shape
    for first in range(0, units, COLUMNS):
        end = min(first + COLUMNS, units)
        low, high = x[0, first:end].copy(), x[0, first:end].copy()
        mean, scale, squares = np.zeros(end - first), np.zeros(end - first), np.zeros(end - first)
        for a in range(samples):
            _sum_and_range(x[a, first:end], mean, low, high)
        for b in range(end - first):
            least, most = np.float64(low[b]), np.float64(high[b])
            finite = np.isfinite(mean[b]) and np.isfinite(most - least)
            nonfinite[first + b] = not finite
            dead[first + b] = finite and most - least <= max(eps * max(abs(least), abs(most)), TINY)
            mean[b] /= samples
            if finite and not dead[first + b]:
                scale[b] = 1 / (most - least)  # no square over- or underflows
        for a in range(samples):
            _add_squares(x[a, first:end], mean, scale, squares)
        for b in range(end - first):
            if scale[b] > 0:
                scale[b] /= sqrt(squares[b])
        for a in range(samples):
            _scale(x[a, first:end], mean, scale, z[a, begin + first : begin + end])
        for b in range(end - first):
            if scale[b] == 0:
                z[:, begin + first + b] = 0


@jit()
def mirror(r: Any) -> None:
    """Copy the upper triangle of r (unit, unit) into the lower one, square by square."""
    n = len(r)
    for top in range(0, n, SQUARE):
        for left in range(0, top + 1, SQUARE):
            for a in range(top, min(top + SQUARE, n)):
                for b in range(left, min(left + SQUARE, a)):
                    r[a, b] = r[b, a]


@jit()
def survey(r: Any, top: Any, bottom: Any, left: Any, right: Any, triangle: Any, out: Any) -> Any:
    """Of r[top:bottom, left:right], or of what is right of its diagonal: |r|, at most 1, into out; how many, and sums.

    -> count, sum r, sum |r|, sum r^2
    """
    n = 0
    total = total_abs = total_squares = 0.0
    one = r.dtype.type(1)
    for a in range(top, bottom):
        begin = left + a - top + 1 if triangle else left
        row, magnitudes = r[a, begin:right], out[n : n + right - begin]
        _magnitudes(row, magnitudes, one)
        total += _sum(row)
        more, squares = _sum_and_squares(magnitudes)
        total_abs += more
        total_squares += squares
        n += right - begin
    return n, total, total_abs, total_squares


@jit(fastmath={"reassoc", "contract"})
def _sum_and_range(row: Any, total: Any, low: Any, high: Any) -> None:
    for b in range(row.size):
        v = row[b]
        total[b] += v
        low[b] = v if v < low[b] else low[b]
        high[b] = v if v > high[b] else high[b]


@jit(fastmath={"reassoc", "contract"})
def _add_squares(row: Any, mean: Any, scale: Any, squares: Any) -> None:
    for b in range(row.size):
        v = (row[b] - mean[b]) * scale[b]
        squares[b] += v * v


@jit(fastmath={"reassoc", "contract"})
def _scale(row: Any, mean: Any, scale: Any, out: Any) -> None:
    for b in range(row.size):
        out[b] = (row[b] - mean[b]) * scale[b]


@jit()
def _magnitudes(row: Any, out: Any, most: Any) -> None:
    for b in range(row.size):
        out[b] = min(abs(row[b]), most)


@jit(fastmath={"reassoc", "contract"})
def _sum(row: Any) -> Any:
    total = 0.0
    for b in range(row.size):
        total += np.float64(row[b])
    return total


@jit(fastmath={"reassoc", "contract"})
def _sum_and_squares(row: Any) -> Any:
    total = squares = 0.0
    for b in range(row.size):
        v = np.float64(row[b])
        total += v
        squares += v * v
    return total, squares
