"""What of the data can no scale show, and what is said where there is nothing to see?"""

from __future__ import annotations

import numpy as np

from recorder.chart import Band, Bars, Box, Chart, Heat, Line, Picture, Points
from tui.paint.readout import exact

Carrier = Line | Points | Band | Bars | Heat | Picture  # the marks that carry values of their own


def undrawable(chart: Chart) -> dict[str, int]:
    """How many values no scale can show: {"NaN": 3, "∞": 1, "≤ 0": 5}, without zeros.

    Of a curve that is summarised there is nothing to count: each of its values stands for many, NaN where none of them
    is finite, be it NaN or infinite. Such a stretch is shaded, and the caption counts.
    """
    counts = {"NaN": 0, "∞": 0, "≤ 0": 0}
    shaded = any(isinstance(mark, Box) and mark.role in ("bad", "gap") for mark in chart.marks)
    summarised = shaded and any(isinstance(mark, Band) for mark in chart.marks)
    for mark in chart.marks:
        if not isinstance(mark, Carrier) or not (values := _values(mark)).size:
            continue
        low, high = float(values.min()), float(values.max())
        if not np.isfinite(high - low):
            counts["NaN"] += 0 if summarised else int(np.isnan(values).sum())
            counts["∞"] += int(np.isinf(values).sum())
        if chart.y.log and isinstance(mark, Line | Points) and not low > 0:
            counts["≤ 0"] += int(((values <= 0) & (values > -np.inf)).sum())
    return {what: n for what, n in counts.items() if n}


def emptiness(chart: Chart) -> str:
    """What to say where there is next to nothing to see."""
    if not chart.marks:
        return "nothing to draw"
    marks = [mark for mark in chart.marks if isinstance(mark, Carrier)]
    if not marks:
        return ""
    arrays = [_values(mark) for mark in marks]
    total = sum(a.size for a in arrays)
    if total == 0:
        return "no data yet"
    if not any(np.isfinite(a).any() for a in arrays):
        what = "infinite" if total == 1 else "NaN or infinite"
        what = what if any(np.isinf(a).any() for a in arrays) else "NaN"
        return f"all {total} values are {what}" if total > 1 else f"the only value is {what}"
    by_height = not any(isinstance(mark, Heat | Picture | Bars) for mark in marks)
    if chart.y.log and by_height and not any((a > 0).any() for a in arrays):
        return f"none of {total} values is positive; l switches to a linear axis"
    if total == 1 and isinstance(marks[0], Line):
        return f"one value so far: {exact(arrays[0][0])}"
    return ""


def _values(mark: Carrier) -> np.ndarray:
    """The numbers that the mark shows; of a band its upper ones, since both are missing together."""
    match mark:
        case Line(y=y) | Points(y=y):
            values = y
        case Band(hi=hi):
            values = hi
        case Bars(heights=heights):
            values = heights
        case Heat(values=cells):
            values = cells
        case Picture(pixels=pixels):
            values = pixels if pixels.ndim == 2 else pixels.sum(axis=2)
    return np.asarray(values, dtype=float)
