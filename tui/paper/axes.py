"""How is one chart put on axes: scales, ticks that do not overlap, names, legend?"""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.patches import Patch
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from recorder.chart import Band, Bars, Chart, Edges, Heat, Line, Picture, Points, Scale, Table
from recorder.chart import Text as Words
from tui.paper.marks import Panel, draw_mark, page
from tui.paper.text import WIDE, fits, literal, with_unit
from tui.words import clip

BESIDE = 4  # a legend of more entries stands beside the chart
MOST_ENTRIES = 20
NAMES = 0.36  # of the figure's width, at most, for the names of rows
AIR = 0.02  # of the width, beside a curve: its ends are dots, which the frame would cut
LINE = 1.12  # the height of a line in ems
SMALLER = 0.77  # names shrink to this before some are left out
WHOLE = ("step", "epoch")
COUNTED = ("step", "time", "parameter", "unit", "draw", "entry")  # 200k rather than 2 x 10^5


def draw(chart: Chart, ax: Axes, *, colours: str | None = None) -> None:
    """Draw the chart into any axes, with the settings in force; `colours` names the map of heat maps."""
    put(chart, ax, colours=colours)


def put(chart: Chart, ax: Axes, *, colours: str | None = None) -> Text | None:
    """Draw the chart, and return its title for who knows how much room it has."""
    panel = Panel(ax, chart, colours)
    if _is_log(chart):
        ax.set_yscale("log", nonpositive="mask")
    if chart.x.log:
        ax.set_xscale("log", nonpositive="mask")
    for mark in chart.marks:
        draw_mark(mark, panel)
    if any(isinstance(m, Picture | Table) for m in chart.marks):
        ax.set_anchor("NW")  # below its title, which has the whole width of the panel
        return _title(panel, 0)
    ax.set_xlabel(_label(chart.x, _length(ax.xaxis, across=True)))
    ax.set_ylabel(_label(chart.y, _length(ax.yaxis, across=False)))
    _limit(chart, ax)
    whole_x, whole_y = _whole(chart)
    _ticks(ax.xaxis, chart.x, across=True, whole=whole_x)
    _ticks(ax.yaxis, chart.y, across=False, whole=whole_y)
    if square(chart):
        ax.set_aspect("equal")
    if not _has_data(chart):
        ax.text(0.5, 0.5, "nothing to draw", transform=ax.transAxes, ha="center", va="center", color="#888888")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(NullLocator())
            axis.set_minor_locator(NullLocator())
    return _title(panel, _legend(panel))


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
    if any(isinstance(m, Edges | Words) for m in chart.marks):
        return True
    heats = [np.asarray(m.values, dtype=float) for m in chart.marks if isinstance(m, Heat)]
    return any(bool(np.isfinite(v).any()) for v in [*heats, *_heights(chart)])


def _limit(chart: Chart, ax: Axes) -> None:
    heat = any(isinstance(m, Heat) for m in chart.marks)
    tight = heat or any(isinstance(m, Bars) for m in chart.marks)
    ax.margins(x=0 if tight else AIR)
    if heat:
        ax.margins(y=0)
    heights = _heights(chart)
    if heights and not heat and all(not v.any() for v in heights):
        ax.set_ylim(-0.02, 1)  # nothing but zeros: no room below them
    if chart.x.limits is not None and chart.x.limits[0] < chart.x.limits[1]:
        lo, hi = chart.x.limits
        air = 0 if tight or chart.x.log else AIR * (hi - lo)
        ax.set_xlim(lo - air, hi + air)
    if chart.y.limits is not None and chart.y.limits[0] < chart.y.limits[1]:
        ax.set_ylim(*chart.y.limits)
    if chart.y.reverse:
        ax.invert_yaxis()
    if chart.x.reverse:
        ax.invert_xaxis()


def _label(scale: Scale, inches: float) -> str:
    """The label with its unit, in a second line where both do not fit into one, shortened to the axis."""
    room = fits(inches * 72, matplotlib.rcParams["axes.labelsize"])
    whole = with_unit(scale.label, scale.unit)
    if len(whole) <= room or whole == scale.label:
        return literal(clip(whole, room, middle=True))
    return "\n".join(literal(clip(line, room, middle=True)) for line in (scale.label, f"({scale.unit})"))


def _title(panel: Panel, lines: int) -> Text | None:
    """The chart's title, above so many lines of legend, unless a label says the same."""
    if panel.chart.title in ("", panel.chart.y.label):
        return None
    pad = matplotlib.rcParams["axes.titlepad"] + 1.6 * tick_size() * lines
    return panel.ax.set_title(literal(panel.chart.title), pad=pad)


