"""Which view does a request ask for, and where do its recorded steps stand along x?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from recorder.chart import Chart, Heat, Picture, Plate, View
from recorder.charting import events
from recorder.charting.default_chart import default_chart
from recorder.charting.heat_maps import CELLS
from recorder.charting.layer_matrix import LayerMatrix
from recorder.charting.per_epoch import PerEpoch, epochs_of
from recorder.charting.transform import limited, log_y, smoothed, without_outliers
from recorder.entries import Entry, drawn, find
from recorder.errors import NotRecordedError
from recorder.runfile.schema import Kind
from recorder.view import At, RunView, Window
from tui.paint.field import x_limits
from tui.requests import Draw
from tui.state import Options
from tui.terminal import Cursor, read_out

STEP_FREE = (Kind.SCALAR, Kind.PER_ITEM)  # drawn over steps alone: the cursor moves without drawing anew
VIEWS, REMEMBERED = 4, 3 * CELLS  # how many views of all items are remembered, and how many cells they may have
RULER = 4000  # places along x between which steps are found by interpolation


Drawer = Callable[[RunView, Entry, At, Window], View]


def draw(run: RunView, request: Draw, chart: Drawer = drawn) -> View:
    """The view of an entry for an item at a step, transformed as the options want; `chart` may remember views."""
    entry = find(run, request.entry)
    item = request.item if request.item in entry.items else None
    at = At(step=request.step, item=item, samples=request.samples)
    if entry.kind is Kind.PER_ITEM and item is not None and not isinstance(entry.draw, LayerMatrix):
        view = _all_above_one(run, entry, at, request.window, chart)
    else:
        view = chart(run, entry, at, request.window)
    return transformed(view, request.options)


class Remembered:
    """Draws as `drawn` does, but keeps the last few views of all items.

    The next tensor then only needs its own curve, and a zoom that is taken back needs nothing.
    """

    def __init__(self) -> None:
        self._views: dict[tuple[object, ...], View] = {}

    def __call__(self, run: RunView, entry: Entry, at: At, window: Window) -> View:
        """The view of an entry."""
        if at.item is not None:
            return drawn(run, entry, at, window)
        asked = (entry.name, at, window)
        view = self._views.pop(asked, None) or drawn(run, entry, at, window)
        self._views[asked] = view  # the newest last
        while len(self._views) > VIEWS or (len(self._views) > 1 and sum(map(cells, self._views.values())) > REMEMBERED):
            del self._views[next(iter(self._views))]
        return view

    def forget(self) -> None:
        """The run has grown, or is another one."""
        self._views.clear()


def cells(view: View) -> int:
    """How many values the heat maps of a view hold: what of it takes memory."""
    return sum(mark.values.size for chart in view.charts for mark in chart.marks if isinstance(mark, Heat))


def _all_above_one(run: RunView, entry: Entry, at: At, window: Window, chart: Drawer) -> View:
    """All items over steps, and the chosen one's curve below."""
    every = chart(run, entry, replace(at, item=None), window)
    if isinstance(every, Plate) and len(every.rows) != 2:
        return every
    one = chart(run, entry, at, window)
    if not isinstance(one, Chart) or len(entry.items) < 2:
        return one
    caption = f"{every.charts[0].caption} Below: {one.caption}"
    if isinstance(every, Chart):
        return Plate(((every,), (one,)), every.title, caption, heights=(3.0, 2.0), share_x=True)
    return replace(every, rows=(every.rows[0], (one,)), caption=caption)


def transformed(view: View, options: Options) -> View:
    """The view with logarithm, smoothing and limits applied; colours are the painter's business."""
    if options.log is not None:
        view = log_y(view, options.log)
    if options.smoothing:
        view = smoothed(view, options.smoothing)
    if options.outliers:
        view = without_outliers(view)
    if options.limits is not None:
        view = limited(view, *options.limits)
    return view


def depends_on_step(entry: Entry) -> bool:
    """Does moving the cursor change the view itself, and not only where the cursor stands?"""
    plain = entry.draw is default_chart or isinstance(entry.draw, PerEpoch)
    return not getattr(entry.draw, "over_steps", False) and (not plain or entry.kind not in STEP_FREE)


def is_log(view: View) -> bool:
    """Are values shown by factors anywhere in the view?"""
    return any(c.y.log or any(m.log for m in c.marks if isinstance(m, Heat)) for c in view.charts)


def recorded(run: RunView, request: Draw) -> tuple[np.ndarray, np.ndarray]:
    """The steps at which the entry has rows, and their places along the x axis of its charts."""
    entry = find(run, request.entry)
    if not entry.series:
        happened = events.steps(run)
        return happened, happened
    item = entry.item if entry.item is not None else (request.item if request.item in entry.items else None)
    clock = run.clock(entry.series, item)
    steps = clock.step
    if isinstance(entry.draw, PerEpoch):
        return steps, epochs_of(clock)
    if request.window.x == "step" or not len(steps):
        return steps, steps
    try:
        known = run.window(entry.series, Window(points=RULER, x=request.window.x), item)
    except NotRecordedError:
        return steps, steps
    return steps, np.interp(steps, known.step, known.x)


def on_screen(view: View) -> View:
    """The view without what the explorer says beside it: the sheet's title and each panel's own caption."""
    if not isinstance(view, Plate):
        return view
    rows = tuple(tuple(replace(chart, caption="") for chart in row) for row in view.rows)
    return replace(view, title="", rows=rows)


def within(view: View, x: float) -> float | None:
    """A place along x moved into the chart, where the cursor stands outside of what is drawn; None: x is no time."""
    chart = view.charts[0]
    if any(isinstance(m, Picture) or (isinstance(m, Heat) and m.column_steps is None) for m in chart.marks):
        return None
    lo, hi = x_limits(chart)
    return min(max(x, lo), hi)


def short_read_out(view: View, cursor: Cursor) -> list[tuple[str, str]]:
    """The values under the cursor for one line: lines before bands, without the step and without saying one twice."""
    if isinstance(view, Plate) and view.share_x and len(view.rows) == 2:
        view = view.charts[-1]  # the curve has the number of the cell above it, and more
    found = [(label.partition(" (")[0], text) for label, text in read_out(view, cursor) if label != "step"]
    return sorted(found, key=lambda reading: reading[0] == "min … max")
