"""How does a view become a figure for a paper? The only place that knows matplotlib, and never pyplot.

figure(view, preset="double")    a matplotlib Figure at the size of a journal's column or page
draw(chart, ax)                  the chart in axes of your own
save(figure, file, format="pdf") the same bytes each time
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from itertools import cycle
from math import inf
from pathlib import Path
from string import ascii_lowercase
from typing import Any, Literal, get_args

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from recorder.chart import Chart, Heat, Plate, Table, View
from recorder.errors import ExportError
from tui.paper.axes import draw, put, square, tick_size, uncrowd, upright
from tui.paper.style import Preset, PresetName, preset_of, settings
from tui.paper.text import table_lines
from tui.words import clip

__all__ = ["Format", "PresetName", "draw", "figure", "image"]

Format = Literal["pdf", "svg", "png"]
SQUARE = 0.82  # of the width, the height up to which a square panel has room on both sides

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
    with matplotlib.rc_context(settings(size, style)), _quiet():
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
    with matplotlib.rc_context(settings(size, style)), _quiet():
        dots = dpi or matplotlib.rcParams["savefig.dpi"]
        dots = 300.0 if dots == "figure" else float(dots)
        sheet = _sheet(view, size, fixed=preset is not None, colours=colours, letters=letters, dpi=dots)
        sheet.set_layout_engine("none")  # it is laid out, and doing that again takes half of the time
        sheet.savefig(file, format=format, metadata=_METADATA[format], dpi=dots)
    return file.getvalue()


@contextmanager
def _quiet() -> Iterator[None]:
    """A name may hold letters that the font has not; they are drawn as boxes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        yield


def _sheet(
    view: View, size: Preset, *, fixed: bool, colours: str | None, letters: bool, dpi: float | None = None
) -> Figure:
    plate = view if isinstance(view, Plate) else Plate(((view,),))
    rows = [row for row in plate.rows if row]
    columns = max(map(len, rows), default=1)
    heights = _heights(rows, plate.heights, size, columns)
    sheet = Figure(figsize=(size.width, sum(heights)), dpi=dpi, layout="constrained")
    own = matplotlib.rcParams["figure.figsize"]
    if not fixed and list(own) != list(matplotlib.rcParamsDefault["figure.figsize"]):
        sheet.set_size_inches(*own)  # the user's style names a size, and no preset overrules it
    grid = sheet.add_gridspec(len(rows), columns, height_ratios=heights)
    axes: list[list[Axes]] = []
    titles: dict[Axes, Text] = {}
    for r, row in enumerate(rows):
        axes.append([sheet.add_subplot(grid[r, :] if len(row) == 1 else grid[r, c]) for c in range(len(row))])
        for ax, chart in zip(axes[-1], row, strict=True):
            title = put(chart, ax, colours=colours)
            if title is not None:
                titles[ax] = title
    every = [ax for row in axes for ax in row]
    if letters:
        for ax, letter in zip(every, cycle(ascii_lowercase), strict=False):
            _letter(ax, letter)
    if plate.share_x:
        _share(axes)
    _fit(sheet, titles)
    return sheet


def _fit(sheet: Figure, titles: dict[Axes, Text]) -> None:
    """Shorten the titles that are longer than the panel with what stands right of it; only a layout tells."""
    whole = {ax: title.get_text() for ax, title in titles.items()}
    for title in titles.values():
        title.set_text("A")  # keeps its height, and pushes nothing aside
    engine = sheet.get_layout_engine()
    if engine is not None:
        engine.execute(sheet)
    for ax in sheet.axes:
        uncrowd(ax)
    for ax, title in titles.items():
        panel, everything = ax.get_window_extent(), ax.get_tightbbox()
        title.set_text(whole[ax])
        if everything is not None:
            room, needed = max(everything.x1, panel.x1, _end(ax)) - panel.x0, title.get_window_extent().width
            if needed > room > 0:
                title.set_text(clip(whole[ax], max(4, int(len(whole[ax]) * room / needed)), middle=True))


def _end(ax: Axes) -> float:
    """Where the panel's place on the sheet ends, of which a picture takes only a part; some air before the next."""
    end = float(ax.get_position(original=True).transformed(ax.figure.transFigure).x1)
    return end - 0.3 * tick_size() * ax.figure.dpi / 72 if ax.images else 0.0


def _heights(rows: list[tuple[Chart, ...]], weights: tuple[float, ...], size: Preset, columns: int) -> list[float]:
    """Inches for each row: a panel's height times its weight, more where there are names to read, within a page."""
    panel = size.panel if columns == 1 else max(1.7, 0.72 * size.width / columns)
    mean = sum(weights) / len(weights) if len(weights) == len(rows) else 1.0
    share = [w / mean for w in weights] if len(weights) == len(rows) else [1.0] * len(rows)
    alone = 1.0 if len(rows) == 1 else 0.8
    most = size.tallest * (1.0 if len(rows) == 1 else 0.72)  # however many names, the other panels keep their room
    heights = [
        max(min(_wanted(chart, panel * alone * s, width), most, _broad(chart, width)) for chart in row)
        for s, row, width in zip(share, rows, [size.width / len(row) for row in rows], strict=True)
    ]
    shrink = min(1.0, size.tallest / sum(heights)) if heights else 1.0
    return [h * shrink for h in heights] or [size.panel]


def _broad(chart: Chart, width: float) -> float:
    """Inches up to which the panel is as broad as it likes: a square one has names on its left, a bar on its right."""
    return SQUARE * width if square(chart) else inf


def _wanted(chart: Chart, usual: float, width: float) -> float:
    """Inches for one chart: a table's rows, a heat map's names, otherwise the usual height; and the names below."""
    line = 1.15 * tick_size() / 72
    for m in chart.marks:
        if isinstance(m, Table):
            return 1.6 * line * sum(max(map(len, cells)) for cells in table_lines(m)) + 0.3
        if isinstance(m, Heat) and chart.y.signed_log is None and not chart.y.parts:
            return max(usual, line * sum(map(bool, chart.y.names)) + 0.6) + upright(chart, width)
    return usual + upright(chart, width)


def _letter(ax: Axes, letter: str) -> None:
    ax.annotate(
        letter, xy=(0, 1), xycoords="axes fraction", xytext=(-0.5, 0.6), textcoords="offset fontsize", weight="bold",
        ha="right", va="bottom", fontsize=1.15 * matplotlib.rcParams["font.size"],
    )  # fmt: skip


def _share(axes: list[list[Axes]]) -> None:
    """One horizontal scale in each column of panels, labelled at the bottom only."""
    for column in zip(*axes, strict=False):
        limits = column[0].get_xlim()
        for ax in column[1:]:
            ax.sharex(column[0])
        column[0].set_xlim(limits)
        for ax in column[:-1]:
            ax.tick_params(labelbottom=False)
            ax.set_xlabel("")
