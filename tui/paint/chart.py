"""How does one chart fill its place? Title and legend above, frame and ticks around, marks, cursor and caption."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from recorder.chart import Band, Bars, Chart, Heat, Limits, Line, Picture, Points, Rule, Scale, Table
from tui.paint import frame, legend, ticks
from tui.paint.canvas import BOLD, REVERSE, Canvas, printable
from tui.paint.field import Axis, Field, edges, x_limits, y_limits
from tui.paint.look import Depth
from tui.paint.marks import groups, not_drawn, paint_mark
from tui.paint.palette import channels, rgb
from tui.paint.plot import PLAIN_DOTS, Plot, plain_dots
from tui.paint.readout import Cursor, exact, heat_cell
from tui.words import clip

SPARSE = 1000  # more points than this are rastered, not handed to plotext (9 ms a thousand)


@dataclass(frozen=True)
class Place:
    """A rectangle of cells for a whole chart, and what a plate may ask for: limits along x, columns of labels."""

    left: int
    top: int
    width: int
    height: int
    x_limits: Limits | None = None
    margin: int | None = None


@dataclass(frozen=True)
class Layout:
    """Which parts there is room for."""

    framed: bool
    title: bool
    legend: bool  # in a row of its own
    label: bool  # of the x axis, in a row of its own
    caption: bool

    @property
    def above(self) -> int:
        return self.title + self.legend

    @property
    def below(self) -> int:
        return 2 * self.framed + self.label + self.caption


def paint_chart(canvas: Canvas, chart: Chart, place: Place, *, cursor: Cursor | None = None) -> Field:
    """Draw a chart into its place; the field maps its cells to data."""
    plain = plain_dots(canvas.look, _series(chart))
    found = legend.entries(chart, canvas.look, plain=plain, ground=canvas.ground)
    layout = _layout(chart, place, found)
    height = max(place.height - layout.above - layout.below, 1)
    labels = 0
    if layout.framed:
        labels = margin(chart, place.width, height) if place.margin is None else place.margin
    field = _field(chart, place, labels + 1 if layout.framed else 0, layout.above, height)
    plot = Plot(canvas, field, plain)
    places = legend.palette_places(chart)
    clouds = _clouds(plot, places) if layout.framed else []
    drawn = _frame(plot, labels, [cloud for _, cloud in clouds]) if layout.framed else None
    for mark, colour in zip(chart.marks, places, strict=True):
        if isinstance(mark, Points) and clouds:
            not_drawn(plot, mark.x, mark.y)
        else:
            paint_mark(plot, mark, colour)
    if drawn is not None:
        _stamp(plot, drawn, labels, [colour for colour, _ in clouds])
    if words := emptiness(chart):
        plot.say(words)
    _words_around(plot, place, layout, found)
    if cursor is not None:
        _cursor(plot, cursor, labels if layout.framed else None)
    return field


def _series(chart: Chart) -> int:
    """How many lines and groups of points must be told apart."""
    points = sum(len(groups(mark, 0)) for mark in chart.marks if isinstance(mark, Points))
    return points + sum(isinstance(mark, Line) for mark in chart.marks)


def margin(chart: Chart, width: int, height: int) -> int:
    """The columns that the labels of the y axis want."""
    low, high = y_limits(chart)
    wanted = max(
        (len(text) for _, text in _y_ticks(chart, Axis(low, high, height, chart.y.log, _y_falls(chart)))), default=0
    )
    return min(wanted, max(width // 3, 4), 28)


def emptiness(chart: Chart) -> str:
    """What to say where there is next to nothing to see."""
    marks = [mark for mark in chart.marks if isinstance(mark, Line | Points | Band | Bars | Heat | Picture)]
    if not chart.marks:
        return "nothing to draw"
    arrays = [_payload(mark) for mark in marks]
    total = sum(a.size for a in arrays)
    if not marks:
        return ""
    if total == 0:
        return "no data yet"
    if not any(np.isfinite(a).any() for a in arrays):
        return f"all {total} values are NaN or infinite" if total > 1 else "the only value is not finite"
    drawn_by_sign = not any(isinstance(mark, Heat | Picture | Bars) for mark in marks)
    if chart.y.log and drawn_by_sign and not any((a > 0).any() for a in arrays):
        return f"none of {total} values is positive; l switches to a linear axis"
    if total == 1 and isinstance(marks[0], Line):
        return f"one value so far: {exact(float(arrays[0].ravel()[0]))}"
    return ""


def _payload(mark: Line | Points | Band | Bars | Heat | Picture) -> np.ndarray:
    match mark:
        case Line(y=y) | Points(y=y):
            values = y
        case Band(hi=hi):
            values = hi
        case Bars(heights=heights):
            values = heights
        case Heat(values=cells):
            values = cells
        case Picture(pixels=pixels):
            values = pixels
    return np.asarray(values, dtype=float)


def _layout(chart: Chart, place: Place, found: list[legend.Entry]) -> Layout:
    bare = any(isinstance(mark, Picture | Table) for mark in chart.marks)
    framed = not bare and place.width >= 16 and place.height >= 6
    title = place.height >= 3 and bool(chart.title or chart.y.label)
    beside = title and _title_width(chart) + legend.total_width(found) + 3 <= place.width
    return Layout(
        framed=framed,
        title=title,
        legend=bool(found) and not beside and place.height >= 7,
        label=framed and bool(chart.x.label) and place.height >= 10,
        caption=bool(chart.caption) and place.height >= 12,
    )


def _field(chart: Chart, place: Place, left: int, above: int, height: int) -> Field:
    low, high = place.x_limits or x_limits(chart)
    bottom, top = y_limits(chart)
    width = max(place.width - left - (1 if left else 0), 1)
    heats = [mark for mark in chart.marks if isinstance(mark, Heat)]
    if len(heats) == 1 and heats[0].values.size:  # equal blocks for all values where little room is lost by it
        rows, columns = heats[0].values.shape
        width = _equal(width, columns) if place.x_limits is None else width
        height = _equal(height, rows)
    x = Axis(low, high, width, chart.x.log, chart.x.reverse)
    y = Axis(bottom, top, height, chart.y.log, _y_falls(chart))
    return Field(chart, place.left + left, place.top + above, width, height, x, y)


def _equal(cells: int, values: int) -> int:
    even = cells // values * values
    return even if even >= 0.75 * cells else cells


def _y_falls(chart: Chart) -> bool:
    """Do values grow downwards? Pictures have row 0 on top."""
    return chart.y.reverse or any(isinstance(mark, Picture) for mark in chart.marks)


def _frame(plot: Plot, labels: int, clouds: list[frame.Cloud]) -> frame.Frame:
    """Let plotext draw, and take over everything but the clouds, which come last."""
    f, colours = plot.field, plot.look.colours
    chart = f.chart
    lines = any(isinstance(mark, Line | Band | Points | Bars) for mark in chart.marks)
    drawn = frame.draw(
        f.width,
        f.height,
        margin=labels,
        x_ticks=_x_ticks(chart, f.x),
        y_ticks=[(cell, _shortened(text, labels)) for cell, text in _y_ticks(chart, f.y)],
        grid=lines and plot.look.blends,
        clouds=clouds,
    )
    here = slice(f.top, f.top + f.height + 2), slice(f.left - labels - 1, f.left + f.width)
    glyph, fg = plot.canvas.glyph[here], plot.canvas.fg[here]
    ours = drawn.owner == frame.FRAME
    line = ours & np.isin(drawn.glyph, [ord(c) for c in "│─└┤┬┼"])
    glyph[ours] = drawn.glyph[ours]
    fg[ours] = rgb(colours.muted)
    fg[line] = plot.canvas.tint(colours.muted, 0.6) if plot.look.blends else rgb(colours.grid)
    glyph[:, labels][glyph[:, labels] == ord("┼")] = ord("┤")  # plotext's mark where a grid line starts
    grid = drawn.owner == frame.GRID
    glyph[grid] = drawn.glyph[grid]
    fg[grid] = rgb(colours.grid)
    return drawn


def _clouds(plot: Plot, places: list[int]) -> list[tuple[int, frame.Cloud]]:
    """(palette place, points) for plotext; none at all where there are too many for it."""
    clouds = []
    points = [
        (mark, place) for mark, place in zip(plot.field.chart.marks, places, strict=True) if isinstance(mark, Points)
    ]
    if sum(len(mark.x) for mark, _ in points) > SPARSE:
        return []
    for mark, place in points:
        x, y = plot.field.x.fraction(mark.x), plot.field.y.fraction(mark.y)
        inside = (x >= 0) & (x <= 1) & (y >= 0) & (y <= 1)
        crowded = inside.sum() > plot.field.width * plot.field.height / 8
        for k, members in groups(mark, place):
            marker = PLAIN_DOTS[k % 8] if plot.plain else "braille" if crowded else "●"
            clouds.append((k, frame.Cloud(x[inside & members], y[inside & members], marker)))
    return clouds


def _stamp(plot: Plot, drawn: frame.Frame, labels: int, palette: list[int]) -> None:
    f = plot.field
    owner = drawn.owner[: f.height, labels + 1 :]
    hit = owner >= 0
    if hit.any():
        colours = np.array([rgb(plot.series(k)) for k in palette], dtype=np.int32)
        plot.canvas.glyph[plot.area][hit] = drawn.glyph[: f.height, labels + 1 :][hit]
        plot.canvas.fg[plot.area][hit] = colours[owner[hit]]


def _x_ticks(chart: Chart, axis: Axis) -> list[tuple[int, str]]:
    heat = next((mark for mark in chart.marks if isinstance(mark, Heat)), None)
    if chart.x.names:
        return _named(chart.x, axis, _centres(heat, 0, len(chart.x.names)), each=None)
    if heat is not None and heat.x is None and heat.column_steps is not None:
        steps = Scale(names=tuple(exact(step) for step in heat.column_steps))
        return _named(steps, axis, _centres(heat, 0, len(steps.names)), each=10)
    return _numbered(chart.x, axis, most=max(axis.cells // 12, 2), counted=heat is not None and heat.x is None)


def _y_ticks(chart: Chart, axis: Axis) -> list[tuple[int, str]]:
    heat = next((mark for mark in chart.marks if isinstance(mark, Heat)), None)
    if chart.y.names:
        return _named(chart.y, axis, _centres(heat, 1, len(chart.y.names)), each=1)
    return _numbered(chart.y, axis, most=max(axis.cells // 4, 2), counted=heat is not None and heat.y is None)


def _numbered(scale: Scale, axis: Axis, *, most: int, counted: bool) -> list[tuple[int, str]]:
    """Ticks at round numbers; where a heat map just counts its entries they stand at the middles of those."""
    most = min(most, 10)
    if scale.log:
        found = ticks.logarithmic(axis.low, axis.high, most)
    elif counted:
        found = ticks.linear(math.ceil(axis.low), math.ceil(axis.high) - 1, most, whole=True)
    else:
        found = ticks.linear(
            axis.low, axis.high, most, whole=scale.label in ("step", "epoch") and axis.high - axis.low >= 2
        )
    placed = ((axis.cell(tick.at + 0.5 * counted), tick.text) for tick in found)
    return [(cell, text) for cell, text in placed if cell is not None]


def _centres(heat: Heat | None, axis: int, names: int) -> np.ndarray:
    """Where names stand: in the middle of a heat map's cells, at 0, 1, 2, ... otherwise."""
    if heat is None:
        return np.arange(float(names))
    bounds = edges(heat)[axis]
    return (bounds[:-1] + bounds[1:])[:names] / 2


