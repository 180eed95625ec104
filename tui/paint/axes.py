"""Where do the ticks of a chart stand, in cells, and how wide are their labels?"""

from __future__ import annotations

import math

import numpy as np

from recorder.chart import Chart, Heat, Picture, Scale
from tui.paint import ticks
from tui.paint.canvas import printable
from tui.paint.field import Axis, edges, y_limits
from tui.paint.readout import exact
from tui.words import clip

LETTERS = 4  # of a name that must at least be seen
NAME = 16  # cells that a name along x may have


def margin(chart: Chart, width: int, height: int) -> int:
    """The columns that the labels of the y axis want."""
    low, high = y_limits(chart)
    axis = Axis(low, high, height, chart.y.log, y_falls(chart))
    wanted = max((len(text) for _, text in y_ticks(chart, axis)), default=0)
    return min(wanted, max(width // 3, 4), 28)


def y_falls(chart: Chart) -> bool:
    """Do values grow downwards? Pictures have row 0 on top."""
    return chart.y.reverse or any(isinstance(mark, Picture) for mark in chart.marks)


def x_ticks(chart: Chart, axis: Axis) -> list[tuple[int, str]]:
    """(cell, text) along x: names, the steps of a heat map's columns, or round numbers."""
    heat = next((mark for mark in chart.marks if isinstance(mark, Heat)), None)
    if chart.x.parts:
        return _in_parts(chart.x, axis)
    if chart.x.names:
        return _named(chart.x, axis, _centres(chart.x, heat, 0), each=None)
    if heat is not None and heat.x is None and heat.column_steps is not None:
        steps = Scale(names=tuple(exact(step) for step in heat.column_steps))
        return _named(steps, axis, _centres(steps, heat, 0), each=10)
    return _numbered(chart.x, axis, most=max(axis.cells // 12, 2), counted=heat is not None and heat.x is None)


def y_ticks(chart: Chart, axis: Axis) -> list[tuple[int, str]]:
    """(cell, text) along y, cells counted upwards."""
    heat = next((mark for mark in chart.marks if isinstance(mark, Heat)), None)
    if chart.y.parts:
        return _in_parts(chart.y, axis, lying=False)
    if chart.y.names:
        return _named(chart.y, axis, _centres(chart.y, heat, 1), each=1)
    return _numbered(chart.y, axis, most=max(axis.cells // 4, 2), counted=heat is not None and heat.y is None)


def _numbered(scale: Scale, axis: Axis, *, most: int, counted: bool) -> list[tuple[int, str]]:
    """Ticks at round numbers; where a heat map just counts its entries they stand at the middles of those."""
    most = min(most, 10)
    if scale.log:
        found = ticks.logarithmic(axis.low, axis.high, most)
    elif counted:
        found = ticks.linear(math.ceil(axis.low), math.ceil(axis.high) - 1, most, whole=True)
    else:
        whole = scale.label in ("step", "epoch") and axis.high - axis.low >= 2
        found = ticks.linear(axis.low, axis.high, most, whole=whole)
    placed = ((axis.cell(tick.at + 0.5 * counted), tick.text) for tick in found)
    return [(cell, text) for cell, text in placed if cell is not None]


def _centres(scale: Scale, heat: Heat | None, axis: int) -> np.ndarray:
    """Where names stand: in the middle of a heat map's entries, at 0, 1, 2, ... otherwise."""
    if heat is None or scale.signed_log is not None:
        return np.arange(float(len(scale.names)))
    bounds = edges(heat)[axis]
    return (bounds[:-1] + bounds[1:]) / 2


def _named(scale: Scale, axis: Axis, centres: np.ndarray, *, each: int | None) -> list[tuple[int, str]]:
    """Names at cells, thinned so that each has `each` cells (None: as the longest wants, up to NAME)."""
    cells = axis.cells_of(centres[: len(scale.names)])
    inside = [k for k in np.flatnonzero(cells >= 0).tolist() if scale.names[k]]
    if not inside:
        return []
    room = axis.cells / len(inside)
    wanted = each if each is not None else min(max(len(printable(scale.names[k])) for k in inside) + 2, NAME)
    stride = max(1, int(np.ceil(wanted / room - 1e-9)))
    shown = [(int(cells[k]), printable(scale.names[k])) for k in inside[::stride]]
    return shown if each == 1 else [(cell, clip(name, max(int(room * stride) - 1, 1))) for cell, name in shown]


def _in_parts(scale: Scale, axis: Axis, *, lying: bool = True) -> list[tuple[int, str]]:
    """The names of stretches in their middles; along x as far as each has room for some letters of it."""
    found = []
    for start, stop, name in scale.parts:
        ends = np.clip(axis.fraction(np.array([start, stop])), 0, 1)
        first, last = sorted(round(float(f) * axis.cells) for f in ends)
        room = last - first - 1
        if not lying and last > first:
            found.append(((first + last - 1) // 2, printable(name)))
        elif lying and room >= min(LETTERS, len(name)):
            found.append(((first + last - 1) // 2, shortened(printable(name), room)))
    return found


def shortened(name: str, width: int) -> str:
    """A name in `width` cells; what most names end in goes first."""
    for long, short in ((".weight", ".w"), (".bias", ".b")):
        if len(name) > width and name.endswith(long):
            name = name.removesuffix(long) + short
    return clip(name, width, middle=width > 4)
