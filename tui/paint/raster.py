"""How do a million points become a few thousand dots, with no spike lost?

A dot is a sub-cell: 2 x 4 of them in a braille cell, 1 x 1 where glyphs must be plain. Lines are first thinned to the
first, lowest, highest and last value of each dot column, which draws the very same picture, then every segment is
walked dot by dot. Rows of dots count downwards from the top.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tui.paint.canvas import DOT_BITS

_FAR = 1e6  # plot heights away: steep enough to be vertical, small enough to calculate with


@dataclass(frozen=True)
class Grid:
    """The dots of a plot rectangle."""

    columns: int
    rows: int

    def empty(self) -> np.ndarray:
        """(row, column) of no dots."""
        return np.zeros((self.rows, self.columns), dtype=bool)

    def column(self, x: np.ndarray) -> np.ndarray:
        """Fractions 0..1 along x to (unclipped) dot positions."""
        return np.minimum(np.floor(x * self.columns), np.where(x <= 1, self.columns - 1, np.inf))

    def row(self, y: np.ndarray) -> np.ndarray:
        """Fractions 0..1 along y (0 at the bottom) to dot positions from the top."""
        return self.rows - 1 - np.minimum(np.floor(y * self.rows), np.where(y <= 1, self.rows - 1, np.inf))


def line(grid: Grid, x: np.ndarray, y: np.ndarray, *, dashed: bool = False) -> np.ndarray:
    """Dots (row, column) of the polyline through fractions x, y; a value that is not finite breaks it."""
    y = np.where(np.abs(y) < _FAR, y, np.where(np.isfinite(y), np.sign(y) * _FAR, y))
    if len(x) > 4 * grid.columns and _rises(x):
        x, y = _thinned(grid, x, y)
    dots = grid.empty()
    finite = np.isfinite(x) & np.isfinite(y)
    joined = finite[:-1] & finite[1:]
    segments(dots, grid, x[:-1][joined], y[:-1][joined], x[1:][joined], y[1:][joined], dashed=dashed)
    scatter(dots, grid, x[finite], y[finite])  # a point between two NaN is a point
    return dots


def segments(
    dots: np.ndarray,
    grid: Grid,
    x0: np.ndarray,
    y0: np.ndarray,
    x1: np.ndarray,
    y1: np.ndarray,
    *,
    dashed: bool = False,
) -> None:
    """Set the dots along straight segments, given in fractions, clipped to the grid."""
    keep, x0, y0, x1, y1 = _clipped(x0, y0, x1, y1)
    c0, r0 = grid.column(x0[keep]), grid.row(y0[keep])
    c1, r1 = grid.column(x1[keep]), grid.row(y1[keep])
    length = np.maximum(np.abs(c1 - c0), np.abs(r1 - r0)).astype(np.int64)
    total = length + 1
    which = np.repeat(np.arange(len(total)), total)
    along = np.arange(len(which)) - np.repeat(np.cumsum(total) - total, total)
    part = along / np.maximum(length, 1)[which]
    column = np.rint(c0[which] + part * (c1 - c0)[which]).astype(np.int64)
    row = np.rint(r0[which] + part * (r1 - r0)[which]).astype(np.int64)
    if dashed:
        drawn = np.arange(len(which)) // 4 % 2 == 0
        column, row = column[drawn], row[drawn]
    dots[row, column] = True


def scatter(dots: np.ndarray, grid: Grid, x: np.ndarray, y: np.ndarray) -> None:
    """Set one dot a point; what lies outside is left out."""
    inside = (x >= 0) & (x <= 1) & (y >= 0) & (y <= 1)
    dots[grid.row(y[inside]).astype(np.int64), grid.column(x[inside]).astype(np.int64)] = True


def band(grid: Grid, x: np.ndarray, lo: np.ndarray, hi: np.ndarray) -> np.ndarray:
    """Dots (row, column) of the area between lo and hi over x, all fractions; rising x."""
    dots = grid.empty()
    lo = np.where(np.isneginf(lo), -1.0, lo)  # under a logarithm all of 0 and below is under the frame
    good = np.isfinite(x) & np.isfinite(lo) & np.isfinite(hi)
    centre = (np.arange(grid.columns) + 0.5) / grid.columns
    if not good.any():
        return dots
    # Between points the edges are interpolated; a column that holds points spans all of them.
    low = np.interp(centre, x[good], lo[good], left=np.nan, right=np.nan)
    high = np.interp(centre, x[good], hi[good], left=np.nan, right=np.nan)
    gap = np.interp(centre, x, (~good).astype(float)) > 0
    low[gap], high[gap] = np.nan, np.nan
    column = grid.column(x[good])
    here = (column >= 0) & (column < grid.columns)
    column = column[here].astype(np.int64)
    np.fmin.at(low, column, lo[good][here])
    np.fmax.at(high, column, hi[good][here])
    shown = (low <= 1) & (high >= 0)
    bottom = grid.row(np.clip(np.where(shown, low, 0), 0, 1))
    top = grid.row(np.clip(np.where(shown, high, 0), 0, 1))
    rows = np.arange(grid.rows)[:, None]
    dots |= shown & (rows >= top) & (rows <= bottom)
    return dots


def braille(dots: np.ndarray) -> np.ndarray:
    """(4 rows, 2 columns) of dots a cell -> the bits of its braille glyph."""
    rows, columns = dots.shape[0] // 4, dots.shape[1] // 2
    cells = dots.reshape(rows, 4, columns, 2)
    return np.einsum("rick,ik->rc", cells.astype(np.uint32), DOT_BITS)


def columns_of(x: np.ndarray, cells: int) -> np.ndarray:
    """(cell,) bool: the columns of cells in which these fractions fall."""
    marked = np.zeros(cells, dtype=bool)
    inside = (x >= 0) & (x <= 1)
    marked[np.minimum((x[inside] * cells).astype(np.int64), cells - 1)] = True
    return marked


def _rises(x: np.ndarray) -> bool:
    return bool(np.all(x[1:] >= x[:-1]))


def _thinned(grid: Grid, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First, lowest, highest and last value of each dot column; NaN at an end still breaks the line there."""
    lo, hi = int(np.searchsorted(x, 0.0, side="left")), int(np.searchsorted(x, 1.0, side="right"))
    lo, hi = max(lo - 1, 0), min(hi + 1, len(x))  # one point beyond each border keeps the way there
    x, y = x[lo:hi], y[lo:hi]
    column = grid.column(x)
    first = np.flatnonzero(np.concatenate([[True], column[1:] != column[:-1]]))
    last = np.concatenate([first[1:], [len(x)]]) - 1
    extremes = np.where(np.isfinite(y), y, np.nan)
    low, high = np.fmin.reduceat(extremes, first), np.fmax.reduceat(extremes, first)
    thin_x = np.stack([x[first], x[first], x[first], x[last]], axis=1).ravel()
    thin_y = np.stack([y[first], low, high, y[last]], axis=1).ravel()
    return thin_x, thin_y


def _clipped(
    x0: np.ndarray, y0: np.ndarray, x1: np.ndarray, y1: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Liang and Barsky's clipping to the unit square: which segments remain, and their ends."""
    dx, dy = x1 - x0, y1 - y0
    enter, leave = np.zeros(len(x0)), np.ones(len(x0))
    outside = np.zeros(len(x0), dtype=bool)
    for p, q in ((-dx, x0), (dx, 1 - x0), (-dy, y0), (dy, 1 - y0)):
        with np.errstate(divide="ignore", invalid="ignore"):
            t = q / p
        outside |= (p == 0) & (q < 0)
        enter = np.where(p < 0, np.maximum(enter, t), enter)
        leave = np.where(p > 0, np.minimum(leave, t), leave)
    keep = ~outside & (enter <= leave)
    ends = (
        np.clip(start + t * d, 0, 1)
        for start, d, t in ((x0, dx, enter), (y0, dy, enter), (x0, dx, leave), (y0, dy, leave))
    )
    a, b, c, d = ends
    return keep, a, b, c, d
