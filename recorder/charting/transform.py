"""How may a finished view be looked at differently: other scales, smoothed, without outliers?

Pure functions View -> View. What was changed is added to the caption, so that a figure never hides it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np

from recorder.chart import Band, Bars, Chart, Heat, Limits, Line, Mark, Plate, Points, View
from recorder.charting.captions import many

By = Literal["global", "row", "column"]

LOGARITHMIC = "Values are spaced by factors."  # what a caption says of a scale that was asked for
QUANTILES = (0.02, 0.98)  # values beyond these, widened by REACH times their distance, are outliers
REACH = 0.5


def log_y(view: View, on: bool = True) -> View:
    """The values by factors: the y axis of curves and bars, the colours of heat maps."""

    def change(chart: Chart) -> Chart:
        if _has_heat(chart):
            marks = tuple(_log_heat(m, on) if isinstance(m, Heat) else m for m in chart.marks)
            changed = replace(chart, marks=marks)
        else:
            changed = chart if chart.y.names else replace(chart, y=replace(chart.y, log=on))
        return _noted(changed, LOGARITHMIC) if _is_log(changed) and not _is_log(chart) else changed

    return _each(view, change) if on else _without(_each(view, change), LOGARITHMIC)


def smoothed(view: View, factor: float) -> View:
    """Exponential moving averages of all lines, the raw ones faint behind them.

    s_t = f s_{t-1} + (1 - f) y_t, divided by 1 - f^t so that the first values are not pulled to zero; `factor` f in
    0..0.99, where 0 changes nothing. A NaN stays a NaN and the average goes on behind it.
    """
    if not 0 <= factor <= 0.99:
        raise ValueError(f"smoothing: expected a factor in 0..0.99, got {factor}")
    if factor == 0:
        return view

    def change(chart: Chart) -> Chart:
        marks: list[Mark] = []
        for m in chart.marks:
            if isinstance(m, Line) and not m.faint:
                marks += [replace(m, faint=True), replace(m, y=_average(m.y, factor))]
            else:
                marks.append(m)
        if len(marks) == len(chart.marks):
            return chart
        return _noted(replace(chart, marks=tuple(marks)), f"Smoothed by {factor:g}; the raw line is faint.")

    return _each(view, change)


def without_outliers(view: View) -> View:
    """Limits that leave out the few values far from the rest, and their number in the caption."""

    def change(chart: Chart) -> Chart:
        values = _values(chart)
        log = _is_log(chart)
        values = values[np.isfinite(values) & (values > 0 if log else True)]
        if len(values) < 3:
            return chart
        scaled = np.log10(values) if log else values
        low, high = np.quantile(scaled, QUANTILES)
        reach = REACH * (high - low)
        lo, hi = max(scaled.min(), low - reach), min(scaled.max(), high + reach)
        outside = int(((scaled < lo) | (scaled > hi)).sum())
        if not outside or not lo < hi:
            return chart
        limits = (float(10**lo), float(10**hi)) if log else (float(lo), float(hi))
        return _noted(_with_limits(chart, limits), f"{many(outside, 'value lies', 'values lie')} outside the limits.")

    return _each(view, change)


def limited(view: View, lo: float | None, hi: float | None) -> View:
    """Limits of the y axis (of the colours in a heat map); None leaves that side to the data."""

    def change(chart: Chart) -> Chart:
        values = _values(chart)
        values = values[np.isfinite(values)]
        low = lo if lo is not None else float(values.min()) if len(values) else 0.0
        high = hi if hi is not None else float(values.max()) if len(values) else 1.0
        if not low < high:
            return chart
        return _noted(_with_limits(chart, (low, high)), f"Shown from {low:.4g} to {high:.4g}.")

    return _each(view, change)


def normalised(view: View, by: By) -> View:
    """Heat maps divided by their largest magnitude: over all cells, of each row, or of each column.

    Signs stay, so the values end up in -1..1, and each row (column, map) that is not all zero reaches 1 or -1.
    """

    def change(chart: Chart) -> Chart:
        if not _has_heat(chart):
            return chart
        marks = tuple(_normalised(m, by) if isinstance(m, Heat) and not m.categories else m for m in chart.marks)
        whole = {"global": "the map's", "row": "its row's", "column": "its column's"}[by]
        return _noted(replace(chart, marks=marks), f"Each cell is divided by {whole} largest magnitude.")

    return _each(view, change)


def _each(view: View, change: Callable[[Chart], Chart]) -> View:
    if isinstance(view, Chart):
        return change(view)
    changed = Plate(
        tuple(tuple(change(chart) for chart in row) for row in view.rows),
        view.title,
        view.caption,
        view.heights,
        view.share_x,
    )
    new = [
        after.caption[len(before.caption) :].strip() for before, after in zip(view.charts, changed.charts, strict=True)
    ]
    return replace(changed, caption=" ".join([view.caption, *dict.fromkeys(n for n in new if n)]).strip())


def _noted(chart: Chart, note: str) -> Chart:
    return replace(chart, caption=f"{chart.caption} {note}".strip())


def _without(view: View, note: str) -> View:
    """The view without a note in its captions."""
    caption = " ".join(view.caption.replace(note, "").split()) if note in view.caption else view.caption
    if isinstance(view, Chart):
        return replace(view, caption=caption)
    rows = tuple(tuple(replace(c, caption=_without(c, note).caption) for c in row) for row in view.rows)
    return replace(view, rows=rows, caption=caption)


def _heats(chart: Chart) -> list[Heat]:
    return [m for m in chart.marks if isinstance(m, Heat)]


def _has_heat(chart: Chart) -> bool:
    return bool(_heats(chart))


def _is_log(chart: Chart) -> bool:
    return any(h.log for h in _heats(chart)) if _has_heat(chart) else chart.y.log


def _values(chart: Chart) -> np.ndarray:
    """The numbers that the chart's value scale shows."""
    if _has_heat(chart):
        parts = [h.values for h in _heats(chart) if not h.categories]
    else:
        parts = [m.heights if isinstance(m, Bars) else m.y for m in chart.marks if isinstance(m, Line | Points | Bars)]
        parts += [side for m in chart.marks if isinstance(m, Band) for side in (m.lo, m.hi)]
    return np.concatenate([np.ravel(p).astype(float) for p in parts]) if parts else np.empty(0)


