"""How does one chart fill its place? Title and legend above, frame and ticks around, marks, cursor and caption."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

import numpy as np

from recorder.chart import Band, Bars, Chart, Heat, Limits, Line, Picture, Points, Scale, Table
from tui.paint import frame, legend
from tui.paint.axes import margin, shortened, x_ticks, y_falls, y_ticks
from tui.paint.canvas import BOLD, Canvas, printable
from tui.paint.field import Axis, Field, x_limits, y_limits
from tui.paint.look import Look
from tui.paint.marks import groups, not_drawn, paint_mark
from tui.paint.missing import emptiness
from tui.paint.palette import rgb
from tui.paint.plot import PLAIN_DOTS, Plot, plain_dots
from tui.paint.pointer import paint_cursor
from tui.paint.readout import Cursor
from tui.words import clip

HARD = "\u00a0"  # a space within a label of the x axis: what stands between labels is an ordinary one
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
    beside: bool  # the legend, in the title's row
    legend: bool  # in a row of its own
    label: bool  # of the x axis, in a row of its own
    caption: int  # rows of it

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
    layout, labels, field = _arranged(chart, place, found)
    if legend.crowded(chart, field, canvas.look):  # which only the room that is left for the data says
        found = legend.entries(chart, canvas.look, plain=plain, ground=canvas.ground, crowded=True)
        layout, labels, field = _arranged(chart, place, found)
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
        paint_cursor(plot, cursor, labels if layout.framed else None)
    if drawn is not None:
        below = canvas.glyph[field.top + field.height + 1]
        below[below == ord(HARD)] = ord(" ")
    return field


def _arranged(chart: Chart, place: Place, found: list[legend.Entry]) -> tuple[Layout, int, Field]:
    """Which parts there is room for, the columns of the labels of y, and what is left for the data."""
    layout = _layout(chart, place, found)
    height = max(place.height - layout.above - layout.below, 1)
    labels = 0
    if layout.framed:
        labels = margin(chart, place.width, height) if place.margin is None else place.margin
    return layout, labels, _field(chart, place, labels + 1 if layout.framed else 0, layout.above, height)


def plot_height(chart: Chart, look: Look, width: int, height: int) -> int:
    """The rows that are left for the data in a place of that size."""
    found = legend.entries(chart, look, plain=plain_dots(look, _series(chart)), ground=-1)
    layout = _layout(chart, Place(0, 0, width, height), found)
    return max(height - layout.above - layout.below, 1)


def caption_lines(caption: str, width: int, height: int) -> list[str]:
    """A caption in the rows that it may have: none in a low chart, two in a high one."""
    rows = 0 if height < 12 or width < 12 else 1 if height < 20 else 2
    return textwrap.wrap(printable(caption), width, max_lines=rows, placeholder=" …") if rows else []


def _series(chart: Chart) -> int:
    """How many lines and groups of points must be told apart."""
    points = sum(len(groups(mark, 0)) for mark in chart.marks if isinstance(mark, Points))
    return points + sum(isinstance(mark, Line) for mark in chart.marks)


def _layout(chart: Chart, place: Place, found: list[legend.Entry]) -> Layout:
    bare = any(isinstance(mark, Picture | Table) for mark in chart.marks)
    framed = not bare and place.width >= 16 and place.height >= 6
    title = place.height >= 3 and bool(chart.title or chart.y.label)
    beside = title and _title_width(chart) + legend.total_width(found) + 3 <= place.width
    return Layout(
        framed=framed,
        title=title,
        beside=bool(found) and beside,
        legend=bool(found) and not beside and place.height >= 7,
        label=framed and bool(chart.x.label) and place.height >= 10,
        caption=len(caption_lines(chart.caption, place.width, place.height)),
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
    y = Axis(bottom, top, height, chart.y.log, y_falls(chart))
    return Field(chart, place.left + left, place.top + above, width, height, x, y)


def _equal(cells: int, values: int) -> int:
    even = cells // values * values
    return even if even >= 0.85 * cells else cells


def _frame(plot: Plot, labels: int, clouds: list[frame.Cloud]) -> frame.Frame:
    """Let plotext draw, and take over everything but the clouds, which come last."""
    f, colours = plot.field, plot.look.colours
    chart = f.chart
    lines = any(isinstance(mark, Line | Band | Points | Bars) for mark in chart.marks)
    drawn = frame.draw(
        f.width,
        f.height,
        margin=labels,
        x_ticks=[(cell, text.replace(" ", HARD)) for cell, text in x_ticks(chart, f.x)],
        y_ticks=[(cell, shortened(text, labels)) for cell, text in y_ticks(chart, f.y)],
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


def _title_width(chart: Chart) -> int:
    return len(printable(chart.title)) + len(printable(_y_words(chart.y, chart.title))) + 2


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
    if layout.legend:
        legend.write(canvas, f.left, place.top + layout.title, found, place.left + place.width - f.left)
    elif layout.beside:
        width = legend.total_width(found)
        legend.write(canvas, place.left + place.width - width, place.top, found, width)
    below = f.top + f.height + 2 * layout.framed
    if layout.label:
        words = clip(printable(_x_words(chart.x)), f.width)
        canvas.write(f.left + (f.width - len(words)) // 2, below, words, colours.muted)
    lines = caption_lines(chart.caption, place.width, place.height)
    for k, line in enumerate(lines):
        canvas.write(place.left, place.top + place.height - len(lines) + k, line, colours.muted, width=place.width)