def _whole(chart: Chart) -> tuple[bool, bool]:
    """Does a step, an epoch or a cell stand at each whole number, along x and along y?"""
    heats = [m for m in chart.marks if isinstance(m, Heat)]
    cells = [
        bool(heats) and all(e is None or np.array_equal(e, np.arange(len(e)) - 0.5) for e in edges)
        for edges in ([m.x for m in heats], [m.y for m in heats])
    ]
    bars = [m.edges for m in chart.marks if isinstance(m, Bars)]
    counted = bool(bars) and all(np.array_equal(e, np.arange(len(e)) - 0.5) for e in bars)
    return cells[0] or counted or chart.x.label in WHOLE, cells[1] or chart.y.label in WHOLE


def square(chart: Chart) -> bool:
    """A matrix of things by the same things, rather than a map over time."""
    heats = [m for m in chart.marks if isinstance(m, Heat)]
    same = all(m.values.size and m.values.shape[0] == m.values.shape[1] and not m.categories for m in heats)
    over_time = chart.x.label in ("step", "epoch", "time") and chart.x.label != chart.y.label
    parted = chart.x.parts and chart.x.parts == chart.y.parts
    return bool(heats and same and not over_time and (parted or all(_whole(chart))))


def _ticks(axis: Axis, scale: Scale, *, across: bool, whole: bool) -> None:
    inches = _length(axis, across=across)
    if scale.parts:
        _in_parts(axis, scale, inches, across=across)
    elif scale.names:
        _named(axis, scale, inches, across=across)
    elif axis.get_scale() == "log":
        axis.set_major_locator(LogLocator(numticks=max(3, int(inches * 2.5))))
    else:
        wanted = max(3, int(inches * (1.9 if across else 3)))
        lo, hi = sorted(axis.get_view_interval())
        if whole and hi - lo < wanted:
            axis.set_ticks(list(range(int(np.ceil(lo)), int(hi) + 1)))
        else:
            axis.set_major_locator(MaxNLocator(nbins=wanted, steps=[1, 2, 2.5, 5, 10], integer=whole))
        if scale.label in COUNTED:
            axis.set_major_formatter(FuncFormatter(_thousands))


def _length(axis: Axis, *, across: bool) -> float:
    """About how long the axis will be in inches, before the layout is known."""
    box = axis.axes.get_position()
    width, height = page(axis.axes)
    return float(0.9 * box.width * width if across else 1.15 * box.height * height) / 72


def _named(axis: Axis, scale: Scale, inches: float, *, across: bool) -> None:
    """As many of the names as have room, upright below the chart where they are too long to lie."""
    lo, hi = sorted(axis.get_view_interval())
    named = [k for k, name in enumerate(scale.names) if name and lo <= k <= hi]
    size = tick_size()
    if scale.signed_log is not None:
        shown, every, upright = _outwards(named, scale.signed_log[0], (hi - lo) / inches, across=across), 1, False
    else:
        longest = min(fits(page(axis.axes)[0] * NAMES, size), max((len(scale.names[k]) for k in named), default=1))
        lying = (longest * WIDE + 1) * size
        upright = across and lying * len(named) > inches * 72
        each = lying if across and not upright else LINE * size
        every = max(1, int(np.ceil(len(named) * each * (1 if across else SMALLER) / (inches * 72))))
        shown = named[::every]
        if not across and len(shown) * each > inches * 72:
            size = inches * 72 / len(shown) / LINE
            axis.set_tick_params(labelsize=size)
    room = fits(page(axis.axes)[0] * NAMES, size)
    axis.set_ticks(shown, [_name(scale, k, room) for k in shown])
    if upright:
        axis.set_tick_params(labelrotation=90)
    axis.set_minor_locator(NullLocator())
    if every == 1 and len(named) > 12:
        axis.set_tick_params(length=0)  # each row has its name, so ticks say nothing


