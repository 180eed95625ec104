"""How does the cursor show? A rule with its place on the axis; in a heat map the entry, with its row's name lit up."""

from __future__ import annotations

import numpy as np

from recorder.chart import Heat, Rule, Table
from recorder.charting.signed_log import value_at
from tui.paint import ticks
from tui.paint.axes import shortened
from tui.paint.canvas import BOLD, REVERSE, printable
from tui.paint.field import Field, edges
from tui.paint.look import Depth
from tui.paint.marks import paint_mark
from tui.paint.palette import channels, rgb
from tui.paint.plot import Plot
from tui.paint.readout import Cursor, exact, heat_cell, name_at
from tui.words import clip


def paint_cursor(plot: Plot, cursor: Cursor, labels: int | None) -> None:
    """Draw the cursor; `labels` is the width of the labels beside the axis, None where there is no axis."""
    f = plot.field
    if any(isinstance(mark, Table) for mark in f.chart.marks):
        return  # a table marks its own row
    heat = next((mark for mark in f.chart.marks if isinstance(mark, Heat)), None)
    if heat is None:
        x = cursor.x
        if x is not None:
            paint_mark(plot, Rule(at=x, role="cursor"), 0)
            name = clip(printable(name_at(f.chart.x, x)), 16)
            _label(plot, f.x.cell(x), name or _place_name(f, x), framed=labels is not None)
        return
    row, column = heat_cell(heat, cursor)
    x_edges, y_edges = edges(heat)
    across = None if column is None else f.x.cell(_middle(x_edges, column))
    up = None if row is None else f.y.cell(_middle(y_edges, row))
    if across is not None and column is not None:
        _select(plot, across, slice(None) if up is None else slice(f.height - 1 - up, f.height - up))
        along = heat.x is not None and cursor.column is None and cursor.x is not None  # the place itself, not its cell
        words = _place_name(f, cursor.x) if along and cursor.x is not None else _column_name(f, heat, column)
        _label(plot, across, words, framed=labels is not None)
    if up is not None and row is not None and labels:
        line = f.top + f.height - 1 - up, slice(f.left - labels - 1, f.left - 1)
        names = () if f.chart.y.parts or f.chart.y.signed_log is not None else f.chart.y.names
        if row < len(names):  # several rows may share the line: it is named
            name = shortened(printable(names[row]), labels)
            plot.canvas.write(f.left - labels - 1, line[0], name.rjust(labels), plot.look.colours.accent)
        plot.canvas.fg[line] = rgb(plot.look.colours.accent)
        plot.canvas.attributes[line] = BOLD


def _label(plot: Plot, cell: int | None, words: str, *, framed: bool) -> None:
    """The cursor's place, over the labels of the axis; a label that it would cut goes as a whole."""
    f, text = plot.field, f" {words} "
    if framed and cell is not None and len(text) <= f.width:
        left = min(max(f.left + cell - len(text) // 2, f.left), f.left + f.width - len(text))
        row = plot.canvas.glyph[f.top + f.height + 1]
        first, last = left, left + len(text)
        while first > 0 and row[first - 1] != ord(" "):
            first -= 1
        while last < len(row) and row[last] != ord(" "):
            last += 1
        row[first:last] = ord(" ")
        plot.canvas.write(left, f.top + f.height + 1, text, plot.look.colours.accent, attributes=BOLD | REVERSE)


def _place_name(f: Field, x: float) -> str:
    """A place along x in few cells: a whole step, any other number with four digits."""
    value = float(value_at(f.chart.x, x))
    return exact(round(value)) if f.chart.x.label == "step" else ticks.number(value)


def _column_name(f: Field, heat: Heat, column: int) -> str:
    if heat.column_steps is not None and (heat.x is None or f.chart.x.label == "step"):
        return exact(heat.column_steps[column])
    if column < len(f.chart.x.names) and f.chart.x.signed_log is None:
        return clip(printable(f.chart.x.names[column]), max(16, f.width // 3))
    if heat.x is None:
        return f"{column}"
    middle = _middle(heat.x, column)
    return (
        _place_name(f, middle) if heat.column_steps is not None else exact(float(value_at(f.chart.x, heat.x[column])))
    )


def _select(plot: Plot, column: int, rows: slice) -> None:
    """One cell as a diamond, a whole column as a rule, in black or white, whichever shows on the value's colour."""
    canvas, look = plot.canvas, plot.look
    glyph, fg, bg, attributes = (
        layer[plot.area][rows, column] for layer in (canvas.glyph, canvas.fg, canvas.bg, canvas.attributes)
    )
    bg[...] = np.where(glyph == ord("▀"), fg, bg)  # one value stays visible under the mark, the upper one
    glyph[...] = ord("◆" if len(glyph) == 1 else "│")
    if look.blends:
        dark = channels(bg).mean(axis=-1) < 128
        fg[...] = np.where(dark, 0xFFFFFF, 0x000000)
    else:
        fg[...] = rgb(look.colours.accent) if look.depth is not Depth.NONE else -1
        attributes[...] = REVERSE
    attributes[...] |= BOLD


def _middle(bounds: np.ndarray, k: int) -> float:
    return float(bounds[k] + bounds[k + 1]) / 2
