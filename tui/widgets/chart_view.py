"""How does a chart live on a screen? It is painted when something changed, shows its cursor and says where it goes."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from recorder.chart import Chart, Heat, Picture, View
from tui.terminal import Cursor, Look, Painting, heat_cell, paint

BUSY = " loading … "
NOTHING = Chart("")  # before the first view: blank, since axes would say that there is nothing to see


class ChartView(Widget, can_focus=True):
    """Shows one view; arrows and clicks move its cursor, of which it sends word."""

    DEFAULT_CSS = """
    ChartView { width: 1fr; height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "move(-1, 0)", "cursor", show=False),
        Binding("right", "move(1, 0)", "cursor", show=False),
        Binding("up", "move(0, 1)", "row", show=False),
        Binding("down", "move(0, -1)", "row", show=False),
    ]

    cursor: reactive[Cursor | None] = reactive(None, init=False)
    look: reactive[Look] = reactive(Look(), init=False)
    busy: reactive[bool] = reactive(False, init=False)  # a sign in the corner while data are read

    class CursorMoved(Message):
        """The user moved the cursor. `x` is its place along x, a step where x counts steps."""

        def __init__(self, chart_view: ChartView, cursor: Cursor, x: float | None) -> None:
            super().__init__()
            self.chart_view = chart_view
            self.cursor = cursor
            self.x = x

        @property
        def control(self) -> ChartView:
            return self.chart_view

    def __init__(self, view: View | None = None, *, look: Look | None = None, id: str | None = None) -> None:
        super().__init__(id=id)
        self.view: View = view if view is not None else NOTHING
        self._painting: Painting | None = None
        if look is not None:
            self.set_reactive(ChartView.look, look)

    def show(self, view: View) -> None:
        """Draw another view; the cursor stays where it is."""
        self.view = view
        self._repaint()

    @property
    def painting(self) -> Painting:
        """What is on the screen, painted now if need be."""
        if self._painting is None:
            self._painting = paint(self.view, self.size.width, self.size.height, self.look, cursor=self.cursor)
        return self._painting

    def watch_cursor(self) -> None:
        self._repaint()

    def watch_look(self) -> None:
        self._repaint()

    def watch_busy(self) -> None:
        self.refresh(Region(0, 0, self.size.width, 1))

    def on_resize(self) -> None:
        self._painting = None
        self.refresh()

    def render_line(self, y: int) -> Strip:
        strips = self.painting.strips
        if self.view is NOTHING or not 0 <= y < len(strips):
            return Strip.blank(self.size.width, Style())
        strip = strips[y]
        if y == 0 and self.busy and strip.cell_length > len(BUSY):
            sign = Strip([Segment(BUSY, Style(reverse=True))], len(BUSY))
            return Strip.join([strip.crop(0, strip.cell_length - len(BUSY)), sign])
        return strip

    def action_move(self, columns: int, rows: int) -> None:
        """Move the cursor by cells of the chart it is in, by entries in a heat map; `rows` count upwards.

        Where there is none yet it appears at the latest place.
        """
        self.move_to(self._moved(columns, rows))

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        hit = None if offset is None else self.painting.at(offset.x, offset.y)
        if hit is not None and offset is not None:
            number, field = hit
            self.move_to(self._snapped(Cursor(x=field.x_at(offset.x), y=field.y_at(offset.y), chart=number)))

    def move_to(self, cursor: Cursor | None) -> None:
        """Set the cursor as the user would, and say so."""
        if cursor is None or cursor == self.cursor:
            return
        self.cursor = cursor
        self.post_message(self.CursorMoved(self, cursor, self._place(cursor)))

    def _repaint(self) -> None:
        """Paint again, and send only the lines that differ."""
        before, self._painting = self._painting, None
        if before is None or not self.is_attached:
            self.refresh()
            return
        old, new = before.strips, self.painting.strips
        if len(old) != len(new):
            self.refresh()
            return
        changed = [Region(0, y, self.size.width, 1) for y, (a, b) in enumerate(zip(old, new, strict=True)) if a != b]
        if changed:
            self.refresh(*changed)

    def _chart(self, number: int) -> Chart | None:
        charts = self.view.charts
        return charts[number] if 0 <= number < len(charts) else None

    def _cells(self, number: int) -> Heat | Picture | None:
        chart = self._chart(number)
        marks = chart.marks if chart is not None else ()
        return next((mark for mark in marks if isinstance(mark, Heat | Picture)), None)

    def _moved(self, columns: int, rows: int) -> Cursor | None:
        fields = self.painting.fields
        here = self.cursor or Cursor()
        number = here.chart if here.chart < len(fields) else 0
        field = fields[number] if fields else None
        if field is None:
            return None
        cells = self._cells(number)
        if isinstance(cells, Heat):
            height, width = cells.values.shape
            row, column = heat_cell(cells, here)
            up = -rows if field.y.reverse else rows
            row = _stepped(row, up, height, default=0)
            column = _stepped(column, columns, width, default=width - 1)
            return replace(here, x=None, y=None, row=row, column=column, chart=number)
        if here.x is None:
            return replace(here, x=field.x_at(field.left + field.width - 1), chart=number)
        cell = field.column(here.x)
        if cell is None:  # outside of what is shown: come in from there
            cell = field.left - columns if here.x < field.x.low else field.left + field.width - 1 - columns
        y = here.y
        if rows:
            at = field.row(y) if y is not None else None
            y = field.y_at((at if at is not None else field.top + field.height // 2) - rows)
        return replace(here, x=field.x_at(cell + columns) if columns else here.x, y=y, chart=number)

    def _snapped(self, cursor: Cursor) -> Cursor:
        """In a heat map a click means an entry."""
        cells = self._cells(cursor.chart)
        if isinstance(cells, Heat):
            row, column = heat_cell(cells, cursor)
            return replace(cursor, x=None, y=None, row=row, column=column)
        if isinstance(cells, Picture) and cursor.x is not None and cursor.y is not None:
            return replace(cursor, row=int(cursor.y), column=int(cursor.x))
        return cursor

    def _place(self, cursor: Cursor) -> float | None:
        cells = self._cells(cursor.chart)
        if not isinstance(cells, Heat) or cursor.column is None:
            return cursor.x
        if cells.column_steps is not None:
            return float(cells.column_steps[cursor.column])
        return float(cells.x[cursor.column]) if cells.x is not None else float(cursor.column)


def _stepped(at: int | None, by: int, size: int, *, default: int) -> int:
    return max(0, min(size - 1, default if at is None else at + by))
