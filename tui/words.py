"""How are numbers and times written, short enough for a column and exact enough to be read?"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate

from rich.cells import cell_len

_HIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_INNER = re.compile(r"^([^\W\d])\D*(\d*)$")  # the first letter and the number at the end, of "denseblock3"
BLOCKS = "▁▂▃▄▅▆▇█"


def plain(text: str) -> str:
    """Text from a run as it may be shown: control and direction characters become a visible sign."""
    return _HIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)


def clip(text: str, width: int, *, middle: bool = False) -> str:
    """At most `width` cells; what was cut shows as an ellipsis, at the end or (for names and paths) in the middle.

    Of names with dots or slashes the parts before the last are initials first, so that layers stay apart by number:
    `encoder.layers.10.norm.weight` is `e.l.10.norm.weight`.
    """
    text = plain(text)
    if middle:
        text = _abbreviated(text, width)
    if cell_len(text) <= width:
        return text
    if width <= 1:
        return "…"[: max(width, 0)]
    if not middle:
        return _first(text, width - 1) + "…"
    tail = (width - 1) * 2 // 3  # the end of a layer's name says more than its beginning
    return _first(text, width - 1 - tail) + "…" + _first(text[::-1], tail)[::-1]


def _abbreviated(name: str, width: int) -> str:
    """The name with as many parts shortened to a letter and their number, from the left, as the width asks for."""
    if re.search(r"\s", name):
        return name  # a sentence
    mark = "/" if "/" in name else "."
    parts = name.split(mark)
    for k, part in enumerate(parts[:-1]):
        if cell_len(mark.join(parts)) <= width:
            break
        parts[k] = _INNER.sub(r"\1\2", part)
    return mark.join(parts)


def _first(text: str, width: int) -> str:
    """The characters that fit `width` cells; some of them take two."""
    if text.isascii():
        return text[:width]
    ends = accumulate(map(cell_len, text))
    return text[: sum(end <= width for end in ends)]


def fit(text: str, width: int, *, right: bool = False) -> str:
    """Text as wide as its column, in cells: filled up behind it, or before it."""
    filling = " " * (width - cell_len(text))
    return filling + text if right else text + filling


def fate(state: str, last_step: int) -> str:
    """As in "killed at step 1,234"; a run that goes on, or came to its end, has no such step."""
    if state not in ("killed", "failed"):
        return state
    return f"{state} at step {last_step:,}" if last_step >= 0 else f"{state} before its first step"


def number(value: float, digits: int = 4) -> str:
    """`digits` significant digits: 0.1234, 12.34, 1234, 1.234e-05, NaN, ∞."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == int(value) and abs(value) < 1e7:
        return str(int(value))
    return f"{value:.{digits}g}"


def count(value: int) -> str:
    """A whole number in at most six cells: 999, 12.3k, 1.00M."""
    if value < 10_000:
        return str(value)
    for unit, scale in (("k", 1e3), ("M", 1e6), ("G", 1e9)):
        if value < 999.5 * scale:
            return f"{value / scale:.3g}{unit}"
    return f"{value:.0e}"


def duration(seconds: float) -> str:
    """A stretch of time in two units: 0.8 s, 42 s, 3 m 20 s, 5 h 02 m, 3 d 04 h."""
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    s = round(seconds)
    if s < 60:
        return f"{s} s"
    if s < 3600:
        return f"{s // 60} m {s % 60:02} s"
    if s < 86400:
        return f"{s // 3600} h {s % 3600 // 60:02} m"
    return f"{s // 86400} d {s % 86400 // 3600:02} h"


def age(seconds: float) -> str:
    """How long ago, in one unit: now, 12 s, 5 min, 3 h, 4 d."""
    s = max(int(seconds), 0)
    if s < 5:
        return "now"
    for unit, length, below in (("s", 1, 60), ("min", 60, 3600), ("h", 3600, 86400), ("d", 86400, 86400 * 365)):
        if s < below:
            return f"{s // length} {unit}"
    return f"{s // (86400 * 365)} y"


def moment(seconds: float) -> str:
    """A local date and time to the minute."""
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")


def sparkline(values: Sequence[float], width: int) -> str:
    """The last course of a number in `width` cells; a step that was not finite stays visible as `!`."""
    values = list(values)
    if not values:
        return ""
    if len(values) > width:  # each cell shows the last value of its stretch, so the end is always right
        values = [values[(k + 1) * len(values) // width - 1] for k in range(width)]
    finite = [v for v in values if math.isfinite(v)]
    lo, hi = (min(finite), max(finite)) if finite else (0.0, 0.0)
    top = len(BLOCKS) - 1
    return "".join(
        "!" if not math.isfinite(v) else BLOCKS[round((v - lo) / (hi - lo) * top) if hi > lo else 0] for v in values
    )


def aligned(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> list[str]:
    """Rows of cells as lines; the columns in `right` end, the others begin, below each other."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(fit(c, w, right=k in right) for k, (c, w) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]
