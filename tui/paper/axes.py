"""How is one chart put on axes: scales, ticks that do not overlap, names, legend?"""

from __future__ import annotations

from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from recorder.chart import Band, Bars, Chart, Edges, Heat, Line, Picture, Points, Scale, Table, Text
from tui.paper.marks import Panel, draw_mark, page
from tui.paper.text import literal, with_unit
from tui.words import clip

BESIDE = 4  # a legend of more entries stands beside the chart
MOST_ENTRIES = 20
WIDE = 0.55  # the width of a character in ems
COUNTED = ("step", "time", "parameter", "unit", "draw", "entry")  # 200k rather than 2 x 10^5


def draw(chart: Chart, ax: Axes, *, colours: str | None = None) -> None:
    """Draw the chart into any axes, with the settings in force; `colours` names the map of heat maps."""
    panel = Panel(ax, chart, colours)
    if _is_log(chart):
        ax.set_yscale("log", nonpositive="mask")
    if chart.x.log:
        ax.set_xscale("log", nonpositive="mask")
    for mark in chart.marks:
        draw_mark(mark, panel)
    if any(isinstance(m, Picture | Table) for m in chart.marks):
        _title(panel, above=False)
        return
    ax.set_xlabel(_label(chart.x, _length(ax.xaxis, across=True)))
    ax.set_ylabel(_label(chart.y, _length(ax.yaxis, across=False)))
    _limit(chart, ax)
    _ticks(ax.xaxis, chart.x, across=True)
    _ticks(ax.yaxis, chart.y, across=False)
    if not _has_data(chart):
        ax.text(0.5, 0.5, "nothing to draw", transform=ax.transAxes, ha="center", va="center", color="#888888")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(NullLocator())
            axis.set_minor_locator(NullLocator())
    _title(panel, above=_legend(panel) == "above")


def tick_size() -> float:
    """The size of tick labels in points."""
    size = matplotlib.rcParams["ytick.labelsize"]
    return float(size) if isinstance(size, int | float) else 0.83 * float(matplotlib.rcParams["font.size"])


def _is_log(chart: Chart) -> bool:
    """A logarithm needs a positive value."""
    return chart.y.log and any(bool((v[np.isfinite(v)] > 0).any()) for v in _heights(chart))


def _heights(chart: Chart) -> list[np.ndarray]:
    """The numbers along y of all curves, bars and dots."""
    values = [m.heights if isinstance(m, Bars) else m.y for m in chart.marks if isinstance(m, Line | Points | Bars)]
    values += [side for m in chart.marks if isinstance(m, Band) for side in (m.lo, m.hi)]
    return [np.asarray(v, dtype=float) for v in values]


def _has_data(chart: Chart) -> bool:
    if any(isinstance(m, Edges | Text) for m in chart.marks):
        return True
    heats = [np.asarray(m.values, dtype=float) for m in chart.marks if isinstance(m, Heat)]
    return any(bool(np.isfinite(v).any()) for v in [*heats, *_heights(chart)])


def _limit(chart: Chart, ax: Axes) -> None:
    heat = any(isinstance(m, Heat) for m in chart.marks)
    ax.margins(x=0 if heat or any(isinstance(m, Bars) for m in chart.marks) else 0.02)
    if heat:
        ax.margins(y=0)
    for scale, set_limits in ((chart.x, ax.set_xlim), (chart.y, ax.set_ylim)):
        if scale.limits is not None and scale.limits[0] < scale.limits[1]:
            set_limits(*scale.limits)
    if chart.y.reverse:
        ax.invert_yaxis()
    if chart.x.reverse:
        ax.invert_xaxis()


def _label(scale: Scale, inches: float) -> str:
    """The label with its unit, in a second line where both do not fit into one."""
    whole = with_unit(scale.label, scale.unit)
    if whole == scale.label or len(whole) <= _fits(inches * 72, matplotlib.rcParams["axes.labelsize"]):
        return literal(whole)
    return f"{literal(scale.label)}\n{literal(f'({scale.unit})')}"


