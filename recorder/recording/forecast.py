"""How large will the run become, and what has to be thinned so that it stays under a limit?"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from numbers import Real
from typing import NamedTuple

from recorder.errors import RecordError
from recorder.number import size
from recorder.runfile.footprint import VOLUME, Footprint, footprints
from recorder.runfile.schema import Series

SCALAR = 8  # bytes of a scalar in a row
FIRST_SHARE = 1 / 4  # of the room under the limit, recorded at the full rate
SHARE = 1 / 32  # of what room is left, before the next schedule is thinned


class Growth(NamedTuple):
    """One axis: its rows per step and per epoch, and what they take."""

    per_step: float
    per_epoch: float
    footprint: Footprint

    def rows(self, steps: int, epochs: int) -> int:
        return max(1, math.ceil(steps * self.per_step + epochs * self.per_epoch))


@dataclass(frozen=True)
class Forecast:
    """Bytes on disk as a function of the training's length; what gzip packs is counted in full; no checkpoints."""

    axes: tuple[Growth, ...] = ()

    def bytes(self, *, steps: int, epochs: int = 0) -> int:
        """The size of the whole file, with all that chunks and headers take."""
        return VOLUME + sum(axis.footprint.size(axis.rows(steps, epochs)) for axis in self.axes)

    @property
    def per_step(self) -> float:
        return sum(axis.per_step * axis.footprint.row for axis in self.axes)

    @property
    def per_epoch(self) -> float:
        return sum(axis.per_epoch * axis.footprint.row for axis in self.axes)

    def __str__(self) -> str:
        """As in "0.3 MB with the first rows, then about 1.2 MB per 10,000 steps and at most 163 kB per epoch"."""
        packed = sum(axis.per_step * axis.footprint.packed_row for axis in self.axes)
        text = f"{size(self.bytes(steps=0))} with the first rows, then {_rate(self.per_step, packed, 10_000)} steps"
        if not self.per_epoch:
            return text
        packed = sum(axis.per_epoch * axis.footprint.packed_row for axis in self.axes)
        return f"{text} and {_rate(self.per_epoch, packed, 1)} epoch"


@dataclass
class Budget:
    """Keeps the rows of a run under `max_size`, however long the training lasts.

    A quarter of the room is filled at the full rate. Then, each time that a 32nd of what is left was filled, the axis
    that took most of it keeps half as many rows as before: what grows slowly, mostly the scalars, is thinned last.
    """

    max_size: int | None
    used: float = 0.0  # bytes: never less than the rows take on disk
    thin: dict[str, int] = field(default_factory=dict)  # axis -> one occurrence of its schedule in so many is kept
    _rows: dict[str, float] = field(default_factory=dict)  # axis -> bytes of one row
    _first: dict[str, int] = field(default_factory=dict)  # axis -> bytes that were counted for its first chunks
    _next: float = 0.0  # the next schedule is thinned here
    _lately: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))  # axis -> bytes

    def declare(self, axis: str, footprint: Footprint) -> None:
        """An axis has this footprint from here on; its first chunks are written whole, so they count at once."""
        first = footprint.size(1)
        self.used += first - self._first.get(axis, 0)
        self._first[axis], self._rows[axis] = first, footprint.row

    def affords(self, axis: str) -> bool:
        """Whether one more row of the axis fits."""
        return self.max_size is None or self.used + self._rows[axis] <= self.max_size

    def spend(self, axis: str) -> str:
        """Count a row of the axis; the axis that is thinned from here on, or ""."""
        self.used += self._rows[axis]
        if self.max_size is None:
            return ""
        self._lately[axis] += self._rows[axis]
        left = self.max_size - self.used
        if not self._next:
            self._next = self.used + FIRST_SHARE * left
        if self.used < self._next:
            return ""
        self._next = self.used + SHARE * left
        most = max(self._lately, key=self._lately.__getitem__)
        self._lately.clear()
        self.thin[most] = 2 * self.thin.get(most, 1)
        return most


def limit_of(max_size: object, series: Iterable[Series]) -> int | None:
    """2e9, "2GB" or "500 MB" as bytes; RecordError for anything else, and where not a row of the series fits."""
    if max_size is None:
        return None
    number = _bytes(max_size)
    if not 0 < number < math.inf:
        raise RecordError(
            f"max_size={max_size!r}: expected a number of bytes above 0, such as 2e9, '500 MB' or '2GB', or None"
        )
    least = Forecast(tuple(Growth(0, 0, one) for one in footprints(series).values())).bytes(steps=0)
    if number < least:
        raise RecordError(
            f"max_size={max_size!r}: one row of everything that is to be recorded takes {size(least)}, since the file "
            "grows by whole chunks; give more than that, or record less"
        )
    return int(number)


def _bytes(text: object) -> float:
    """NaN where it is no number of bytes."""
    if isinstance(text, str):
        match = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)(e\d+)?\s*([kmgt]?)b?\s*", text.lower())
        return float(match[1] + (match[2] or "")) * 1000 ** " kmgt".index(match[3] or " ") if match else math.nan
    return float(text) if isinstance(text, Real) and not isinstance(text, bool) else math.nan


def duration(seconds: float) -> str:
    """0.00012 -> "0.12 ms"."""
    for factor, unit in ((1.0, "s"), (1e3, "ms")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us" if seconds < 1e-5 else f"{seconds * 1e3:.2g} ms"


def _rate(bytes: float, packed: float, times: int) -> str:
    """What mostly can be packed takes "at most" its full size."""
    per = f"per {times:,}" if times > 1 else "per"
    return f"{'at most' if packed > bytes / 2 else 'about'} {size(times * bytes)} {per}"
