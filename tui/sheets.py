"""Which views stand on a figure that is written? An entry's, several entries' as lettered panels, one for each step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from recorder.errors import ExportError

if TYPE_CHECKING:  # numpy is imported when a figure is drawn
    from recorder.chart import Chart, Plate, View
    from recorder.entries import Entry
    from recorder.view import RunView
    from tui.requests import Draw

POINTS = 2000  # along x: more than a printed line of 7.2 in can show


def view_of(run: RunView, request: Draw) -> View:
    """The view as it is printed."""
    from recorder.charting.transform import normalised
    from tui.drawing import draw

    view, by = draw(run, request), request.options.normalise
    return view if by == "global" else normalised(view, by)  # colours run over the whole map anyway


def plate_of(views: Sequence[View], *, preset: str | None, panel: int = 1) -> Plate:
    """One panel of each view on one sheet, with the captions of all."""
    from recorder.chart import plate

    panels = [panel_of(view, panel) for view in views]
    captions = " ".join(f"({chr(97 + k % 26)}) {one.caption}" for k, one in enumerate(panels))
    return plate(panels, columns=1 if preset in (None, "single") else 2, caption=captions)


def panel_of(view: View, number: int) -> Chart:
    """The panel of that number, from 1."""
    charts = view.charts
    if number > len(charts):
        raise ExportError(f"--panel {number}: the view has {len(charts)} panel{'s' if len(charts) > 1 else ''}")
    return charts[number - 1]


def steps_of(run: RunView, entry: Entry, *, item: str | None, lo: int | None, hi: int | None) -> list[int]:
    """Every recorded step from `lo` to `hi`, for a figure of each."""
    steps: list[int] = run.clock(entry.series, item or (entry.items[0] if entry.items else None)).step.tolist()
    return [s for s in steps if (lo is None or s >= lo) and (hi is None or s <= hi)]
