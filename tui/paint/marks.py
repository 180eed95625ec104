"""How is each mark of a chart drawn? One function a mark; `paint_mark` knows them all."""

from __future__ import annotations

from typing import assert_never

import numpy as np

from recorder.chart import Band, Bars, Box, Edges, Heat, Line, Mark, Picture, Points, Rule, Table, Text
from tui.paint import raster
from tui.paint.bars import paint_bars
from tui.paint.canvas import printable
from tui.paint.field import Field
from tui.paint.heatmap import paint_heat
from tui.paint.palette import blend, channels, rgb
from tui.paint.picture import paint_picture
from tui.paint.plot import PLAIN_DOTS, Plot
from tui.paint.table import paint_table
from tui.words import clip

RULE_WORDS = 24  # cells for what is written beside a rule
RULE_LINES = 3  # lines in which it may stand


def paint_mark(plot: Plot, mark: Mark, colour: int) -> None:
    """Draw one mark; `colour` is its place in the qualitative palette."""
    match mark:
        case Line():
            _line(plot, mark, colour)
        case Band():
            _band(plot, mark, colour)
        case Bars():
            paint_bars(plot, mark, colour)
        case Points():
            _points(plot, mark, colour)
        case Heat():
            paint_heat(plot, mark)
        case Picture():
            paint_picture(plot, mark)
        case Rule():
            _rule(plot, mark)
        case Box():
            _box(plot, mark)
        case Edges():
            _edges(plot, mark)
        case Text():
            _text(plot, mark)
        case Table():
            paint_table(plot, mark)
        case _:
            assert_never(mark)


def _line(plot: Plot, mark: Line, colour: int) -> None:
    x, y = plot.field.x.fraction(mark.x), plot.field.y.fraction(mark.y)
    if mark.steps and len(x):
        x, y = np.repeat(x, 2)[1:], np.repeat(y, 2)[:-1]
    dots = raster.line(plot.grid, x, y, dashed=mark.dashed)
    strength = 0.45 if mark.faint and plot.look.blends else 1.0
    glyph = "." if mark.faint else PLAIN_DOTS[colour % 8]
    plot.stamp(dots, plot.canvas.tint(plot.series(colour), strength), glyph=glyph, soft=mark.faint)
    not_drawn(plot, mark.x, mark.y)


def not_drawn(plot: Plot, x: np.ndarray, y: np.ndarray) -> None:
    """Show where values are that no line can show: a gap shaded, what is above or below every scale at the border."""
    y = np.asarray(y, dtype=float)
    log = plot.field.y.log
    least, most = (float(y.min()), float(y.max())) if y.size else (1.0, 1.0)
    if np.isfinite(most - least) and (least > 0 or not log):
        return  # the common case, for the price of two passes
    where = plot.field.x.fraction(x)
    missing = np.isnan(y)
    if missing.any():
        plot.shade(raster.columns_of(where[missing], plot.field.width), slice(None), "gap")
    above, below = y == np.inf, (y <= 0) if log else (y == -np.inf)
    if plot.field.y.reverse:
        above, below = below, above
    for what, row, glyph in ((above, 0, "▲"), (below, plot.field.height - 1, "▼")):
        if what.any():
            plot.mark(raster.columns_of(where[what], plot.field.width), row, glyph, plot.look.colours.bad)


def _band(plot: Plot, mark: Band, colour: int) -> None:
    axis = plot.field.y
    dots = raster.band(plot.grid, plot.field.x.fraction(mark.x), *(axis.fraction(v) for v in (mark.lo, mark.hi)))
    tint = plot.canvas.tint(plot.series(colour), 0.45)
    if not plot.look.blends:
        rows, columns = np.indices(dots.shape)
        spike = dots.sum(axis=0, keepdims=True) <= 4
        plot.stamp(dots & (spike | ((rows + columns) % 2 == 0)), tint, glyph=":", soft=True)
        return
    # Where a band is thick its inside becomes ground, so that the line over it stays a thin line; the rim is dots.
    f = plot.field
    height, width = dots.shape[0] // f.height, dots.shape[1] // f.width
    cells = dots.reshape(f.height, height, f.width, width)
    full = _thick(np.asarray(cells.all(axis=(1, 3))))
    rim = dots & ~np.kron(full, np.ones((height, width), dtype=bool))
    plot.stamp(rim, tint, glyph=":", soft=True)
    plot.canvas.glyph[plot.area][full] = ord(" ")
    plot.canvas.bg[plot.area][full] = plot.canvas.tint(plot.series(colour), 0.30)


def _thick(full: np.ndarray) -> np.ndarray:
    """The cells (row, column) that stand in columns of three full ones or more."""
    padded = np.pad(full, ((2, 2), (0, 0)))
    three = padded[:-2] & padded[1:-1] & padded[2:]
    return three[:-2] | three[1:-1] | three[2:]


def _points(plot: Plot, mark: Points, colour: int) -> None:
    not_drawn(plot, mark.x, mark.y)
    for k, inside in groups(mark, colour):
        dots = plot.grid.empty()
        raster.scatter(dots, plot.grid, plot.field.x.fraction(mark.x[inside]), plot.field.y.fraction(mark.y[inside]))
        plot.stamp(dots, rgb(plot.series(k)), glyph=PLAIN_DOTS[k % 8])


def groups(mark: Points, colour: int) -> list[tuple[int, np.ndarray]]:
    """(palette place, (point,) bool) of each group; one without groups."""
    if mark.group is None:
        return [(colour, np.ones(len(mark.x), dtype=bool))]
    return [(int(k), mark.group == k) for k in np.unique(mark.group) if k >= 0]


