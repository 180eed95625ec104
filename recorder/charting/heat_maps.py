"""How are values drawn as a heat map: those of all items over the steps, or any (row, column)?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recorder.chart import Chart, Heat, Scale
from recorder.charting.captions import labelled, words
from recorder.charting.curves import BOXES
from recorder.charting.gaps import counted, not_finite, shaded
from recorder.charting.stretches import rows_of, stretches
from recorder.charting.time_axis import time_scale
from recorder.runfile.schema import Series
from recorder.view import RunView, Window

COLUMNS = 400  # the most columns of a heat map over steps: more than a figure or a terminal can show
CELLS = 1 << 20  # and the most cells: of ten thousand tensors a hundred columns
LOG_SPAN = 100.0  # colours go by factors when positive values span more than this


def over_steps(run: RunView, series: Series, window: Window) -> Chart:
    """Items x steps as a heat map; a cell that stands for several rows shows the one of largest magnitude."""
    columns = min(window.points, COLUMNS, max(CELLS // len(series.items), 2))
    e = run.window(series.name, Window(window.lo, window.hi, columns, window.x))
    values = np.where(np.abs(e.max) >= np.abs(e.min), e.max, e.min).astype(float)
    where = stretches(run, series.name, None, window, e)
    heat = heat_of(
        values.T, label=labelled(series), x=where.edges, y=centred(len(series.items)), column_steps=where.first
    )
    heat = replace(heat, column_ends=where.last) if where.summarised else heat
    bad = not_finite(run, series, None, window, e)
    hidden = np.isfinite(values) & (e.nonfinite > 0)  # a cell without a value shows that itself
    boxes = [
        replace(box, y0=row - 0.5, y1=row + 0.5)
        for row in np.flatnonzero((bad | hidden).any(axis=0) if len(values) else [])
        for box in shaded(where.edges, hidden[:, row], bad[:, row])
    ]
    caption = f"{series.doc} {len(series.items):,} {series.item_dim}s, {rows_of(e, where)}"
    if e.rows > len(e.x):
        caption += f"; each cell is the value of largest magnitude of about {-(-e.rows // len(e.x)):,} rows"
    return Chart(
        words(series.name),
        time_scale(window.x),
        Scale(series.item_dim, names=series.items, reverse=True),
        (heat, *sorted(boxes, key=lambda box: box.role)[:BOXES]),
        caption + counted(e, bad) + ".",
    )


def heat_of(
    values: np.ndarray,
    *,
    label: str = "",
    x: np.ndarray | None = None,
    y: np.ndarray | None = None,
    column_steps: np.ndarray | None = None,
) -> Heat:
    """A heat map with the colours its values (row, column) ask for: by factors, around zero, or plain."""
    finite = values[np.isfinite(values)]
    positive = finite[finite > 0]
    log = bool(len(positive) and finite.min() >= 0 and positive.max() > LOG_SPAN * positive.min())
    diverging = bool(len(positive) and finite.min() < 0)
    limits = (float(positive.min()), float(positive.max())) if log else None
    return Heat(values, x, y, label, limits=limits, log=log, diverging=diverging, column_steps=column_steps)


def centred(n: int) -> np.ndarray:
    """Edges that put cell k around position k, where its name stands."""
    return np.arange(n + 1) - 0.5
