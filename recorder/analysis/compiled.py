"""The numbers of `statistics` and `histogram` at memory speed: one pass over a tensor, compiled by numba.

The pass walks a tensor in blocks that stay in the first-level cache. Each statistic is a small loop over one block,
which the compiler turns into vector code; main memory is read once however many statistics are wanted. One more
statistic is one more flag and one more loop.

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
from recorder.analysis.words import WORD, above, below, fetch, ones, within

BLOCK = 1024  # entries; gradient, weights and kept weights of a block are 12 kB in float32, and so are the next one's
LONG = 8 * BLOCK  # where more is read and written: no array is left before memory has found its pace with it
LANES = 4  # tables of counts filled in turn: a run of equal columns would wait for its own last write

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


@jit(fastmath={"reassoc", "contract"})
def _square_sum(x: Any) -> Any:
    total = 0.0
    for i in range(x.size):
        value = np.float64(x[i])
        total += value * value
    return total


@jit(fastmath={"reassoc", "contract"})
def _square_distance(x: Any, y: Any) -> Any:
    total = 0.0
    for i in range(x.size):
        value = np.float64(x[i]) - np.float64(y[i])
        total += value * value
    return total


@jit(fastmath={"reassoc", "contract"})
def _products(x: Any, y: Any, sums: Any) -> None:
    """Add x.y, x.x and y.y."""
    xy = xx = yy = 0.0
    for i in range(x.size):
        a, b = np.float64(x[i]), np.float64(y[i])
        xy += a * b
        xx += a * a
        yy += b * b
    sums[0] += xy
    sums[1] += xx
    sums[2] += yy


@jit()
def _cosine(sums: Any) -> Any:
    """Of two vectors, from their `_products`; see `turns`."""
    length = np.sqrt(sums[1]) * np.sqrt(sums[2])
    return min(1.0, max(-1.0, sums[0] / length)) if 0 < length < np.inf else np.nan


@jit()
def _curvatures(gradient: Any, change: Any, before: Any, start: Any, step: Any, found: Any, n: Any) -> Any:
    """Put those of every `step`-th entry of the tensor behind the n that are found; -> how many there are then."""
    for i in range(-start % step, gradient.size, step):
        if change[i] != 0:
            curvature = (np.float64(gradient[i]) - np.float64(before[i])) / np.float64(change[i])
            if np.isfinite(curvature):
                found[n] = curvature
                n += 1
    return n


@jit()
def _movement(gradient: Any, change: Any, planes: Any, word: Any, tau: Any, found: Any, n: Any) -> Any:
    """The same of |change| of the entries that are at most tau from zero and were so before."""
    whole = gradient.size - gradient.size % WORD
    for start in range(0, gradient.size, WORD):
        near = planes[2, word + start // WORD]
        if near and start < whole:
            near &= within(gradient, tau, start)
        if near:
            for i in range(start, min(start + WORD, gradient.size)):
                found[n] = abs(change[i])
                n += (near & np.uint64(1)) & (abs(gradient[i]) <= tau)
                near >>= np.uint64(1)
    return n


@jit()
def _blend(average: Any, x: Any) -> None:
    """See `averages`."""
    for i in range(x.size):
        average[i] = DECAY * np.float64(average[i]) + SHARE * np.float64(x[i])


@jit()
def _copy(x: Any, out: Any) -> None:
    for i in range(x.size):  # a slice assignment would first look for overlap
        out[i] = x[i]


@jit()
def _subtract(x: Any, y: Any, out: Any) -> None:
    for i in range(x.size):
        out[i] = x[i] - y[i]


@jit()
def _nonfinite(x: Any) -> Any:
    found = 0
    for i in range(x.size):
        found += not np.isfinite(x[i])
    return found


@jit()
def _columns_32(bits: Any, out: Any) -> None:
    for i in range(bits.size):
        b = bits[i]
        a = np.uint32(b & np.uint32(0x7FFFFFFF))
        octaves = np.int32(a >> np.uint32(23)) + np.int32(np.uint32(a + CARRY_32) >> np.uint32(23))
        rank: Any = np.int32(octaves + (FIRST - 2 * 127))
        rank = np.int32(max(min(rank, np.int32(BEYOND)), np.int32(0)))  # 32 bits throughout: twice as many at once
        column = np.int32(CENTRE - rank if b >> np.uint32(31) else CENTRE + rank)
        out[i] = np.int32(NAN) if a > np.uint32(0x7F800000) else column


@jit()
def _columns_64(bits: Any, out: Any) -> None:
    for i in range(bits.size):
        b = bits[i]
        a = b & np.uint64(0x7FFFFFFFFFFFFFFF)
        rank: Any = (
            np.int64(a >> np.uint64(52)) + np.int64((a + np.uint64(CARRY_64)) >> np.uint64(52)) + FIRST - 2 * 1023
        )
        rank = max(min(rank, BEYOND), 0)
        column = CENTRE - rank if b >> np.uint64(63) else CENTRE + rank
        out[i] = NAN if a > np.uint64(0x7FF0000000000000) else column


@jit()
def _tally(x: Any, scratch: Any, counts: Any) -> None:
    """Add the entries of a block to `counts` (LANES, COLUMNS)."""
    if x.itemsize == 4:
        _columns_32(x.view(np.uint32), scratch)
    else:
        _columns_64(x.view(np.uint64), scratch)
    whole = x.size - x.size % LANES
    for i in range(0, whole, LANES):
        counts[0, scratch[i]] += 1
        counts[1, scratch[i + 1]] += 1
        counts[2, scratch[i + 2]] += 1
        counts[3, scratch[i + 3]] += 1
    for i in range(whole, x.size):
        counts[0, scratch[i]] += 1


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


@jit()
def _word(gradient: Any, weight: Any, kept: Any, start: Any, planes: Any, word: Any, tau: Any, counts: Any) -> None:
    """The next 64 entries of `signs.add_counts`."""
    zero = gradient.dtype.type(0)
    positive, negative = above(gradient, zero, start), below(gradient, zero, start)
    near, tight = within(gradient, tau[0], start), within(gradient, tau[1], start)
    up, down = above(weight, kept, start), below(weight, kept, start)
    rising, falling = positive & planes[1, word], negative & planes[0, word]
    retained = near & planes[2, word]
    released = planes[2, word] & ~near
    planes[0, word], planes[1, word], planes[2, word] = positive, negative, near
    flips = rising | falling
    minima, maxima = (rising & up) | (falling & down), (rising & down) | (falling & up)
    counts[0] += ones(near)
    counts[1] += ones(tight)
    counts[2] += ones(retained)
    counts[3] += ones(released)
    counts[4] += ones(flips & retained)
    counts[5] += ones(minima & retained)
    counts[6] += ones(maxima & retained)
    counts[7] += ones(flips)
    counts[8] += ones(minima)
    counts[9] += ones(maxima)


@jit()
def _signs(
    gradient: Any, weight: Any, kept: Any, planes: Any, word: Any, tau: Any, counts: Any, fetches: Any
) -> None:  # fmt: skip
    """A block whose first entry is bit 0 of `word`."""
    whole = gradient.size - gradient.size % WORD
    for start in range(0, whole, WORD):
        if fetches:  # memory works on the next block while this one is computed
            fetch(gradient, start + BLOCK)
            fetch(weight, start + BLOCK)
            fetch(kept, start + BLOCK)
        _word(gradient, weight, kept, start, planes, word, tau, counts)
        word += 1
    if whole < gradient.size:  # the rest stands before NaN, which is in no set
        rest = np.full((3, WORD), np.nan, gradient.dtype)
        for k in range(gradient.size - whole):
            rest[0, k], rest[1, k], rest[2, k] = gradient[whole + k], weight[whole + k], kept[whole + k]
        _word(rest[0], rest[1], rest[2], 0, planes, word, tau, counts)


@jit()
def _decode(bits: Any, layout: Any, out: Any) -> None:
    """16-bit floats -> float32, exactly."""
    wide = out.view(np.uint32)
    if layout == BFLOAT16:
        for i in range(bits.size):
            wide[i] = np.uint32(bits[i]) << np.uint32(16)
        return
    for i in range(bits.size):
        b = np.uint32(bits[i])
        magnitude = b & np.uint32(0x7FFF)
        if magnitude >= np.uint32(0x7C00):  # infinity and NaN
            wide[i] = (np.uint32(magnitude) << np.uint32(13)) | np.uint32(0x7F800000)
        else:  # shifted into place it is a float32 that is 2^112 times too small; subnormal numbers too
            wide[i] = np.uint32(magnitude) << np.uint32(13)
            out[i] *= np.float32(2.0**112)
        wide[i] |= (b & np.uint32(0x8000)) << np.uint32(16)


def _floats(x: Any, layout: Any, wanted: Any, out: Any) -> Any:
    """A block as floats: as it is, or 16 bits widened into `out` where that is wanted."""


_by_type: Callable[[Callable[..., Any]], Callable[..., Any]] = overload(_floats)


@_by_type
def _floats_of(x: Any, layout: Any, wanted: Any, out: Any) -> Any:  # noqa: ARG001  numba looks at the types
    def same(x: Any, layout: Any, wanted: Any, out: Any) -> Any:  # noqa: ARG001
        return x

    def widened(x: Any, layout: Any, wanted: Any, out: Any) -> Any:
        if wanted:
            _decode(x, layout, out)
        return out[: x.size]

    return same if isinstance(x.dtype, types.Float) else widened


@jit()
def _block(
    gradient: Any, weight: Any, kept: Any, change: Any, averages: Any, want: Any, floats: Any, integers: Any,
    scratch: Any, lanes: Any, planes: Any, word: Any, tau: Any,
) -> None:  # fmt: skip
    if want & BEGINS:
        _copy(gradient, averages[0])
        _copy(weight, averages[1])
    elif want & AVERAGES:
        _blend(averages[0], gradient)
        _blend(averages[1], weight)
    if want & GRADIENT:
        total = _square_sum(gradient)
        floats[0] += total
        if not np.isfinite(total):  # only then can an entry be other than finite
            integers[0] += _nonfinite(gradient)
    if want & WEIGHT:
        total = _square_sum(weight)
        floats[1] += total
        if not np.isfinite(total):
            integers[1] += _nonfinite(weight)
    if want & UPDATE:
        floats[2] += _square_distance(weight, kept)
    if want & SIGNS:
        _signs(gradient, weight, kept, planes, word, tau, integers[OF_SIGNS:], not want & (AVERAGES | TURNS))
    if want & GRADIENT_BINS:
        _tally(gradient, scratch, lanes[0])
    if want & WEIGHT_BINS:
        _tally(weight, scratch, lanes[1])
    if want & UPDATE_BINS:
        _tally(change, scratch, lanes[2])


@jit()
def _turn(
    gradient: Any, change: Any, before: Any, want: Any, sums: Any, start: Any, step: Any, planes: Any, tau: Any,
    found: Any, n: Any,
) -> None:  # fmt: skip
    """What `turns` asks of a block, whose gradient and change of the update before are replaced by its own."""
    if want & ANGLE:
        _products(gradient, before[0], sums[0])
    if want & COSINE:
        _products(change, before[1], sums[1])
    if want & CURVATURE:
        n[0] = _curvatures(gradient, change, before[0], start, step, found[0], n[0])
    if want & MOVEMENT:
        n[1] = _movement(gradient, change, planes, start // WORD, tau[0], found[1], n[1])
    if want & REMEMBER:
        _copy(gradient, before[0])
        if want & CHANGE:
            _copy(change, before[1])


@jit()
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
    scratch, difference = np.empty(LONG, np.uint8), np.empty(LONG, tau.dtype)
    sums, n = np.zeros((2, 3)), np.zeros(2, np.int64)
    wide = np.empty((3, LONG if like.itemsize == 2 else 0), tau.dtype)
    lanes = np.zeros((len(HISTOGRAMS), LANES, COLUMNS), np.int64)
    words = np.empty(0, np.uint64)
    for r in range(len(rows)):
        row = rows[r]
        i, want, size = row[POSITION], row[WANT], row[SIZE]
        gradient = numba.carray(pointer(row[GRADIENT_AT], like), row[GRADIENT_SIZE])
        weight = numba.carray(pointer(row[WEIGHT_AT], like), size)
        kept = numba.carray(pointer(row[KEPT_AT], like), size if row[KEPT_AT] else 0)
        planes = numba.carray(pointer(row[PLANES_AT], words), (3, -(-size // WORD) if row[PLANES_AT] else 0))
        averaged, turned = size if want & AVERAGES else 0, size if want & TURNS else 0
        mean_gradient = numba.carray(pointer(row[AVERAGE_GRADIENT_AT], tau), averaged)
        mean_weight = numba.carray(pointer(row[AVERAGE_WEIGHT_AT], tau), averaged)
        gradient_before = numba.carray(pointer(row[GRADIENT_BEFORE_AT], tau), turned)
        change_before = numba.carray(pointer(row[CHANGE_AT], tau), turned)
        floats[i, : len(NORMS)] = 0.0
        integers[i] = 0
        block = LONG if want & (AVERAGES | TURNS) else BLOCK
        for start in range(0, max(gradient.size, size), block):
            end = start + block
            g, w, k = gradient[start:end], weight[start:end], kept[start:end]
            g_floats = _floats(g, layout, want & (GRADIENT | GRADIENT_BINS | SIGNS | AVERAGES | TURNS), wide[0])
            w_floats = _floats(w, layout, want & (WEIGHT | WEIGHT_BINS | UPDATE | SIGNS | AVERAGES | CHANGE), wide[1])
            k_floats = _floats(k, layout, want & (UPDATE | SIGNS | CHANGE), wide[2])
            change = difference[: w.size]
            if want & CHANGE:
                _subtract(w_floats, k_floats, change)
            if want & TURNS:
                _turn(
                    g_floats, change, (gradient_before[start:end], change_before[start:end]), want, sums, start,
                    row[STRIDE], planes, tau, found, n,
                )  # fmt: skip
            _block(
                g_floats, w_floats, k_floats, change, (mean_gradient[start:end], mean_weight[start:end]), want,
                floats[i], integers[i], scratch, lanes, planes, start // WORD, tau,
            )  # fmt: skip
            if want & KEEP:
                _copy(w, k)
        if want & RELATIVE and want & KNOWN:
            limit = np.float32(relative_tau * np.sqrt(floats[i, 0] / max(gradient.size + row[ZEROS], 1)))
            if np.isfinite(limit):
                integers[i, NEAR] = row[ZEROS] + _within(gradient, layout, tau.dtype.type(limit), wide[0])
        if want & COMPARES:
            integers[i, OF_SIGNS + COMPARED] = size
        floats[i, len(NORMS) :] = np.nan
        if want & ANGLE:
            floats[i, len(NORMS)] = np.degrees(np.arccos(_cosine(sums[0])))
        if want & COSINE:
            floats[i, len(NORMS) + 1] = _cosine(sums[1])
        sums[:] = 0.0
        if len(ends):
            ends[r] = n
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
    found = 0
    for start in range(0, x.size, BLOCK):
        block = _floats(x[start : start + BLOCK], layout, True, wide)
        for i in range(block.size):
            found += abs(block[i]) <= tau
    return found
