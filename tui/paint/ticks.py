"""Where do an axis' ticks stand, and how are numbers written?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_SUFFIXES = ((1e12, "T", 1e12), (1e9, "G", 1e9), (1e6, "M", 1e6), (1e3, "k", 1e4))


@dataclass(frozen=True)
class Tick:
    """A place on an axis, in data coordinates, and its words."""

    at: float
    text: str


def number(value: float, digits: int = 4) -> str:
    """A number in few cells: 0.0123, 12.5k, 3.2e-07; "NaN", "∞" and "-∞" by name."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    size = abs(value)
    if size == 0:
        return "0"
    if size < 1e-3 or size >= 1e15:
        mantissa, exponent = f"{value:.{max(digits - 2, 0)}e}".split("e")
        if "." in mantissa:
            mantissa = mantissa.rstrip("0").rstrip(".")
        return f"{mantissa}e{int(exponent)}"
    scale, suffix = _suffix(size)
    return f"{value / scale:.{digits}g}{suffix}"


def _suffix(size: float) -> tuple[float, str]:
    return next(((scale, suffix) for scale, suffix, above in _SUFFIXES if size >= above), (1.0, ""))


def linear(low: float, high: float, most: int, *, whole: bool = False) -> list[Tick]:
    """At most about `most` ticks at multiples of 1, 2 or 5 times a power of ten; `whole` numbers only for counts."""
    span = high - low
    if not (math.isfinite(span) and span > 0) or most < 1:
        return [Tick(low, number(low))] if math.isfinite(low) and most > 0 else []
    step = _nice(span / most)
    if math.floor(high / step + 1e-9) <= math.ceil(low / step - 1e-9):  # one tick gives no scale
        step = _nice(span / most / 2.5)
    if whole:
        step = max(step, 1.0)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    if last - first > 10 * most:  # the step drowns in the rounding of huge numbers
        return [Tick(low, number(low, 8))]
    places = [k * step for k in range(first, last + 1)]
    return [Tick(at, text) for at, text in zip(places, _texts(places, step), strict=True)]


def logarithmic(low: float, high: float, most: int) -> list[Tick]:
    """Decades where the axis spans them, thinned to `most`; 1, 2 and 5 of a decade, then plain numbers, below that."""
    if not (0 < low < high < math.inf) or most < 1:
        return []
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    decades = last - first + 1
    if decades >= 2 and 3 * decades > most:
        stride = math.ceil(decades / max(most, 1))
        return [Tick(10.0**k, power(k)) for k in range(first, last + 1) if k % stride == 0]
    fine = [m * 10.0**k for k in range(first - 1, last + 1) for m in (1, 2, 5)]
    fine = [at for at in fine if low * (1 - 1e-9) <= at <= high * (1 + 1e-9)]
    if 2 <= len(fine) <= most:
        return [Tick(at, number(at)) for at in fine]
    return linear(low, high, most)


def power(exponent: int) -> str:
    """A decade: 0.001, 1, 100, 1e6."""
    return f"{10.0**exponent:g}" if -3 <= exponent <= 3 else f"1e{exponent}"


def _nice(step: float) -> float:
    decade = 10.0 ** math.floor(math.log10(step))
    return next(m * decade for m in (1, 2, 5, 10) if m * decade >= step * (1 - 1e-9))


def _texts(places: Sequence[float], step: float) -> list[str]:
    """All ticks of an axis with the same decimals, and with one suffix or exponent where numbers are large or small."""
    largest = max((abs(at) for at in places), default=0.0)
    if 0 < largest < 1e-3 or largest >= 1e15:
        scale, suffix = 10.0 ** math.floor(math.log10(largest)), f"e{math.floor(math.log10(largest))}"
    else:
        scale, suffix = _suffix(largest)
    decimals = max(0, -math.floor(math.log10(step / scale) + 1e-9))
    if decimals > 6:  # neighbours differ only in late digits: give all that tell them apart
        return [f"{at:.{max(0, -math.floor(math.log10(step) + 1e-9))}f}" for at in places]
    return ["0" if abs(at) < step * 1e-6 else f"{at / scale:.{decimals}f}{suffix}" for at in places]
