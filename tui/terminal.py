"""How does a Chart or Plate look in width x height cells of a terminal?

painting = paint(view, 120, 40, Look(depth=detect(os.environ)), cursor=Cursor(x=500))
painting.strips           what the terminal shows, one Strip a row
painting.fields[0]        which cell of the first chart shows which value
read_out(view, cursor)    every value at the cursor
"""

from __future__ import annotations

from dataclasses import dataclass

from textual.strip import Strip

from recorder.chart import Chart, View
from tui.charset import ascii_only
from tui.paint.canvas import Canvas
from tui.paint.chart import Place, paint_chart
from tui.paint.field import Axis, Field
from tui.paint.look import COLOUR_MAPS, Depth, Look, Normalise, detect
from tui.paint.plate import paint_plate
from tui.paint.readout import Cursor, heat_cell, read_out

__all__ = [
    "COLOUR_MAPS",
    "Axis",
    "Cursor",
    "Depth",
    "Field",
    "Look",
    "Normalise",
    "Painting",
    "ascii_only",
    "detect",
    "heat_cell",
    "paint",
    "read_out",
]


@dataclass(frozen=True, eq=False)
class Painting:
    """A painted view: one strip a row, and each chart's field (None: there was no room for it)."""

    strips: list[Strip]
    fields: tuple[Field | None, ...]

    def at(self, column: int, row: int) -> tuple[int, Field] | None:
        """Which chart's plot a cell lies in: its number in the view and its field."""
        return next(((k, f) for k, f in enumerate(self.fields) if f is not None and f.inside(column, row)), None)


def paint(view: View, width: int, height: int, look: Look, *, cursor: Cursor | None = None) -> Painting:
    """Paint a view into exactly width x height cells; any size and any data, non-finite included."""
    canvas = Canvas(max(width, 0), max(height, 0), look)
    fields: tuple[Field | None, ...] = ()
    if width > 0 and height > 0:
        if isinstance(view, Chart):
            fields = (paint_chart(canvas, view, Place(0, 0, width, height), cursor=cursor),)
        else:
            fields = paint_plate(canvas, view, cursor=cursor)
    return Painting(canvas.strips(), fields)