def _named(scale: Scale, axis: Axis, centres: np.ndarray, *, each: int | None) -> list[tuple[int, str]]:
    """Names at cells, thinned so that each has `each` cells (None: clipped to what there is, six at least)."""
    placed = [(axis.cell(at), printable(name)) for at, name in zip(centres, scale.names, strict=False)]
    inside = [(cell, name) for cell, name in placed if cell is not None]
    if not inside:
        return []
    room = axis.cells / len(inside)
    wanted = each if each is not None else min(max(len(name) for _, name in inside) + 2, 8)
    stride = max(1, int(np.ceil(wanted / room - 1e-9)))
    shown = inside[::stride]
    return shown if each == 1 else [(cell, clip(name, max(int(room * stride) - 1, 1))) for cell, name in shown]


def _shortened(name: str, width: int) -> str:
    """A name in `width` cells; what most names end in goes first."""
    for long, short in ((".weight", ".w"), (".bias", ".b")):
        if len(name) > width and name.endswith(long):
            name = name.removesuffix(long) + short
    return clip(name, width, middle=width > 4)


def _title_width(chart: Chart) -> int:
    return len(chart.title) + len(_y_words(chart.y, chart.title)) + 2


def _y_words(scale: Scale, title: str) -> str:
    """What the y axis shows, without saying the title twice."""
    label = "" if scale.label == title else scale.label
    unit = scale.unit if scale.unit != "1" else ""
    return f"{label} ({unit})" if label and unit else label or unit