def _with_limits(chart: Chart, limits: Limits) -> Chart:
    if not _has_heat(chart):
        return replace(chart, y=replace(chart.y, limits=limits))
    marks = tuple(replace(m, limits=limits) if isinstance(m, Heat) and not m.categories else m for m in chart.marks)
    return replace(chart, marks=marks)


def _log_heat(heat: Heat, on: bool) -> Heat:
    positive = heat.values[np.isfinite(heat.values) & (heat.values > 0)]
    if not on or heat.categories or not len(positive):
        return replace(heat, log=False, limits=None if heat.log else heat.limits)
    return replace(heat, log=True, diverging=False, limits=(float(positive.min()), float(positive.max())))


def _normalised(heat: Heat, by: By) -> Heat:
    values = heat.values.astype(float)
    size = np.where(np.isfinite(values), np.abs(values), 0)
    axis = {"global": None, "row": 1, "column": 0}[by]
    largest = size.max(axis=axis, keepdims=True, initial=0)
    scaled = np.divide(values, largest, out=np.where(np.isfinite(values), 0.0, np.nan), where=largest > 0)
    return replace(heat, values=scaled, limits=None, log=False, label=f"{heat.label} / largest" if heat.label else "")


def _average(y: np.ndarray, factor: float) -> np.ndarray:
    total, weight = 0.0, 0.0
    out = np.full(len(y), np.nan)
    for k, value in enumerate(np.asarray(y, dtype=float).tolist()):
        if np.isfinite(value):
            total = factor * total + (1 - factor) * value
            weight = factor * weight + (1 - factor)
            out[k] = total / weight
    return out
