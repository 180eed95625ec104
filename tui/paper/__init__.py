"""How does a view become a figure for a paper? The only place that knows matplotlib, and never pyplot.

figure(view, preset="double")    a matplotlib Figure at the size of a journal's column or page
draw(chart, ax)                  the chart in axes of your own
save(figure, file, format="pdf") the same bytes each time
"""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, get_args

import matplotlib
from matplotlib.figure import Figure

from recorder.chart import Chart, Heat, Plate, Table, View
from recorder.errors import ExportError
from tui.paper.axes import draw, tick_size
from tui.paper.style import Preset, PresetName, preset_of, settings

__all__ = ["Format", "PresetName", "draw", "figure", "image"]

Format = Literal["pdf", "svg", "png"]

_METADATA: dict[str, dict[str, Any]] = {  # no dates: the same view gives the same bytes
    "pdf": {"Creator": "layerscope", "Producer": None, "CreationDate": None},
    "svg": {"Creator": "layerscope", "Date": None},
    "png": {"Software": "layerscope"},
}


def figure(
    view: View,
    *,
    preset: PresetName | None = None,
    style: str | Path | None = None,
    colours: str | None = None,
    letters: bool = False,
) -> Figure:
    """The view as a figure of a journal's width; `style` is a .mplstyle file or a name, `letters` names panels a, b."""
    size = preset_of(preset or "single")
    with matplotlib.rc_context(settings(size, style)):
        return _sheet(view, size, fixed=preset is not None, colours=colours, letters=letters)


def image(
    view: View,
    format: Format,
    *,
    preset: PresetName | None = None,
    style: str | Path | None = None,
    colours: str | None = None,
    letters: bool = False,
    dpi: float | None = None,
) -> bytes:
    """The bytes of the view's figure as PDF, SVG or PNG."""
    if format not in _METADATA:
        raise ExportError(f"unknown format {format!r}; choose one of {', '.join(get_args(Format))}")
    size = preset_of(preset or "single")
    file = BytesIO()
    with matplotlib.rc_context(settings(size, style)), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # a name may hold letters that the font has not
        sheet = _sheet(view, size, fixed=preset is not None, colours=colours, letters=letters)
        sheet.savefig(file, format=format, metadata=_METADATA[format], dpi=dpi or matplotlib.rcParams["savefig.dpi"])
    return file.getvalue()


def _sheet(view: View, size: Preset, *, fixed: bool, colours: str | None, letters: bool) -> Figure:
    plate = view if isinstance(view, Plate) else Plate(((view,),))
    rows = [row for row in plate.rows if row]
    columns = max(map(len, rows), default=1)
    heights = _heights(rows, plate.heights, size, columns)
    sheet = Figure(figsize=(size.width, sum(heights)), layout="constrained")
    own = matplotlib.rcParams["figure.figsize"]
    if not fixed and list(own) != list(matplotlib.rcParamsDefault["figure.figsize"]):
        sheet.set_size_inches(*own)  # the user's style names a size, and no preset overrules it
    grid = sheet.add_gridspec(len(rows), columns, height_ratios=heights)
    number = 0
    for r, row in enumerate(rows):
        for c, chart in enumerate(row):
            ax = sheet.add_subplot(grid[r, :] if len(row) == 1 else grid[r, c])
            draw(chart, ax, colours=colours)
            if letters:
                _letter(ax, "abcdefghijklmnopqrstuvwxyz"[number % 26])
            number += 1
    if plate.share_x:
        _share(sheet, rows)
    return sheet


def _heights(rows: list[tuple[Chart, ...]], weights: tuple[float, ...], size: Preset, columns: int) -> list[float]:
    """Inches for each row: a panel's height times its weight, more where there are names to read, within a page."""
    panel = size.panel if columns == 1 else max(1.7, 0.72 * size.width / columns)
    mean = sum(weights) / len(weights) if len(weights) == len(rows) else 1.0
    share = [w / mean for w in weights] if len(weights) == len(rows) else [1.0] * len(rows)
    alone = 1.0 if len(rows) == 1 else 0.8
    heights = [max(panel * alone * s, *(_wanted(chart) for chart in row)) for s, row in zip(share, rows, strict=True)]
    shrink = min(1.0, size.tallest / sum(heights)) if heights else 1.0
    return [h * shrink for h in heights] or [size.panel]


def _wanted(chart: Chart) -> float:
    """Inches that the names of a heat map's rows, or the rows of a table, ask for."""
    line = 1.15 * tick_size() / 72
    if any(isinstance(m, Heat) for m in chart.marks):
        return line * sum(map(bool, chart.y.names)) + 0.6
    tables = [m for m in chart.marks if isinstance(m, Table)]
    return 1.5 * line * max((len(m.rows) + 1 for m in tables), default=0) + 0.3 if tables else 0.0


def _letter(ax: Any, letter: str) -> None:
    ax.annotate(
        letter, xy=(0, 1), xycoords="axes fraction", xytext=(-0.5, 0.6), textcoords="offset fontsize", weight="bold",
        ha="right", va="bottom", fontsize=1.15 * matplotlib.rcParams["font.size"],
    )  # fmt: skip


def _share(sheet: Figure, rows: list[tuple[Chart, ...]]) -> None:
    """One horizontal scale in each column of panels, labelled at the bottom only."""
    panels = iter([ax for ax in sheet.axes if ax.get_label() != "<colorbar>"])
    grid = [[next(panels) for _ in row] for row in rows]
    for column in zip(*grid, strict=False):
        limits = column[0].get_xlim()
        for ax in column[1:]:
            ax.sharex(column[0])
        column[0].set_xlim(limits)
        for ax in column[:-1]:
            ax.tick_params(labelbottom=False)
            ax.set_xlabel("")