def _rule(plot: Plot, mark: Rule) -> None:
    colours = plot.look.colours
    colour = {"bad": colours.bad, "cursor": colours.accent}.get(mark.role, colours.muted)
    vertical = mark.axis == "x"
    cell = (plot.field.x if vertical else plot.field.y).cell(mark.at)
    if cell is None:
        return
    here = (slice(None), cell) if vertical else (plot.field.height - 1 - cell, slice(None))
    glyphs, fg, bg = (layer[plot.area] for layer in (plot.canvas.glyph, plot.canvas.fg, plot.canvas.bg))
    over_cells = any(isinstance(other, Heat) for other in plot.field.chart.marks)
    free = np.isin(glyphs[here], [ord(" "), ord("─"), ord("░"), ord("╱")]) | over_cells
    ink: np.ndarray | int = rgb(colour)
    if over_cells and plot.look.blends:  # black or white, whichever shows on the value's colour
        bg[here] = np.where(glyphs[here] == ord("▀"), fg[here], bg[here])
        ink = np.where(channels(bg[here]).mean(axis=-1) < 128, 0xFFFFFF, 0x000000)
    glyphs[here] = np.where(free, ord("│" if vertical else "─"), glyphs[here])
    fg[here] = np.where(free, ink, fg[here])
    if mark.role == "cursor" and plot.look.blends:
        bg[here] = plot.canvas.tint(colours.accent, 0.22)
    if mark.label and not over_cells:  # beside a heat map the legend says it
        _label(plot, mark, cell, colour)


def _label(plot: Plot, mark: Rule, cell: int, colour: str) -> None:
    """A rule's words: along it, or beside its top in one of a few lines where no other rule's words stand."""
    f = plot.field
    if mark.axis == "y":
        plot.canvas.write(f.left + 1, f.top + f.height - 1 - cell, mark.label, colour, width=f.width - 1)
        return
    for other, line, left, words in _places(f):
        if other is mark:
            plot.canvas.write(f.left + left, f.top + line, words, colour)


def _places(f: Field) -> list[tuple[Rule, int, int, str]]:
    """(rule, line, cell, words) of each label beside upright rules; what is said twice or has no room is left out."""
    placed: list[tuple[Rule, int, int, str]] = []
    for mark in f.chart.marks:
        cell = f.x.cell(mark.at) if isinstance(mark, Rule) and mark.axis == "x" and mark.label else None
        if not isinstance(mark, Rule) or cell is None:
            continue
        words = clip(printable(mark.label), min(RULE_WORDS, f.width))
        left = cell + 1 if cell + 1 + len(words) <= f.width else cell - len(words)  # to the left of the rule, then
        for line in range(min(RULE_LINES, f.height)):
            beside = [p for p in placed if p[1] == line]
            if left < 0 or any(words == said for *_, said in placed):
                break
            if all(left > start + len(said) or start > left + len(words) for _, _, start, said in beside):
                placed.append((mark, line, left, words))
                break
    return placed


def _box(plot: Plot, mark: Box) -> None:
    f = plot.field
    across = _span(f.x.fraction(np.array([mark.x0, mark.x1])), f.width)
    low = 0.0 if mark.y0 is None else float(f.y.fraction(mark.y0))
    high = 1.0 if mark.y1 is None else float(f.y.fraction(mark.y1))
    up = _span(np.array([low, high]), f.height)
    if across is None or up is None:
        return
    columns = np.zeros(f.width, dtype=bool)
    columns[across] = True
    plot.shade(columns, slice(f.height - up.stop, f.height - up.start), mark.role)
    inside = mark.role not in ("bad", "gap")  # those stand in the legend
    if inside and 0 < len(mark.label) <= across.stop - across.start:
        plot.canvas.write(f.left + across.start, f.top + f.height - up.stop, mark.label, plot.look.colours.muted)


def _span(fractions: np.ndarray, cells: int) -> slice | None:
    """The cells between two fractions, at least one; None: all of it outside."""
    low, high = np.sort(fractions)
    if not (high >= 0 and low <= 1):
        return None
    first = min(int(max(low, 0.0) * cells), cells - 1)
    return slice(first, max(first + 1, min(int(np.ceil(min(high, 1.0) * cells)), cells)))


def _edges(plot: Plot, mark: Edges) -> None:
    """Segments in three strengths of ink, the strongest on top."""
    x0, x1 = (plot.field.x.fraction(v) for v in (mark.x0, mark.x1))
    y0, y1 = (plot.field.y.fraction(v) for v in (mark.y0, mark.y1))
    weight = np.abs(np.asarray(mark.weight, dtype=float))
    good = np.isfinite(x0) & np.isfinite(y0) & np.isfinite(x1) & np.isfinite(y1) & np.isfinite(weight)
    most = weight[good].max(initial=0.0) or 1.0
    third = np.minimum((np.where(good, weight, 0.0) / most * 3).astype(int), 2)
    for k, strength in enumerate((0.3, 0.6, 1.0)):
        chosen = good & (third == k)
        dots = plot.grid.empty()
        raster.segments(dots, plot.grid, x0[chosen], y0[chosen], x1[chosen], y1[chosen])
        plot.stamp(dots, blend(plot.canvas.ground, rgb(plot.look.colours.foreground), strength), glyph=".:#"[k])


def _text(plot: Plot, mark: Text) -> None:
    column, row = plot.field.column(mark.x), plot.field.row(mark.y)
    if column is not None and row is not None:
        room = plot.field.left + plot.field.width - column
        plot.canvas.write(column, row, mark.text, plot.look.colours.foreground, width=room)
