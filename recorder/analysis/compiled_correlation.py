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

SQUARE = 16  # units: of float32 a line of the cache


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
        _sums_and_ranges(x, first, end, mean, low, high)
        for b in range(end - first):
            least, most = np.float64(low[b]), np.float64(high[b])
            finite = np.isfinite(mean[b]) and np.isfinite(most - least)
            nonfinite[first + b] = not finite
            dead[first + b] = finite and most - least <= max(eps * max(abs(least), abs(most)), TINY)
            mean[b] /= samples
            if finite and not dead[first + b]:
                scale[b] = 1 / (most - least)  # no square over- or underflows
        _squares(x, first, end, mean, scale, squares)
        for b in range(end - first):
            if scale[b] > 0:
                scale[b] /= sqrt(squares[b])
        _scaled(x, first, end, mean, scale, z, begin)
        for b in range(end - first):
            if scale[b] == 0:
                z[:, begin + first + b] = 0


@jit()
def place(r: Any, top: Any, bottom: Any, left: Any, right: Any, out: Any, row: Any, column: Any) -> None:
    """Copy r[top:bottom, left:right], from -1 to 1, to where (row, column) is its first entry in out."""
    one = r.dtype.type(1)
    for a in range(bottom - top):
        entries, to = r[top + a, left:right], out[row + a, column : column + right - left]
        for b in range(entries.size):
            to[b] = max(min(entries[b], one), -one)


@jit()
def mirror(r: Any) -> None:
    """Copy the upper triangle of r (unit, unit) into the lower one, rows into columns of as many."""
    n = len(r)
    for top in range(0, n, SQUARE):
        end = min(top + SQUARE, n)
        for a in range(top, end):
            for b in range(top, a):
                r[a, b] = r[b, a]
        for a in range(end, n):  # only of a full square: how many is known to the compiler
            row = r[a, top:end]
            for b in range(SQUARE):
                row[b] = r[top + b, a]


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
def _sums_and_ranges(x: Any, first: Any, end: Any, total: Any, low: Any, high: Any) -> None:
    for a in range(len(x)):
        row = x[a, first:end]
        for b in range(row.size):
            v = row[b]
            total[b] += v
            low[b] = v if v < low[b] else low[b]
            high[b] = v if v > high[b] else high[b]


@jit(fastmath={"reassoc", "contract"})
def _squares(x: Any, first: Any, end: Any, mean: Any, scale: Any, squares: Any) -> None:
    for a in range(len(x)):
        row = x[a, first:end]
        for b in range(row.size):
            v = (row[b] - mean[b]) * scale[b]
            squares[b] += v * v


@jit(fastmath={"reassoc", "contract"})
def _scaled(x: Any, first: Any, end: Any, mean: Any, scale: Any, z: Any, begin: Any) -> None:
    for a in range(len(x)):
        row, out = x[a, first:end], z[a, begin + first : begin + end]
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
