"""How is one chart put on axes: scales, ticks that do not overlap, names, legend?"""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from recorder.chart import Band, Bars, Chart, Edges, Heat, Line, Picture, Points, Scale, Table, Text
from tui.paper.marks import Panel, draw_mark
from tui.paper.words import clipped, plain, with_unit

BESIDE = 4  # a legend of more entries stands beside the chart
MOST_ENTRIES = 20
WIDE = 0.55  # the width of a character in ems


def draw(chart: Chart, ax: Axes, *, colours: str | None = None, title: bool = True) -> None:
    """Draw the chart into any axes, with the settings in force; `colours` names the map of heat maps."""
    panel = Panel(ax, chart, colours)
    if _is_log(chart):
        ax.set_yscale("log", nonpositive="mask")
    if chart.x.log:
        ax.set_xscale("log", nonpositive="mask")
    for mark in chart.marks:
        draw_mark(mark, panel)
    if (
        title
        and chart.title
        and chart.title not in (chart.y.label, *(m.label for m in chart.marks if isinstance(m, Heat)))
    ):
        width = ax.figure.get_size_inches()[0] * 72 * 0.8
        ax.set_title(plain(clipped(chart.title, _fits(width, matplotlib.rcParams["axes.titlesize"]))))
    if any(isinstance(m, Picture | Table) for m in chart.marks):
        return
    ax.set_xlabel(plain(with_unit(chart.x.label, chart.x.unit)))
    ax.set_ylabel(plain(with_unit(chart.y.label, chart.y.unit)))
    _limit(chart, ax)
    _ticks(ax.xaxis, chart.x, across=True)
    _ticks(ax.yaxis, chart.y, across=False)
    if not _has_data(chart):
        ax.text(0.5, 0.5, "nothing to draw", transform=ax.transAxes, ha="center", va="center", color="#888888")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(NullLocator())
            axis.set_minor_locator(NullLocator())
    _legend(panel)


def tick_size() -> float:
    """The size of tick labels in points."""
    size = matplotlib.rcParams["ytick.labelsize"]
    return float(size) if isinstance(size, int | float) else 0.83 * float(matplotlib.rcParams["font.size"])


def _is_log(chart: Chart) -> bool:
    """A logarithm needs a positive value."""
    return chart.y.log and any(bool((v[np.isfinite(v)] > 0).any()) for v in _heights(chart))


def _heights(chart: Chart) -> list[np.ndarray]:
    values = [
        np.asarray(m.heights if isinstance(m, Bars) else m.y)
        for m in chart.marks
        if isinstance(m, Line | Points | Bars)
    ]
    return values + [np.asarray(side) for m in chart.marks if isinstance(m, Band) for side in (m.lo, m.hi)]


def _has_data(chart: Chart) -> bool:
    if any(isinstance(m, Edges | Text) for m in chart.marks):
        return True
    heats = [np.asarray(m.values, dtype=float) for m in chart.marks if isinstance(m, Heat)]
    return any(bool(np.isfinite(v).any()) for v in [*heats, *_heights(chart)])


def _limit(chart: Chart, ax: Axes) -> None:
    filled = any(isinstance(m, Heat | Bars) for m in chart.marks)
    ax.margins(x=0 if filled else 0.02)
    if any(isinstance(m, Heat) for m in chart.marks):
        ax.margins(y=0)
    for scale, set_limits in ((chart.x, ax.set_xlim), (chart.y, ax.set_ylim)):
        if scale.limits is not None and scale.limits[0] < scale.limits[1]:
            set_limits(*scale.limits)
    if chart.y.reverse:
        ax.invert_yaxis()
    if chart.x.reverse:
        ax.invert_xaxis()


def _ticks(axis: Axis, scale: Scale, *, across: bool) -> None:
    inches = _length(axis, across)
    if scale.names:
        _named(axis, scale, inches, across=across)
    elif scale.log and axis.get_scale() == "log":
        axis.set_major_locator(LogLocator(numticks=max(3, int(inches * 2.5))))
    elif axis.get_scale() != "log":
        axis.set_major_locator(
            MaxNLocator(nbins=max(2, int(inches * (1.7 if across else 2.6))), steps=[1, 2, 2.5, 5, 10])
        )
        if scale.label in ("step", "time", "parameter", "unit"):
            axis.set_major_formatter(FuncFormatter(_thousands))


def _length(axis: Axis, across: bool) -> float:
    """About how long the axis will be in inches, before the layout is known."""
    box = axis.axes.get_position()
    width, height = axis.axes.figure.get_size_inches()
    return float(box.width * width * 0.85 if across else box.height * height * 0.85)


def _named(axis: Axis, scale: Scale, inches: float, *, across: bool) -> None:
    lo, hi = sorted(axis.get_view_interval())
    named = [k for k, name in enumerate(scale.names) if name and lo <= k <= hi]
    longest = max((len(scale.names[k]) for k in named), default=1)
    room = _fits(_page(axis) * 0.36, tick_size())
    upright = across and longest * WIDE * tick_size() * len(named) > inches * 72 * 0.9
    each = 1.15 * tick_size() if upright or not across else (min(longest, room) * WIDE + 1) * tick_size()
    every = max(1, int(np.ceil(len(named) * each / (inches * 72)))) if named else 1
    shown = named[::every]
    look: dict[str, Any] = {"rotation": 90} if upright else {}
    axis.set_ticks(shown, [plain(clipped(scale.names[k], room)) for k in shown], **look)
    axis.set_minor_locator(NullLocator())
    if len(scale.names) > 12 or every > 1:
        axis.set_tick_params(length=0 if every == 1 else 2)


def _page(axis: Axis) -> float:
    """The width of the figure in points."""
    return float(axis.axes.figure.get_size_inches()[0]) * 72


def _fits(points: float, size: Any) -> int:
    """How many characters of that size fit."""
    number = float(size) if isinstance(size, int | float) else float(matplotlib.rcParams["font.size"])
    return max(8, int(points / (WIDE * number)))


def _thousands(value: float, _: int | None = None) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size and (size > 1e3 or abs(value) >= 1e4):
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _legend(panel: Panel) -> None:
    handles = dict(panel.handles)
    said = {plain(panel.chart.title), plain(panel.chart.y.label)}
    lines = [label for label in handles if label not in ("not finite", "infinite")]
    if len(lines) == 1 and (lines[0] in said or any(lines[0] in text for text in said)):
        handles.pop(lines[0])
    if not handles:
        return
    left = len(handles) - MOST_ENTRIES
    labels = list(handles)[:MOST_ENTRIES]
    artists = [handles[label] for label in labels]
    if left > 0:
        artists.append(panel.ax.plot([], [], " ")[0])
        labels.append(f"and {left:,} more")
    if len(labels) <= BESIDE and not any(isinstance(m, Heat) for m in panel.chart.marks):
        panel.ax.legend(artists, labels, loc="best")
    elif any(isinstance(m, Heat) for m in panel.chart.marks):
        panel.ax.legend(artists, labels, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=4, borderaxespad=0.2)
    else:
        panel.ax.legend(artists, labels, loc="upper left", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2)