def _title(panel: Panel, *, above: bool) -> None:
    """The chart's title, over a legend that stands above the axes, unless a label says the same."""
    chart, ax = panel.chart, panel.ax
    if chart.title in ("", chart.y.label):
        return
    size = matplotlib.rcParams["axes.titlesize"]
    pad = matplotlib.rcParams["axes.titlepad"] + (1.6 * tick_size() if above else 0)
    ax.set_title(literal(clip(chart.title, _fits(_length(ax.xaxis, across=True) * 72, size), middle=True)), pad=pad)


def _ticks(axis: Axis, scale: Scale, *, across: bool) -> None:
    inches = _length(axis, across=across)
    if scale.names:
        _named(axis, scale, inches, across=across)
    elif axis.get_scale() == "log":
        axis.set_major_locator(LogLocator(numticks=max(3, int(inches * 2.5))))
    else:
        wanted = max(3, int(inches * (1.9 if across else 3)))
        axis.set_major_locator(MaxNLocator(nbins=wanted, steps=[1, 2, 2.5, 5, 10], integer=scale.label == "step"))
        if scale.label in COUNTED:
            axis.set_major_formatter(FuncFormatter(_thousands))


def _length(axis: Axis, *, across: bool) -> float:
    """About how long the axis will be in inches, before the layout is known."""
    box = axis.axes.get_position()
    width, height = page(axis.axes)
    return float(box.width * width if across else box.height * height) / 72 * 0.9


def _named(axis: Axis, scale: Scale, inches: float, *, across: bool) -> None:
    """As many of the names as have room, upright below the chart where they are too long to lie."""
    lo, hi = sorted(axis.get_view_interval())
    named = [k for k, name in enumerate(scale.names) if name and lo <= k <= hi]
    room = _fits(page(axis.axes)[0] * 0.36, tick_size())
    longest = min(room, max((len(scale.names[k]) for k in named), default=1))
    line, lying = 1.15 * tick_size(), (longest * WIDE + 1) * tick_size()
    upright = across and scale.signed_log is None and lying * len(named) > inches * 72
    each = lying if across and not upright else line
    every = max(1, int(np.ceil(len(named) * each / (inches * 72)))) if scale.signed_log is None else 1
    shown = named[::every]
    axis.set_ticks(shown, [_name(scale, k, room) for k in shown])
    if upright:
        axis.set_tick_params(labelrotation=90)
    axis.set_minor_locator(NullLocator())
    if every == 1 and len(named) > 12:
        axis.set_tick_params(length=0)  # each row has its name, so ticks say nothing


def _name(scale: Scale, k: int, room: int) -> str:
    if scale.signed_log is None:
        return literal(clip(scale.names[k], room, middle=True))
    sign, _, power = scale.names[k].partition("1e")
    return f"${sign}10^{{{power}}}$" if power else f"${sign}$"


def _fits(points: float, size: Any) -> int:
    """How many characters of that size fit."""
    number = float(size) if isinstance(size, int | float) else float(matplotlib.rcParams["font.size"])
    return max(8, int(points / (WIDE * number)))


def _thousands(value: float, _: int | None = None) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= max(size, 1e4):
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _legend(panel: Panel) -> Literal["", "inside", "beside", "above"]:
    """Explain what is drawn, where it covers nothing, unless the title says it; and say where the legend is."""
    handles = dict(panel.handles)
    said = (literal(panel.chart.title), literal(panel.chart.y.label))
    own = [label for label in handles if label not in ("not finite", "infinite")]
    if len(own) == 1 and any(own[0] in text for text in said):
        handles.pop(own[0])
    if not handles:
        return ""
    labels = list(handles)[:MOST_ENTRIES]
    artists = [handles[label] for label in labels]
    if len(handles) > MOST_ENTRIES:
        artists.append(Patch(alpha=0))
        labels.append(f"and {len(handles) - MOST_ENTRIES:,} more")
    ax = panel.ax
    if any(isinstance(m, Heat) for m in panel.chart.marks):
        ax.legend(artists, labels, loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderpad=0, borderaxespad=0.4)
        return "above"
    if len(labels) <= BESIDE:
        ax.legend(artists, labels, loc="best")
        return "inside"
    ax.legend(artists, labels, loc="upper left", bbox_to_anchor=(1, 1), borderaxespad=0.2)
    return "beside"