def _x_words(scale: Scale) -> str:
    return f"{scale.label} ({scale.unit})" if scale.unit and scale.unit != "1" else scale.label


def _words_around(plot: Plot, place: Place, layout: Layout, found: list[legend.Entry]) -> None:
    canvas, colours, chart, f = plot.canvas, plot.look.colours, plot.field.chart, plot.field
    if layout.title:
        used = canvas.write(place.left, place.top, chart.title, colours.foreground, width=place.width, attributes=BOLD)
        gap = 2 if used else 0
        canvas.write(
            place.left + used + gap,
            place.top,
            _y_words(chart.y, chart.title),
            colours.muted,
            width=place.width - used - gap,
        )
    if found and layout.legend:
        legend.write(canvas, f.left, place.top + layout.title, found, place.left + place.width - f.left)
    elif found and layout.title and _title_width(chart) + legend.total_width(found) + 3 <= place.width:
        width = legend.total_width(found)
        legend.write(canvas, place.left + place.width - width, place.top, found, width)
    below = f.top + f.height + 2 * layout.framed
    if layout.label:
        words = clip(printable(_x_words(chart.x)), f.width)
        canvas.write(f.left + (f.width - len(words)) // 2, below, words, colours.muted)
    if layout.caption:
        canvas.write(place.left, place.top + place.height - 1, chart.caption, colours.muted, width=place.width)


def _cursor(plot: Plot, cursor: Cursor, labels: int | None) -> None:
    """A rule with its place on the axis, or a heat map's cell with its row's name lit up."""
    f = plot.field
    heat = next((mark for mark in f.chart.marks if isinstance(mark, Heat)), None)
    x = cursor.x
    if heat is not None:
        row, column = heat_cell(heat, cursor)
        across, up = edges(heat)
        x = None if column is None else float(across[column] + across[column + 1]) / 2
        cell = None if row is None else f.y.cell(float(up[row] + up[row + 1]) / 2)
        if row is not None and cell is not None:
            _select(plot, None if x is None else f.x.cell(x), f.height - 1 - cell, labels)
    if x is None:
        return
    if heat is None:
        paint_mark(plot, Rule(at=x, role="cursor"), 0)
    column_cell = f.x.cell(x)
    if labels is not None and column_cell is not None:
        words = _place_words(f, heat, x)
        left = min(max(f.left + column_cell - len(words) // 2, f.left), f.left + f.width - len(words))
        if left >= 0:
            plot.canvas.write(left, f.top + f.height + 1, words, plot.look.colours.accent, attributes=BOLD | REVERSE)


def _place_words(f: Field, heat: Heat | None, x: float) -> str:
    column = None if heat is None else heat_cell(heat, Cursor(x=x))[1]
    if column is not None and heat is not None:
        if heat.column_steps is not None:
            return f" {exact(heat.column_steps[column])} "
        if column < len(f.chart.x.names):
            return f" {clip(printable(f.chart.x.names[column]), 16)} "
        return f" {column} " if heat.x is None else f" {exact(float(heat.x[column]))} "
    return f" {ticks.number(x)} " if f.chart.x.label != "step" else f" {exact(round(x))} "


def _select(plot: Plot, column: int | None, row: int, labels: int | None) -> None:
    canvas, f = plot.canvas, plot.field
    if column is not None:
        y, x = f.top + row, f.left + column
        dark = channels(int(canvas.bg[y, x])).mean() < 128 if canvas.bg[y, x] >= 0 else plot.look.theme.dark
        if canvas.glyph[y, x] == ord("▀"):  # one value below the mark, the upper one
            canvas.bg[y, x] = canvas.fg[y, x]
            dark = channels(int(canvas.bg[y, x])).mean() < 128
        canvas.glyph[y, x] = ord("◆")
        canvas.fg[y, x] = rgb("#ffffff" if dark else "#000000") if plot.look.depth is not Depth.NONE else -1
        canvas.attributes[y, x] = BOLD if plot.look.blends else BOLD | REVERSE
    if labels:
        line = slice(f.left - labels - 1, f.left - 1)
        canvas.fg[f.top + row, line] = rgb(plot.look.colours.accent)
        canvas.attributes[f.top + row, line] = BOLD
