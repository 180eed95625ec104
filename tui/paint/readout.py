"""What are the numbers under the cursor? Every value there, by name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recorder.chart import Band, Bars, Box, Chart, Heat, Line, Mark, Picture, Plate, Points, Rule, Scale, View
from recorder.charting.signed_log import value_at
from tui.paint.field import edges

Reading = tuple[str, str]

HERE = "here"  # stands before what a rule or a shaded stretch says


@dataclass(frozen=True)
class Cursor:
    """Where the user stands: x and y in data coordinates of chart number `chart` of a plate, or a heat map's cell.

    Charts of a plate whose x axis has the same label and unit follow x.
    """

    x: float | None = None
    y: float | None = None
    row: int | None = None
    column: int | None = None
    chart: int = 0


def read_out(view: View, cursor: Cursor) -> list[Reading]:
    """(label, text) of every value at the cursor, the place first; [] where there is nothing."""
    if isinstance(view, Chart):
        return _of_chart(view, cursor)
    readings: list[Reading] = []
    for chart in followers(view, cursor):
        here = _of_chart(chart, cursor)
        if readings and here and here[0] == readings[0]:
            here = here[1:]  # the place is said once
        readings += [(label or chart.title, text) for label, text in here]
    return readings


def followers(view: Plate, cursor: Cursor) -> list[Chart]:
    """The charts of a plate that a cursor moves through; its own chart is one of them."""
    charts = view.charts
    if not 0 <= cursor.chart < len(charts):
        return []
    own = charts[cursor.chart].x
    return [
        chart
        for k, chart in enumerate(charts)
        if k == cursor.chart or (own.label and (chart.x.label, chart.x.unit) == (own.label, own.unit))
    ]


def heat_cell(heat: Heat, cursor: Cursor) -> tuple[int | None, int | None]:
    """(row, column) of a heat map at the cursor; None where it says nothing or points beside the map."""
    x, y = edges(heat)
    row = cursor.row if cursor.row is not None else _between(y, cursor.y)
    column = cursor.column if cursor.column is not None else _between(x, cursor.x)
    rows, columns = heat.values.shape
    return (
        row if row is not None and 0 <= row < rows else None,
        column if column is not None and 0 <= column < columns else None,
    )


def exact(value: float) -> str:
    """A value with six digits, a whole number with all of them."""
    v = float(value)
    if np.isnan(v):
        return "NaN"
    if np.isinf(v):
        return "∞" if v > 0 else "-∞"
    return f"{int(v)}" if v == int(v) and abs(v) < 1e15 else f"{v:.6g}"


def _of_chart(chart: Chart, cursor: Cursor) -> list[Reading]:
    values = [reading for mark in chart.marks for reading in _of_mark(chart, mark, cursor)]
    values = [r for k, r in enumerate(values) if r[0] != HERE or r not in values[:k]]  # a rule and a stretch, say
    placed = any(isinstance(mark, Heat | Picture | Points) for mark in chart.marks)
    if cursor.x is None or placed or not values:
        return values
    place = (chart.x.label or "x", name_at(chart.x, cursor.x) or _with_unit(_at(chart.x, cursor.x), chart.x))
    return values if values[0] == place else [place, *values]  # a bar has said which one it is


def _of_mark(chart: Chart, mark: Mark, cursor: Cursor) -> list[Reading]:
    x = cursor.x
    match mark:
        case Line() if x is not None and len(mark.x):
            k = _nearest(mark.x, x)
            return (
                []
                if k is None
                else [(_name(chart, mark.label), _with_unit(exact(mark.y[k]), chart.y) + _where(mark.x, k, x))]
            )
        case Band() if x is not None and len(mark.x):
            k = _nearest(mark.x, x)
            if k is None:
                return []
            text = f"{exact(mark.lo[k])} … {exact(mark.hi[k])}"
            return [(mark.label or "min … max", _with_unit(text, chart.y) + _where(mark.x, k, x))]
        case Bars() if x is not None:
            k = _between(mark.edges, x)
            if k is None:
                return []
            return [
                _bin(chart.x, float(mark.edges[k]), float(mark.edges[k + 1])),
                (_name(chart, mark.label), _with_unit(exact(mark.heights[k]), chart.y)),
            ]
        case Points() if x is not None and len(mark.x):
            return _of_points(chart, mark, x, cursor.y)
        case Heat():
            return _of_heat(chart, mark, cursor)
        case Picture():
            return _of_picture(mark, cursor)
        case Box() | Rule() if x is not None and mark.label and _covers(mark, x):
            return [(HERE, mark.label)]
    return []


def _bin(scale: Scale, low: float, high: float) -> Reading:
    """Where a bar stands: from where to where, or which entry it is."""
    middle = (low + high) / 2
    if scale.signed_log is None and scale.label and high - low == 1 and middle == int(middle):
        return scale.label, exact(middle)
    return "bin", _with_unit(f"{_at(scale, low)} … {_at(scale, high)}", scale)


def _of_points(chart: Chart, mark: Points, x: float, y: float | None) -> list[Reading]:
    good = np.flatnonzero(np.isfinite(mark.x) & np.isfinite(mark.y))
    if not len(good):
        return []
    across = (mark.x[good] - x) / (np.ptp(mark.x[good]) or 1.0)
    up = 0.0 if y is None else (mark.y[good] - y) / (np.ptp(mark.y[good]) or 1.0)
    k = int(good[np.argmin(across**2 + up**2)])
    name = mark.names[k] if k < len(mark.names) else f"{k}"
    readings = [(mark.label or "nearest", name)]
    if mark.group is not None and 0 <= int(mark.group[k]) < len(mark.group_names):
        readings.append(("group", mark.group_names[int(mark.group[k])]))
    readings.append((chart.x.label or "x", _with_unit(exact(mark.x[k]), chart.x)))
    readings.append((chart.y.label or "y", _with_unit(exact(mark.y[k]), chart.y)))
    return readings


def _of_heat(chart: Chart, mark: Heat, cursor: Cursor) -> list[Reading]:
    row, column = heat_cell(mark, cursor)
    readings: list[Reading] = []
    x, y = edges(mark)
    if column is not None:
        if mark.column_steps is not None:  # also where the axis counts epochs or seconds
            readings.append(("step", _steps_of(mark, mark.column_steps, column)))
        else:
            readings.append((chart.x.label or "column", _entry(chart.x, x, column, given=mark.x is not None)))
    if row is not None:
        readings.append((chart.y.label or "row", _entry(chart.y, y, row, given=mark.y is not None)))
    if row is not None and column is not None:
        value = mark.values[row, column]
        whole = mark.categories and np.isfinite(value) and 0 <= int(value) < len(mark.categories)
        readings.append((mark.label or "value", mark.categories[int(value)] if whole else exact(value)))
    return readings


def _steps_of(mark: Heat, steps: np.ndarray, column: int) -> str:
    first = int(steps[column])
    last = int(mark.column_ends[column]) if mark.column_ends is not None else first
    return f"{first}" if first == last else f"{first} … {last}"


def _of_picture(mark: Picture, cursor: Cursor) -> list[Reading]:
    if cursor.row is None or cursor.column is None:
        return []
    height, width = mark.pixels.shape[:2]
    if not (0 <= cursor.row < height and 0 <= cursor.column < width):
        return []
    value = np.atleast_1d(mark.pixels[cursor.row, cursor.column])
    return [("pixel", f"{cursor.column}, {cursor.row}"), (mark.label or "value", " ".join(f"{v:.3g}" for v in value))]


def _entry(scale: Scale, bounds: np.ndarray, k: int, *, given: bool) -> str:
    if k < len(scale.names) and scale.signed_log is None:
        return scale.names[k]
    return _with_unit(f"{_at(scale, bounds[k])} … {_at(scale, bounds[k + 1])}", scale) if given else f"{k}"


def _at(scale: Scale, position: float) -> str:
    """A place on an axis as the value that it stands for."""
    value = float(value_at(scale, position))
    return exact(value) if scale.signed_log is None else f"{value:.3g}"  # digits beyond are the logarithm's


def name_at(scale: Scale, x: float) -> str:
    """The name that stands at a place, "" where there is none."""
    named = scale.signed_log is None and x == int(x) and 0 <= x < len(scale.names)
    return scale.names[int(x)] if named else ""


def _nearest(places: np.ndarray, x: float) -> int | None:
    distance = np.abs(np.asarray(places, dtype=float) - x)
    return None if np.isnan(distance).all() else int(np.nanargmin(distance))


def _where(places: np.ndarray, k: int, x: float) -> str:
    """Say the place too where the nearest value is not really at the cursor."""
    spacing = (float(np.nanmax(places)) - float(np.nanmin(places))) / max(len(places) - 1, 1)
    return f"  at {exact(places[k])}" if abs(float(places[k]) - x) > max(spacing, 1e-12 * abs(x)) else ""


def _between(bounds: np.ndarray, value: float | None) -> int | None:
    """Which bin holds a value; the last edge belongs to the last bin."""
    if value is None or len(bounds) < 2 or not np.isfinite(value):
        return None
    rising = np.asarray(bounds, dtype=float)
    falls = bool(rising[-1] < rising[0])
    rising = rising[::-1] if falls else rising
    if not rising[0] <= value <= rising[-1]:
        return None
    k = min(int(np.searchsorted(rising, value, side="right")) - 1, len(rising) - 2)
    return len(rising) - 2 - k if falls else k


def _covers(mark: Box | Rule, x: float) -> bool:
    if isinstance(mark, Box):
        return mark.x0 <= x <= mark.x1
    return mark.axis == "x" and mark.at == x


def _name(chart: Chart, label: str) -> str:
    return label or chart.y.label or chart.title or "value"


def _with_unit(text: str, scale: Scale) -> str:
    return f"{text} {scale.unit}" if scale.unit and scale.unit != "1" else text