def _in_parts(axis: Axis, scale: Scale, inches: float, *, across: bool) -> None:
    """The names of stretches in their middles, upright below the chart where they are wider than that.

    What has no room is left out.
    """
    lo, hi = sorted(axis.get_view_interval())
    size = tick_size()
    points = inches * 72 / max(hi - lo, 1e-300)
    seen = [(max(a, lo), min(b, hi), name) for a, b, name in scale.parts if b > lo and a < hi]
    upright = across and any((len(name) * WIDE + 1) * size > (b - a) * points for a, b, name in seen)
    room = fits(page(axis.axes)[0] * NAMES, size)
    places: list[float] = []
    names: list[str] = []
    for a, b, name in sorted(seen, key=lambda part: part[0] - part[1]):  # the widest first
        middle = (a + b) / 2
        if (across and not upright) or all(abs(middle - other) * points >= LINE * size for other in places):
            places.append(middle)
            names.append(literal(clip(name, room, middle=True)))
    axis.set_ticks(places, names)
    axis.set_tick_params(length=0)
    if upright:
        axis.set_tick_params(labelrotation=90)
    axis.set_minor_locator(NullLocator())


def upright(chart: Chart, inches: float) -> float:
    """The inches that the names below a chart of that width take where they have to stand upright; 0 where not."""
    names = [name for _, _, name in chart.x.parts] or [name for name in chart.x.names if name]
    if not names or chart.x.signed_log is not None:
        return 0.0
    size = tick_size()
    longest = min(max(map(len, names)), fits(72 * inches * NAMES, size))
    return longest * WIDE * size / 72 if (longest * WIDE + 1) * size * len(names) > 0.7 * 72 * inches else 0.0


def uncrowd(ax: Axes) -> None:
    """Leave out the names that would run into the one before, which only the layout tells."""
    ax.apply_aspect()
    for axis, across in ((ax.xaxis, True), (ax.yaxis, False)):
        if not isinstance(axis.get_major_locator(), FixedLocator):
            continue
        places, labels = axis.get_majorticklocs(), axis.get_ticklabels()
        if not labels:  # of panels that share their ticks only the lowest shows names
            continue
        boxes = [label.get_window_extent() for label in labels]
        spans = [(box.x0, box.x1) if across else (box.y0, box.y1) for box in boxes]
        kept: list[int] = []
        for k in sorted(range(len(labels)), key=lambda k: places[k]):
            low, high = spans[kept[-1]] if kept else (np.inf, np.inf)
            if spans[k][0] >= high or spans[k][1] <= low:
                kept.append(k)
        if len(kept) < len(places):
            axis.set_ticks([places[k] for k in kept], [labels[k].get_text() for k in kept])


def _outwards(named: list[int], zero: int, per_inch: float, *, across: bool) -> list[int]:
    """The ticks of a signed logarithm that have room, those nearest to zero first, so that zero is always there."""
    apart = per_inch * tick_size() / 72 * (3.2 if across else 1.3)
    kept: list[int] = []
    for k in sorted(named, key=lambda k: abs(k - zero)):
        if all(abs(k - other) >= apart for other in kept):
            kept.append(k)
    return sorted(kept)


def _name(scale: Scale, k: int, room: int) -> str:
    if scale.signed_log is None:
        return literal(clip(scale.names[k], room, middle=True))
    sign, _, power = scale.names[k].partition("1e")
    return f"${sign}10^{{{power}}}$" if power else f"${sign}$"


def _thousands(value: float, _: int | None = None) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= max(size, 1e4):
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _legend(panel: Panel) -> int:
    """Explain what is drawn, where it covers nothing, unless the title says it; how many lines stand above the axes."""
    handles = dict(panel.handles)
    own = [label for label in handles if label not in ("not finite", "no value", "infinite")]
    if len(own) == 1 and (own[0] in panel.chart.title or own[0] in panel.chart.y.label):
        handles.pop(own[0])
    if not handles:
        return 0
    ax, size = panel.ax, matplotlib.rcParams["legend.fontsize"]
    labels = [clip(label, fits(0.4 * page(ax)[0], size), middle=True) for label in list(handles)[:MOST_ENTRIES]]
    artists = list(handles.values())[:MOST_ENTRIES]
    if len(handles) > MOST_ENTRIES:
        artists.append(Patch(alpha=0))
        labels.append(f"and {len(handles) - MOST_ENTRIES:,} more")
    texts = [literal(label) for label in labels]
    if any(isinstance(m, Heat) for m in panel.chart.marks):
        columns = max(1, fits(72 * _length(ax.xaxis, across=True), size) // (max(map(len, labels)) + 5))
        ax.legend(
            artists, texts, loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, borderpad=0, borderaxespad=0.4
        )
        return -(-len(labels) // columns)
    if len(labels) <= BESIDE:
        ax.legend(artists, texts, loc="best")
    else:
        ax.legend(artists, texts, loc="upper left", bbox_to_anchor=(1, 1), borderaxespad=0.2)
    return 0
