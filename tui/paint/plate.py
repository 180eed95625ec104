"""How do several charts share one sheet? Rows by their heights, columns equally, plots of a column aligned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recorder.chart import Chart, Limits, Plate
from tui.paint.axes import margin
from tui.paint.canvas import BOLD, Canvas
from tui.paint.chart import Place, caption_lines, paint_chart, plot_height
from tui.paint.field import Field, x_limits
from tui.paint.readout import Cursor, followers

LEAST = 4  # rows below which a chart says nothing
GAP = 2  # columns between charts


def paint_plate(canvas: Canvas, plate: Plate, *, cursor: Cursor | None = None) -> tuple[Field | None, ...]:
    """Draw all charts that there is room for, and say how many there are beyond."""
    colours = canvas.look.colours
    top, bottom = 0, canvas.height
    if plate.title and canvas.height >= 8 and plate.title not in [chart.title for chart in plate.charts]:
        canvas.write(0, 0, plate.title, colours.foreground, attributes=BOLD)
        top += 1
    for line in reversed(caption_lines(plate.caption, canvas.width, canvas.height)):
        bottom -= 1
        canvas.write(0, bottom, line, colours.muted)
    rows = plate.rows[: max(1, (bottom - top) // LEAST)]
    hidden = len(plate.charts) - sum(len(row) for row in rows)
    if hidden and bottom - top > LEAST:
        bottom -= 1
        canvas.write(0, bottom, f"{hidden} more charts need a taller window", colours.muted)
    moved = set(map(id, followers(plate, cursor))) if cursor is not None else set[int]()
    fields: list[Field | None] = []
    bounds = _shares(bottom - top, [plate.heights[k] if k < len(plate.heights) else 1.0 for k in range(len(rows))])
    heights = np.diff(bounds).tolist()
    for k, (row, height) in enumerate(zip(rows, heights, strict=True)):
        across = _shares(canvas.width + GAP, [1.0] * len(row))
        for column, chart in enumerate(row):
            width = across[column + 1] - across[column] - GAP
            if width < 1 or height < 1:
                fields.append(None)
                continue
            below = [(other[column], h) for other, h in zip(rows, heights, strict=True) if len(other) == len(row)]
            limits = _union([other for other, _ in below]) if plate.share_x else None
            aligned = [(other, h) for other, h in below if plate.share_x or _alike(other, chart)]
            labels = max(margin(other, width, plot_height(other, canvas.look, width, h)) for other, h in aligned)
            place = Place(across[column], top + bounds[k], width, height, limits, labels)
            said = bool(chart.caption) and chart.caption in plate.caption
            shown = replace(chart, caption="") if said else chart
            fields.append(paint_chart(canvas, shown, place, cursor=cursor if id(chart) in moved else None))
    return (*fields, *[None] * hidden)


def _shares(cells: int, weights: list[float]) -> list[int]:
    """Bounds that divide cells by weight."""
    total = np.cumsum([0.0, *weights])
    return np.rint(total / (total[-1] or 1.0) * cells).astype(int).tolist()


def _alike(a: Chart, b: Chart) -> bool:
    return (a.x.label, a.x.unit) == (b.x.label, b.x.unit)


def _union(charts: list[Chart]) -> Limits:
    ends = [x_limits(chart) for chart in charts]
    return min(low for low, _ in ends), max(high for _, high in ends)
