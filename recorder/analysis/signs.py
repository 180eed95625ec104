"""Which gradients are almost zero, which changed their sign, where did a weight pass a minimum: one update to the next.

For a tensor with gradient g_t and weights w_t, and g_{t-1} and w_{t-1} of its update before, entry by entry:

    near_zero            #Z_t, Z_t = {k : |g_t[k]| <= tau}; the boundary belongs to it, and so do both zeros
    near_zero_tight      the same with the smaller tau
    near_zero_retained   #(Z_{t-1} and Z_t)
    near_zero_released   #(Z_{t-1} without Z_t)
    sign_flips           #F, F = {k : g_{t-1}[k] g_t[k] < 0}
    minima, maxima       #{k in F : (w_t - w_{t-1})[k] (g_t - g_{t-1})[k] > 0}, and < 0
    near_zero_flips, near_zero_minima, near_zero_maxima      the same three among the retained
    compared             the tensor's size; 0 where the update before was not seen, and then all that compares is 0

Signs are compared, not rounded products, so nothing underflows. Zeros have no sign: a way through an exact zero is no
flip, and a flip of a weight that stood still is neither minimum nor maximum. NaN has no sign and is in no set; an
infinity has its sign and is never near zero. tau is rounded to float32, for float64 gradients to float64.

What an update leaves for the next one is a bit an entry in three planes: g > 0, g < 0, and Z.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

NAMES = (
    "near_zero", "near_zero_tight", "near_zero_retained", "near_zero_released", "near_zero_flips",
    "near_zero_minima", "near_zero_maxima", "sign_flips", "minima", "maxima", "compared",
)  # fmt: skip
TAU = (1e-5, 1e-7)
RELATIVE_TAU = 1e-2  # of the root mean square of the tensor's gradient; see `statistics`
COMPARED = len(NAMES) - 1


def planes_for(entries: int) -> np.ndarray:
    """-> (plane, word) uint64, of an update that was not seen: bit k of word j is entry 64 j + k."""
    return np.zeros((3, -(-entries // 64)), np.uint64)


def add_counts(
    gradient: np.ndarray, weight: np.ndarray, before: np.ndarray, planes: np.ndarray, tau: np.ndarray,
    counts: np.ndarray,
) -> None:  # fmt: skip
    """The definition, which the compiled pass must equal: add to `counts` (all but `compared`), renew `planes`."""
    n = gradient.size
    plus, minus, near = (np.unpackbits(p.view(np.uint8), count=n, bitorder="little").astype(bool) for p in planes)
    positive, negative = gradient > 0, gradient < 0
    within, tight = (np.abs(gradient) <= t for t in tau)
    rising, falling = positive & minus, negative & plus
    up, down = weight > before, weight < before
    flips = rising | falling
    minima, maxima = (rising & up) | (falling & down), (rising & down) | (falling & up)
    retained = within & near
    found = (within, tight, retained, near & ~within, flips & retained, minima & retained, maxima & retained,
             flips, minima, maxima)  # fmt: skip
    counts[:COMPARED] += [np.count_nonzero(mask) for mask in found]
    for plane, mask in zip(planes, (positive, negative, within), strict=True):
        bits = np.packbits(mask, bitorder="little")
        plane.view(np.uint8)[: bits.size] = bits


FAR, MINUS, PLUS, ZERO = range(4)  # codes of a sign map: |g| > tau or NaN; -tau <= g < 0; 0 < g <= tau; g = 0


def codes(gradient: np.ndarray, tau: float) -> np.ndarray:
    """-> (entry,) uint8 in the order of rows"""
    g = gradient.ravel()
    near = np.abs(g) <= g.dtype.type(tau)
    return np.where(near, np.where(g < 0, MINUS, np.where(g > 0, PLUS, ZERO)), FAR).astype(np.uint8)


def packed(codes: np.ndarray) -> np.ndarray:
    """-> (byte,) uint8: four codes a byte, the first in its lowest two bits; what is missing at the end is FAR."""
    four = np.zeros(-(-codes.size // 4) * 4, np.uint8)
    four[: codes.size] = codes
    return four[0::4] | four[1::4] << 2 | four[2::4] << 4 | four[3::4] << 6


def unpacked(bytes: np.ndarray) -> np.ndarray:
    """(..., byte) -> (..., 4 bytes) codes"""
    return (bytes[..., None] >> np.arange(0, 8, 2, dtype=np.uint8) & 3).reshape(*bytes.shape[:-1], -1)


# of each byte how often it has each code, 16 bits a code: sums of up to 16,383 bytes stay apart
LANES = (unpacked(np.arange(256, dtype=np.uint8)).reshape(256, 4, 1) == np.arange(4)).sum(axis=1).astype(np.uint16)
LANES = LANES.view(np.uint64).ravel()
_EVEN = np.uint64(0x5555555555555555)


def mapped(gradient: np.ndarray, tau: float) -> np.ndarray:
    """-> (byte,) uint8, `packed(codes(gradient, tau))` in one pass."""
    g = np.ascontiguousarray(gradient).ravel()
    found = np.empty(-(-g.size // 4), np.uint8)
    _mapper()(g, g.dtype.type(tau), found)
    return found


def counted(bytes: np.ndarray, entries: int, block: int) -> np.ndarray:
    """-> (block, 4) uint32: how often each code is there among `block` entries (a multiple of 32) of so many."""
    blocks = -(-entries // block)
    words = np.zeros(blocks * block // 32, np.uint64)
    words.view(np.uint8)[: bytes.size] = bytes
    low, high = words & _EVEN, words >> np.uint64(1) & _EVEN
    counts = np.empty((blocks, 4), np.uint32)
    for code, found in ((MINUS, low & ~high), (PLUS, high & ~low), (ZERO, low & high)):
        counts[:, code] = _ones(found).reshape(blocks, block // 32).sum(axis=1)
    size = np.full(blocks, block)
    size[-1:] = entries - (blocks - 1) * block
    counts[:, FAR] = size - counts[:, [MINUS, PLUS, ZERO]].sum(axis=1)
    return counts


def changed(bytes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(row, byte) of a map -> (row - 1,) entries with another code than in the row before, and with the other sign.

    The other sign is MINUS that became PLUS, or PLUS that became MINUS.
    """
    words = np.zeros((len(bytes), -(-bytes.shape[1] // 8)), np.uint64)
    words.view(np.uint8)[:, : bytes.shape[1]] = bytes
    one = np.uint64(1)
    near = (words ^ words >> one) & _EVEN  # MINUS or PLUS: of their two bits one is set
    differ = words[1:] ^ words[:-1]
    both = differ & differ >> one & _EVEN
    other = (differ | differ >> one) & _EVEN
    return _ones(other).sum(axis=1, dtype=np.int64), _ones(both & near[1:] & near[:-1]).sum(axis=1, dtype=np.int64)


def _ones(words: np.ndarray) -> np.ndarray:
    """How many bits are set in each word."""
    if hasattr(np, "bitwise_count"):  # numpy 2
        return np.bitwise_count(words)
    return np.unpackbits(np.ascontiguousarray(words).view(np.uint8)).reshape(*words.shape, 64).sum(axis=-1)


@cache
def _mapper() -> Callable[[np.ndarray, Any, np.ndarray], None]:
    try:
        from recorder.analysis.compiled import sign_codes
    except ImportError:  # no numba here
        return _plain_codes
    return sign_codes


def _plain_codes(g: np.ndarray, tau: Any, out: np.ndarray) -> None:
    out[:] = packed(codes(g, float(tau)))
