"""Which cell shows which value? The mapping between data and the plot rectangle of one chart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from recorder.chart import Band, Bars, Chart, Edges, Heat, Limits, Line, Mark, Picture, Points, Scale, Text


@dataclass(frozen=True)
class Axis:
    """One scale over `cells` cells; cell 0 shows `low`. `reverse` turns it around."""

    low: float
    high: float
    cells: int
    log: bool = False
    reverse: bool = False

    def fraction(self, value: np.ndarray | float) -> np.ndarray:
        """Data to 0..1 along the axis; not finite and, under log, not positive values become NaN or -inf."""
        v = np.asarray(value, dtype=float)
        if self.log:
            with np.errstate(divide="ignore", invalid="ignore"):
                f = (np.log(v) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        else:
            f = (v - self.low) / (self.high - self.low)
        return 1 - f if self.reverse else f

    def value(self, fraction: float) -> float:
        """0..1 along the axis back to data."""
        f = 1 - fraction if self.reverse else fraction
        if self.log:
            return math.exp(math.log(self.low) + f * (math.log(self.high) - math.log(self.low)))
        return self.low + f * (self.high - self.low)

    def cell(self, value: float) -> int | None:
        """The cell that shows a value; None: outside."""
        f = float(self.fraction(value))
        return min(int(f * self.cells), self.cells - 1) if 0 <= f <= 1 and self.cells > 0 else None

    def cells_of(self, values: np.ndarray) -> np.ndarray:
        """(value,) the cell of each; -1: outside."""
        f = self.fraction(values)
        inside = (f >= 0) & (f <= 1)
        return np.where(inside, np.minimum(np.where(inside, f, 0) * self.cells, self.cells - 1).astype(int), -1)

    def centre(self, cell: int) -> float:
        """The value in the middle of a cell."""
        return self.value((cell + 0.5) / self.cells)


@dataclass(frozen=True)
class Field:
    """The plot rectangle of one chart in a painting: left, top, width, height in cells, and its two axes.

    `y` counts cells upwards from the bottom row.
    """

    chart: Chart
    left: int
    top: int
    width: int
    height: int
    x: Axis
    y: Axis

    def inside(self, column: int, row: int) -> bool:
        """Does a cell of the painting lie in the plot?"""
        return self.left <= column < self.left + self.width and self.top <= row < self.top + self.height

    def x_at(self, column: int) -> float:
        """The x of a column of the painting (its middle); columns beside the plot count as its nearest one."""
        return self.x.centre(min(max(column - self.left, 0), self.width - 1))

    def y_at(self, row: int) -> float:
        """The y of a row of the painting."""
        return self.y.centre(self.height - 1 - min(max(row - self.top, 0), self.height - 1))

    def column(self, x: float) -> int | None:
        """The column of the painting that shows x."""
        cell = self.x.cell(x)
        return None if cell is None else self.left + cell

    def row(self, y: float) -> int | None:
        """The row of the painting that shows y."""
        cell = self.y.cell(y)
        return None if cell is None else self.top + self.height - 1 - cell


def edges(heat: Heat) -> tuple[np.ndarray, np.ndarray]:
    """Column and row edges of a heat map in data coordinates."""
    rows, columns = heat.values.shape
    x = np.arange(columns + 1.0) if heat.x is None else np.asarray(heat.x, dtype=float)
    y = np.arange(rows + 1.0) if heat.y is None else np.asarray(heat.y, dtype=float)
    return x, y


def x_limits(chart: Chart) -> Limits:
    """The stretch along x: as asked, or that of the data, without a margin."""
    return _limits(chart.x, [v for mark in chart.marks for v in _extent(mark, 0)], margin=0.0)


def y_limits(chart: Chart) -> Limits:
    """The stretch along y: as asked, or that of the data, with a little air above lines and points."""
    tight = any(isinstance(mark, Heat | Picture) for mark in chart.marks)
    return _limits(chart.y, [v for mark in chart.marks for v in _extent(mark, 1)], margin=0.0 if tight else 0.04)


def _extent(mark: Mark, axis: int) -> tuple[np.ndarray, ...]:
    """The arrays of a mark that its axis (0: x, 1: y) must show. Rules and boxes follow, they do not lead."""
    match mark:
        case Line(x=x, y=y) | Points(x=x, y=y):
            return (x,) if axis == 0 else (y,)
        case Band(x=x, lo=lo, hi=hi):
            return (x,) if axis == 0 else (lo, hi)
        case Bars(edges=bins, heights=heights):
            return (bins,) if axis == 0 else (heights, np.zeros(1))
        case Heat():
            return (edges(mark)[axis],)
        case Picture(pixels=pixels):
            return (np.array([0.0, pixels.shape[1 - axis]]),)
        case Edges(x0=x0, y0=y0, x1=x1, y1=y1):
            return (x0, x1) if axis == 0 else (y0, y1)
        case Text(x=x, y=y):
            return (np.array([x if axis == 0 else y]),)
    return ()


def _limits(scale: Scale, arrays: list[np.ndarray], *, margin: float) -> Limits:
    if scale.limits is not None:
        return _widened(*sorted(scale.limits), log=scale.log)
    low, high = np.inf, -np.inf
    for array in arrays:
        a = np.asarray(array)
        if not a.size:
            continue
        least, most = float(a.min()), float(a.max())
        if not (np.isfinite(most - least) and (least > 0 or not scale.log)):  # a mask costs more than the data
            good = np.isfinite(a) & (a > 0) if scale.log else np.isfinite(a)
            least, most = float(a.min(where=good, initial=np.inf)), float(a.max(where=good, initial=-np.inf))
        low, high = min(low, least), max(high, most)
    if scale.names and not arrays:
        low, high = 0.0, len(scale.names) - 1.0
    if low > high:
        return (0.1, 1.0) if scale.log else (0.0, 1.0)
    if scale.log:
        grow = (high / low) ** margin
        return _widened(low / grow, high * grow, log=True)
    floor = 0.0 if low == 0 else low - margin * (high - low)
    return _widened(floor, high + margin * (high - low), log=False)


def _widened(low: float, high: float, *, log: bool) -> Limits:
    """Limits that differ by more than rounding can hide, so that a constant still has a scale."""
    if log:
        low, high = max(low, 1e-300), max(high, 1e-300)
        return (low, high) if high / low > 1 + 1e-9 else (low / 2, high * 2)
    if high - low > 1e-9 * max(abs(low), abs(high), 1e-290):
        return low, high
    room = 0.5 * max(abs(low), abs(high)) or 0.5
    return low - room, high + room
