"""How tall is each bin? Bars in eighths of a cell, up from zero or down from it."""

from __future__ import annotations

import numpy as np

from recorder.chart import Bars
from tui.paint.heat import blocks
from tui.paint.palette import rgb
from tui.paint.plot import PLAIN_DOTS, Plot

_EIGHTHS = np.array([ord(c) for c in " ▁▂▃▄▅▆▇█"], dtype=np.uint32)


def paint_bars(plot: Plot, mark: Bars, colour: int) -> None:
    """Where several bins share a column, the tallest shows; where a bin has columns enough, a gap follows it."""
    f = plot.field
    heights = np.asarray(mark.heights, dtype=float)
    if not heights.size:
        return
    parts = blocks(f.x.fraction(mark.edges), f.width)
    zero = f.y.fraction(np.array(0.0 if not f.y.log else f.y.low)).clip(0, 1)
    tops = np.where(heights > 0, f.y.fraction(heights), zero) if f.y.log else f.y.fraction(heights)
    finite = np.isfinite(tops)
    tops = np.where(np.isposinf(heights), 1.0, np.where(finite, tops, zero)).clip(0, 1)
    top = np.array([_farthest(tops[a:b], zero) for a, b in zip(parts.first, parts.last, strict=True)])
    top = np.where(parts.valid & ~_gaps(parts.first), top, zero)
    low, high = np.minimum(zero, top), np.maximum(zero, top)
    high = np.where((high > low) & (high - low < 1 / (8 * f.height)), low + 1 / (8 * f.height), high)  # never invisible
    level = np.arange(f.height)[::-1, None]  # cells counted from the bottom, rows from the top
    filled = (high[None] * f.height - level).clip(0, 1) - (low[None] * f.height - level).clip(0, 1)
    hanging = (low[None] * f.height > level) & (filled > 0)
    eighths = np.ceil(filled * 8 - 1e-9).astype(int)
    glyphs, fg, bg = (layer[plot.area] for layer in (plot.canvas.glyph, plot.canvas.fg, plot.canvas.bg))
    ink = rgb(plot.series(colour))
    hit = eighths > 0
    if plot.look.ascii:
        glyphs[hit] = ord(PLAIN_DOTS[colour % 8] if colour else "#")
        fg[hit] = ink
        return
    glyphs[hit] = _EIGHTHS[eighths][hit]
    fg[hit] = ink
    if plot.look.blends:  # a bar that hangs: the ground grows from below instead
        swap = hanging & (eighths < 8)
        glyphs[swap] = _EIGHTHS[8 - eighths][swap]
        fg[swap], bg[swap] = bg[swap], ink


def _farthest(values: np.ndarray, zero: np.ndarray) -> float:
    return float(values[np.abs(values - zero).argmax()])


def _gaps(first: np.ndarray) -> np.ndarray:
    """(column,) bool: the last column of each bin, where bins are at least three columns wide."""
    starts = np.flatnonzero(np.diff(first))
    if not len(starts) or np.diff(starts, prepend=-1).min() < 3:
        return np.zeros(len(first), dtype=bool)
    gap = np.zeros(len(first), dtype=bool)
    gap[starts] = True
    return gap
