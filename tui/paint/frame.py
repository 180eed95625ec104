"""What stands around and under the data? Axes, ticks, grid and sparse points, drawn by plotext.

plotext works on a unit square of cells here: scales, limits and logarithms are ours, so it never meets a value that is
not finite. Each paint gets a figure of its own; the module's global one would mix threads and charts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from plotext._figure import _figure_class

FRAME, GRID = -1, -2  # owners of a cell besides the clouds (0, 1, ...) and nobody
NOBODY = -3


@dataclass(frozen=True)
class Cloud:
    """Points as fractions (point,) of the plot, drawn with one marker: "braille" or a character."""

    x: np.ndarray
    y: np.ndarray
    marker: str


@dataclass(frozen=True)
class Frame:
    """Glyphs (row, column) as code points and who drew each: FRAME, GRID, NOBODY or the number of a cloud."""

    glyph: np.ndarray
    owner: np.ndarray


def draw(
    width: int,
    height: int,
    *,
    margin: int,
    x_ticks: Sequence[tuple[int, str]],
    y_ticks: Sequence[tuple[int, str]],
    grid: bool,
    clouds: Sequence[Cloud] = (),
) -> Frame:
    """A plot of width x height cells with `margin` columns of labels, an axis line left and below, one row of labels.

    Ticks are (cell, text); y cells count upwards. The result has margin + 1 + width columns and height + 2 rows.
    Labels along x that would touch are left out.
    """
    if clouds:
        return _drawn(width, height, margin, tuple(x_ticks), tuple(y_ticks), grid, clouds)
    return _empty(width, height, margin, tuple(x_ticks), tuple(y_ticks), grid)


Ticks = tuple[tuple[int, str], ...]


@lru_cache(maxsize=16)
def _empty(width: int, height: int, margin: int, x_ticks: Ticks, y_ticks: Ticks, grid: bool) -> Frame:
    """A moving cursor leaves the frame as it is."""
    return _drawn(width, height, margin, x_ticks, y_ticks, grid, ())


def _drawn(
    width: int, height: int, margin: int, x_ticks: Ticks, y_ticks: Ticks, grid: bool, clouds: Sequence[Cloud]
) -> Frame:
    figure = _figure_class()
    figure._limit_size(False, False)  # the figure's size is ours, whatever the terminal's
    figure.plotsize(margin + 1 + width, height + 2)
    figure.frame(False)
    figure.xaxes(True, False)
    figure.yaxes(True, False)
    figure.xlim(0, 1)
    figure.ylim(0, 1)
    # plotext puts v in 0..1 at cell round(v * (cells - 1)).
    xs = list(x_ticks) or [(0, " ")]
    ys = list(y_ticks) or [(0, "")]
    figure.xticks([cell / max(width - 1, 1) for cell, _ in xs], [text for _, text in xs])
    figure.yticks([cell / max(height - 1, 1) for cell, _ in ys], [text.rjust(margin) for _, text in ys])
    figure.grid(grid, False)
    figure.monitor.set_theme("clear")
    figure.scatter([-1.0], [-1.0], marker=" ", color=255)  # outside: axes are only drawn for some data
    for number, cloud in enumerate(clouds):
        dots = (2, 4) if cloud.marker == "braille" else (1, 1)
        x = _snapped(cloud.x, width * dots[0])
        y = _snapped(cloud.y, height * dots[1])
        figure.scatter(x.tolist(), y.tolist(), marker=cloud.marker, color=number)
    figure._set_sizes()
    figure.monitor.build_plot()
    matrix = figure.monitor.matrix
    glyph = np.array([[ord(c) for c in row] for row in reversed(matrix.marker)], dtype=np.uint32)
    owner = np.array(
        [[c if isinstance(c, int) else FRAME for c in row] for row in reversed(matrix.fullground)], dtype=np.int32
    )
    owner[glyph == ord(" ")] = NOBODY
    inner = owner[:height, margin + 1 :]
    inner[inner == FRAME] = GRID
    glyph.flags.writeable = owner.flags.writeable = False
    return Frame(glyph, owner)


def _snapped(fraction: np.ndarray, cells: int) -> np.ndarray:
    """The fraction at which plotext hits the cell that the rest of the painting means."""
    return np.minimum(np.floor(fraction * cells), cells - 1) / max(cells - 1, 1)
