"""The numbers of `statistics` and `histogram` at memory speed: one pass over a tensor, compiled by numba.

The pass walks a tensor in tiles so short that the processor asks for the next one's memory while it computes this one.
Each statistic is a small loop over a tile, which the compiler turns into vector code; main memory is read once however
many statistics are wanted. One more statistic is one more flag and one more loop.

A tile takes tens of nanoseconds, so nothing happens there but arithmetic: the loops are written into the pass
(`inlined`), they index whole arrays by unsigned numbers, which need no check for negative ones, and no array is sliced,
which would count its references with every processor waiting.

Sums run in float64 and in a free order (`reassoc`), so they agree with numpy to rounding. NaN and infinity keep their
meaning: no other fast-math licence is given. Counts are exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import overload

from recorder.analysis.addresses import pointer
from recorder.analysis.averages import DECAY, SHARE
from recorder.analysis.histogram import CENTRE, COLUMNS, HALF_OCTAVES, NAN
from recorder.analysis.signs import COMPARED
from recorder.analysis.statistics import (
    ANGLE,
    AVERAGE_GRADIENT_AT,
    AVERAGE_WEIGHT_AT,
    AVERAGES,
    BEGINS,
    CHANGE,
    CHANGE_AT,
    COMPARES,
    COSINE,
    CURVATURE,
    GRADIENT,
    GRADIENT_AT,
    GRADIENT_BEFORE_AT,
    GRADIENT_BINS,
    GRADIENT_SIZE,
    HISTOGRAMS,
    KEEP,
    KEPT_AT,
    KNOWN,
    MOVEMENT,
    NEAR,
    NORMS,
    OF_SIGNS,
    PLANES_AT,
    POSITION,
    RELATIVE,
    REMEMBER,
    SIGNS,
    SIZE,
    STRIDE,
    TURNS,
    UPDATE,
    UPDATE_BINS,
    WANT,
    WEIGHT,
    WEIGHT_AT,
    WEIGHT_BINS,
    ZEROS,
)
from recorder.analysis.words import WORD, above, below, ones, within

TILE = np.uint64(256)  # entries
TURNING = np.uint64(128)  # of a tile where gradient and update before are kept as well: more arrays, less of each
LANES = np.uint64(4)  # tables of counts filled in turn: a run of equal columns would wait for its own last write
ZERO, ONE, TWO, THREE, BITS = (np.uint64(k) for k in (0, 1, 2, 3, WORD))

BFLOAT16, FLOAT16 = range(2)  # how 16 bits are read

BEYOND = len(HALF_OCTAVES)  # the rank of 2^10 and more
FIRST = 1 - HALF_OCTAVES.start  # the rank of magnitudes from 1 to sqrt(2) is FIRST
# the mantissa bits missing from sqrt(2) to 2: added to a number's bits, they carry into the exponent from sqrt(2) on
CARRY_32 = np.uint32(0x800000 - 0x3504F4)
CARRY_64 = 0x10000000000000 - 0x6A09E667F3BCD


def jit(**options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
        try:
            return numba.njit(cache=True, nogil=True, error_model="numpy", **options)(function)
        except RuntimeError:  # there is no writable place for the cache
            return numba.njit(nogil=True, error_model="numpy", **options)(function)

    return compiled


inlined: Callable[[Callable[..., Any]], Any] = numba.njit(nogil=True, error_model="numpy", inline="always")


def _by_type(function: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    found: Callable[[Callable[..., Any]], Callable[..., Any]] = overload(function, inline="always")
    return found


# x, y: arrays whose n entries from `at` on are meant; before, average: others, of which it is those from `start` on


@inlined
def _square_sum(x: Any, at: Any, n: Any) -> Any:
    total = 0.0
    for j in range(n):
        value = np.float64(x[at + j])
        total += value * value
    return total


@inlined
def _moved(x: Any, y: Any, at: Any, n: Any, floats: Any, i: Any) -> None:
    """Add x.x and (x - y).(x - y) to the squares of weight and update."""
    xx = distance = 0.0
    for j in range(n):
        a, b = np.float64(x[at + j]), np.float64(y[at + j])
        xx += a * a
        distance += (a - b) * (a - b)
    floats[i, 1] += xx
    floats[i, 2] += distance


@inlined
def _turned(x: Any, at: Any, before: Any, start: Any, n: Any, sums: Any, which: Any) -> None:
    """Add x.y, x.x and y.y, y being what x was before."""
    xy = xx = yy = 0.0
    for j in range(n):
        a, b = np.float64(x[at + j]), np.float64(before[start + j])
        xy += a * b
        xx += a * a
        yy += b * b
    sums[which, 0] += xy
    sums[which, 1] += xx
    sums[which, 2] += yy


@jit()
def _cosine(xy: Any, xx: Any, yy: Any) -> Any:
    """Of two vectors, see `turns`."""
    length = np.sqrt(xx) * np.sqrt(yy)
    return min(1.0, max(-1.0, xy / length)) if 0 < length < np.inf else np.nan


@inlined
def _curvatures(
    gradient: Any, at: Any, change: Any, before: Any, start: Any, n: Any, step: Any, found: Any, end: Any
) -> Any:
    """Put those of every `step`-th entry of the tensor behind the `end` that are found; -> how many there are then."""
    for j in range((step - start % step) % step, n, step):
        if change[j] != 0:
            curvature = (np.float64(gradient[at + j]) - np.float64(before[start + j])) / np.float64(change[j])
            if np.isfinite(curvature):
                found[end] = curvature
                end += ONE
    return end


@jit()
def _movement(
    gradient: Any, at: Any, n: Any, change: Any, planes: Any, word: Any, tau: Any, found: Any, end: Any
) -> Any:
    """The same of |change| of the entries that are at most tau from zero and were so before."""
    for first in range(ZERO, n, BITS):
        near = planes[2, word]
        if near and first + BITS <= n:
            near &= within(gradient, tau, at + first)
        if near:
            for j in range(first, min(first + BITS, n)):
                found[end] = abs(change[j])
                end += near & np.uint64(abs(gradient[at + j]) <= tau)
                near >>= ONE
        word += ONE
    return end


@jit(fastmath=False)  # said, as it were inherited: an average is the same number everywhere, signs are taken of it
def _blend(average: Any, other: Any, start: Any, x: Any, y: Any, at: Any, n: Any) -> None:
    """The averages of x and y take them in, see `averages`."""
    for j in range(n):
        average[start + j] = DECAY * np.float64(average[start + j]) + SHARE * np.float64(x[at + j])
        other[start + j] = DECAY * np.float64(other[start + j]) + SHARE * np.float64(y[at + j])


@inlined
def _copy(x: Any, at: Any, out: Any, start: Any, n: Any) -> None:
    for j in range(n):  # a slice assignment would first look for overlap
        out[start + j] = x[at + j]


@inlined
def _subtract(x: Any, y: Any, at: Any, n: Any, out: Any) -> None:
    for j in range(n):
        out[j] = x[at + j] - y[at + j]


@jit()
def _nonfinite(x: Any, at: Any, n: Any) -> Any:
    found = 0
    for j in range(n):
        found += not np.isfinite(x[at + j])
    return found


def _columns(x: Any, at: Any, n: Any, out: Any) -> None:
    """Where each entry belongs in a `histogram`."""


@_by_type(_columns)
def _columns_of(x: Any, at: Any, n: Any, out: Any) -> Any:  # noqa: ARG001  numba looks at the types
    def of_32_bits(x: Any, at: Any, n: Any, out: Any) -> None:
        for j in range(n):
            b = np.float32(x[at + j]).view(np.uint32)
            a = np.uint32(b & np.uint32(0x7FFFFFFF))
            octaves = np.int32(a >> np.uint32(23)) + np.int32(np.uint32(a + CARRY_32) >> np.uint32(23))
            rank: Any = np.int32(octaves + (FIRST - 2 * 127))
            rank = np.int32(max(min(rank, np.int32(BEYOND)), np.int32(0)))  # 32 bits throughout: twice as many at once
            side = np.int32(b) >> np.int32(31)  # -1 of what is below zero: then (rank ^ side) - side is -rank
            column = np.int32(CENTRE) + ((rank ^ side) - side)
            out[j] = column + (-np.int32(a > np.uint32(0x7F800000)) & (np.int32(NAN) - column))

    def of_64_bits(x: Any, at: Any, n: Any, out: Any) -> None:
        for j in range(n):
            b = np.float64(x[at + j]).view(np.uint64)
            a = b & np.uint64(0x7FFFFFFFFFFFFFFF)
            rank: Any = (
                np.int64(a >> np.uint64(52)) + np.int64((a + np.uint64(CARRY_64)) >> np.uint64(52)) + FIRST - 2 * 1023
            )
            rank = max(min(rank, BEYOND), 0)
            side = np.int64(b) >> np.int64(63)
            column = np.int64(CENTRE) + ((rank ^ side) - side)
            out[j] = column + (-np.int64(a > np.uint64(0x7FF0000000000000)) & (np.int64(NAN) - column))

    return of_32_bits if x.dtype.bitwidth == 32 else of_64_bits


@inlined
def _tally(x: Any, at: Any, n: Any, columns: Any, counts: Any, which: Any) -> None:
    """Add the entries to `counts` (which, LANES, COLUMNS)."""
    _columns(x, at, n, columns)
    whole = n - n % LANES
    for j in range(ZERO, whole, LANES):
        counts[which, ZERO, columns[j]] += 1
        counts[which, ONE, columns[j + ONE]] += 1
        counts[which, TWO, columns[j + TWO]] += 1
        counts[which, THREE, columns[j + THREE]] += 1
    for j in range(whole, n):
        counts[which, ZERO, columns[j]] += 1


@jit()
def sign_codes(g: Any, tau: Any, out: Any) -> None:
    """`signs.packed(signs.codes(g, tau))` into out (byte,)."""
    zero = g.dtype.type(0)
    whole = g.size // 4
    for j in range(whole):
        byte: Any = 0
        for k in range(4):
            x = g[4 * j + k]
            near = np.uint8(abs(x) <= tau)
            byte |= (near * (np.uint8(3) - np.uint8(2) * np.uint8(x < zero) - np.uint8(x > zero))) << (2 * k)
        out[j] = byte
    if 4 * whole < g.size:
        byte = 0
        for k in range(g.size - 4 * whole):
            x = g[4 * whole + k]
            near = np.uint8(abs(x) <= tau)
            byte |= (near * (np.uint8(3) - np.uint8(2) * np.uint8(x < zero) - np.uint8(x > zero))) << (2 * k)
        out[whole] = byte


@inlined
def _word(
    gradient: Any, weight: Any, kept: Any, at: Any, planes: Any, word: Any, tau: Any, counts: Any, i: Any
) -> None:
    """The next 64 entries of `signs.add_counts`."""
    zero = gradient.dtype.type(0)
    positive, negative = above(gradient, zero, at), below(gradient, zero, at)
    near, tight = within(gradient, tau[0], at), within(gradient, tau[1], at)
    up, down = above(weight, kept, at), below(weight, kept, at)
    rising, falling = positive & planes[1, word], negative & planes[0, word]
    retained = near & planes[2, word]
    released = planes[2, word] & ~near
    planes[0, word], planes[1, word], planes[2, word] = positive, negative, near
    flips = rising | falling
    minima, maxima = (rising & up) | (falling & down), (rising & down) | (falling & up)
    counts[i, OF_SIGNS] += ones(near)
    counts[i, OF_SIGNS + 1] += ones(tight)
    counts[i, OF_SIGNS + 2] += ones(retained)
    counts[i, OF_SIGNS + 3] += ones(released)
    counts[i, OF_SIGNS + 4] += ones(flips & retained)
    counts[i, OF_SIGNS + 5] += ones(minima & retained)
    counts[i, OF_SIGNS + 6] += ones(maxima & retained)
    counts[i, OF_SIGNS + 7] += ones(flips)
    counts[i, OF_SIGNS + 8] += ones(minima)
    counts[i, OF_SIGNS + 9] += ones(maxima)


@jit()
def _decode(bits: Any, at: Any, n: Any, layout: Any, out: Any) -> None:
    """16-bit floats -> float32, exactly."""
    wide = out.view(np.uint32)
    if layout == BFLOAT16:
        for j in range(n):
            wide[j] = np.uint32(bits[at + j]) << np.uint32(16)
        return
    for j in range(n):
        b = np.uint32(bits[at + j])
        magnitude = b & np.uint32(0x7FFF)
        if magnitude >= np.uint32(0x7C00):  # infinity and NaN
            wide[j] = (np.uint32(magnitude) << np.uint32(13)) | np.uint32(0x7F800000)
        else:  # shifted into place it is a float32 that is 2^112 times too small; subnormal numbers too
            wide[j] = np.uint32(magnitude) << np.uint32(13)
            out[j] *= np.float32(2.0**112)
        wide[j] |= (b & np.uint32(0x8000)) << np.uint32(16)


def _floats(x: Any, start: Any, n: Any, layout: Any, wanted: Any, wide: Any) -> Any:
    """Where a tile's entries stand as floats: -> an array, and from where on there.

    They are in place as they are; of 16 bits, widened into `wide` if that is wanted.
    """


@_by_type(_floats)
def _floats_of(x: Any, start: Any, n: Any, layout: Any, wanted: Any, wide: Any) -> Any:  # noqa: ARG001
    def as_they_are(x: Any, start: Any, n: Any, layout: Any, wanted: Any, wide: Any) -> Any:  # noqa: ARG001
        return x, start

    def widened(x: Any, start: Any, n: Any, layout: Any, wanted: Any, wide: Any) -> Any:
        if wanted:
            _decode(x, start, n, layout, wide)
        return wide, ZERO

    return as_they_are if isinstance(x.dtype, types.Float) else widened


@jit(fastmath={"reassoc", "contract"})
def fused(
    like: Any, layout: Any, rows: Any, floats: Any, integers: Any, counts: Any, tau: Any, relative_tau: Any,
    found: Any, ends: Any,
) -> None:  # fmt: skip
    """One pass over each tensor of `rows`: fills its row of the table, and writes what is to be kept of it.

    like      an array of the entries' type: float32, float64, or uint16, of which `layout` says how they are read
    rows      (update, number) int64, see `statistics.ROW`
    floats    (tensor, number) float64: first the squares of `statistics.NORMS`, then angle and cosine of `turns`
    integers  (tensor, number) int64, see `statistics.INTEGERS`
    counts    (tensor, 3, COLUMNS) int64 of gradient, weights and update; (0, 3, COLUMNS) where no histogram is wanted
    tau       (2,) of the float type that entries are compared in, see `signs`; relative_tau: see `statistics`
    found     the curvatures and the movements of all tensors, one behind the other, with room for as many as there may
              be: float64, and the type of tau; ends (update, 2) int64: where those of a row end; (0, 2) without any
    """
    wide, rest = np.empty((3, TILE), tau.dtype), np.empty((3, WORD), tau.dtype)
    wide_gradient, wide_weight, wide_kept = wide[0], wide[1], wide[2]
    last_gradient, last_weight, last_kept = rest[0], rest[1], rest[2]
    change, columns = np.empty(TILE, tau.dtype), np.empty(TILE, np.uint8)
    lanes = np.zeros((len(HISTOGRAMS), LANES, COLUMNS), np.int64)
    sums, words = np.zeros((2, 3)), np.empty(0, np.uint64)
    curves, moves = found
    curves_end = moves_end = ZERO
    for r in range(len(rows)):
        row = rows[r]
        i, want, entries = row[POSITION], row[WANT], row[SIZE]
        g = numba.carray(pointer(row[GRADIENT_AT], like), row[GRADIENT_SIZE])
        w = numba.carray(pointer(row[WEIGHT_AT], like), entries)
        k = numba.carray(pointer(row[KEPT_AT], like), entries)
        planes = numba.carray(pointer(row[PLANES_AT], words), (3, -(-entries // WORD)))
        mean_gradient = numba.carray(pointer(row[AVERAGE_GRADIENT_AT], tau), entries)
        mean_weight = numba.carray(pointer(row[AVERAGE_WEIGHT_AT], tau), entries)
        gradient_before = numba.carray(pointer(row[GRADIENT_BEFORE_AT], tau), entries)
        change_before = numba.carray(pointer(row[CHANGE_AT], tau), entries)
        floats[i, : len(NORMS)] = 0.0
        integers[i] = 0
        stored, size, step = np.uint64(g.size), np.uint64(entries), np.uint64(row[STRIDE])
        tile = TURNING if want & TURNS else TILE
        for start in range(ZERO, max(stored, size), tile):
            m = min(tile, stored - start) if start < stored else ZERO  # gradients that are stored
            n = min(tile, size - start) if start < size else ZERO
            gradient, at = _floats(
                g, start, m, layout, want & (GRADIENT | GRADIENT_BINS | SIGNS | AVERAGES | TURNS), wide_gradient
            )
            weight, at = _floats(
                w, start, n, layout, want & (WEIGHT | WEIGHT_BINS | UPDATE | SIGNS | AVERAGES | CHANGE), wide_weight
            )
            kept, at = _floats(k, start, n, layout, want & (UPDATE | SIGNS | CHANGE), wide_kept)
            if want & CHANGE:
                _subtract(weight, kept, at, n, change)
            if want & ANGLE:
                _turned(gradient, at, gradient_before, start, n, sums, 0)
            if want & COSINE:
                _turned(change, ZERO, change_before, start, n, sums, 1)
            if want & CURVATURE:
                curves_end = _curvatures(gradient, at, change, gradient_before, start, n, step, curves, curves_end)
            if want & MOVEMENT:
                moves_end = _movement(gradient, at, n, change, planes, start // BITS, tau[0], moves, moves_end)
            if want & REMEMBER:
                _copy(gradient, at, gradient_before, start, n)
                if want & CHANGE:
                    _copy(change, ZERO, change_before, start, n)
            if want & SIGNS:
                whole = n - n % BITS
                for j in range(ZERO, whole, BITS):
                    _word(gradient, weight, kept, at + j, planes, (start + j) // BITS, tau, integers, i)
                if whole < n:  # the rest stands before NaN, which is in no set
                    rest[:] = np.nan
                    _copy(gradient, at + whole, last_gradient, ZERO, n - whole)
                    _copy(weight, at + whole, last_weight, ZERO, n - whole)
                    _copy(kept, at + whole, last_kept, ZERO, n - whole)
                    word = (start + whole) // BITS
                    _word(last_gradient, last_weight, last_kept, ZERO, planes, word, tau, integers, i)
            if want & BEGINS:
                _copy(gradient, at, mean_gradient, start, n)
                _copy(weight, at, mean_weight, start, n)
            elif want & AVERAGES:
                _blend(mean_gradient, mean_weight, start, gradient, weight, at, n)
            if want & GRADIENT:
                floats[i, 0] += _square_sum(gradient, at, m)
                if not np.isfinite(floats[i, 0]):  # only then can an entry be other than finite
                    integers[i, 0] += _nonfinite(gradient, at, m)
            if want & UPDATE:
                _moved(weight, kept, at, n, floats, i)
            elif want & WEIGHT:
                floats[i, 1] += _square_sum(weight, at, n)
            if want & WEIGHT and not np.isfinite(floats[i, 1]):
                integers[i, 1] += _nonfinite(weight, at, n)
            if want & GRADIENT_BINS:
                _tally(gradient, at, m, columns, lanes, 0)
            if want & WEIGHT_BINS:
                _tally(weight, at, n, columns, lanes, 1)
            if want & UPDATE_BINS:
                _tally(change, ZERO, n, columns, lanes, 2)
            if want & KEEP:
                _copy(w, start, k, start, n)
        if want & RELATIVE and want & KNOWN:
            limit = np.float32(relative_tau * np.sqrt(floats[i, 0] / max(g.size + row[ZEROS], 1)))
            if np.isfinite(limit):
                integers[i, NEAR] = row[ZEROS] + _within(g, layout, tau.dtype.type(limit), wide_gradient)
        if want & COMPARES:
            integers[i, OF_SIGNS + COMPARED] = entries
        floats[i, len(NORMS) :] = np.nan
        if want & ANGLE:
            floats[i, len(NORMS)] = np.degrees(np.arccos(_cosine(sums[0, 0], sums[0, 1], sums[0, 2])))
        if want & COSINE:
            floats[i, len(NORMS) + 1] = _cosine(sums[1, 0], sums[1, 1], sums[1, 2])
        sums[:] = 0.0
        if len(ends):
            ends[r, 0], ends[r, 1] = curves_end, moves_end
        if len(counts):
            counts[i] = lanes.sum(axis=1)
            counts[i, 0, CENTRE] += row[ZEROS]
            lanes[:] = 0
        if not want & KNOWN:
            floats[i, 0] = np.nan
        if not want & UPDATE:
            floats[i, 2] = np.nan


@jit()
def _within(x: Any, layout: Any, tau: Any, wide: Any) -> Any:
    """How many of the entries are at most tau from zero."""
    found, size = 0, np.uint64(x.size)
    for start in range(ZERO, size, TILE):
        n = min(TILE, size - start)
        entries, at = _floats(x, start, n, layout, True, wide)
        for j in range(n):
            found += abs(entries[at + j]) <= tau
    return found
