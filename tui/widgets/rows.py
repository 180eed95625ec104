"""How is a list of any length shown? Only its visible rows are ever made, and only those that differ are sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui.ink import Ink, ink
from tui.paint.look import Look
from tui.widgets.line import Span

Line = Callable[[int, int, Ink], Sequence[Span]]  # (row, width, styles) -> spans of one row


class Rows(Widget, can_focus=True):
    """A list with a cursor. Its rows are drawn by a function of (row, width), its first line by one of the width."""

    DEFAULT_CSS = "Rows { height: 1fr; }"

    class Moved(Message):
        """The cursor stands on another row."""

        def __init__(self, rows: Rows, row: int) -> None:
            self.rows, self.row = rows, row
            super().__init__()

        @property
        def control(self) -> Rows:
            return self.rows

    class Opened(Moved):
        """The row was clicked while the cursor stood on it."""

    def __init__(self, *, look: Look, empty: str = "", id: str | None = None) -> None:
        super().__init__(id=id)
        self._look = look
        self._count = 0
        self._line: Line = _nothing
        self._head: Callable[[int, Ink], Sequence[Span]] | None = None
        self._empty = empty
        self._top = 0
        self._drawn: list[Strip] = []
        self.row = 0

    @property
    def count(self) -> int:
        """How many rows there are."""
        return self._count

    @property
    def _page(self) -> int:
        return max(self.size.height - (self._head is not None), 1)

    def show(
        self,
        count: int,
        line: Line,
        *,
        row: int = 0,
        head: Callable[[int, Ink], Sequence[Span]] | None = None,
        empty: str | None = None,
    ) -> None:
        """Show `count` rows with the cursor on `row`."""
        self._count, self._line, self._head = count, line, head
        self._empty = self._empty if empty is None else empty
        self.row = min(max(row, 0), max(count - 1, 0))
        self._reveal()
        self._draw()

    def dress(self, look: Look) -> None:
        """Another theme or colour depth."""
        self._look = look
        self._draw()

    def move_to(self, row: int) -> None:
        """Put the cursor on a row, within the list, and tell."""
        row = min(max(row, 0), max(self._count - 1, 0))
        if row == self.row or not self._count:
            return
        self.row = row
        self._reveal()
        self._draw()
        self.post_message(self.Moved(self, row))

    def page(self, direction: int) -> None:
        """Move by what fits the window."""
        self.move_to(self.row + direction * max(self._page - 1, 1))

    def _reveal(self) -> None:
        self._top = min(self._top, self.row)
        self._top = max(self._top, self.row - self._page + 1)
        self._top = max(min(self._top, self._count - self._page), 0)

    def on_resize(self) -> None:
        self._reveal()
        self._draw()

    def on_focus(self) -> None:
        self._draw()

    def on_blur(self) -> None:
        self._draw()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self.move_to(self.row + 1)
        event.stop()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self.move_to(self.row - 1)
        event.stop()

    def on_click(self, event: events.Click) -> None:
        row = self._top + event.y - (self._head is not None)
        if event.y < (self._head is not None) or not 0 <= row < self._count:
            return
        if row == self.row:
            self.post_message(self.Opened(self, row))
        else:
            self.move_to(row)

    # -- drawing ---------------------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """One line as wide as the widget."""
        strip = self._drawn[y] if y < len(self._drawn) else Strip.blank(self.size.width, Style(bold=False))
        return strip.apply_style(self.rich_style)  # here, for only what is sent needs the theme's ground

    def _draw(self) -> None:
        """Make what is visible, and send the lines that differ."""
        width, height = self.size
        before, self._drawn = self._drawn, [self._line_at(y) for y in range(height)]
        if len(before) != height:
            self.refresh()
            return
        lines = enumerate(zip(before, self._drawn, strict=True))
        if changed := [Region(0, y, width, 1) for y, (old, new) in lines if old != new]:
            self.refresh(*changed)

    def _line_at(self, y: int) -> Strip:
        """The last column is a scroll bar where there is something to scroll."""
        inks = ink(self._look)
        width = self.size.width
        if self._head is not None and y == 0:
            return _strip(self._head(width, inks), width, inks.muted)
        y -= self._head is not None
        if not self._count:
            lines = self._empty.splitlines()
            return _strip([(lines[y], inks.muted)] if y < len(lines) else [], width, inks.muted)
        row = self._top + y
        bar = self._count > self._page
        inner = width - bar
        if row >= self._count:
            return _strip([], width, inks.text)
        spans, fill = self._line(row, inner, inks), inks.text
        if row == self.row:
            fill = inks.selected if self.has_focus else inks.resting
            spans = [(text, fill if self.has_focus else style + fill) for text, style in spans]
        strip = _strip(spans, inner, fill)
        return Strip.join([strip, self._bar(y, inks)]) if bar else strip

    def _bar(self, y: int, inks: Ink) -> Strip:
        page = self._page
        thumb = max(round(page * page / self._count), 1)
        start = round(self._top / max(self._count - page, 1) * (page - thumb))
        glyph = "▐" if start <= y < start + thumb else " "
        return Strip([Segment(glyph, inks.muted)])


def _strip(spans: Sequence[Span], width: int, fill: Style) -> Strip:
    return Strip([Segment(text, style) for text, style in spans if text]).adjust_cell_length(width, fill)


def _nothing(row: int, width: int, inks: Ink) -> Sequence[Span]:  # noqa: ARG001 - a Line
    return ()
