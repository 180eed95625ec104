"""One line of text across the screen: words on the left, words on the right, clipped, never wrapped."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

Span = tuple[str, Style]


class Line(Widget):
    """A line that writes to the terminal only when its words change."""

    DEFAULT_CSS = "Line { height: 1; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._left: tuple[Span, ...] = ()
        self._right: tuple[Span, ...] = ()
        self._fill = Style(bold=False)

    def show(self, left: Sequence[Span], right: Sequence[Span] = (), *, fill: Style | None = None) -> None:
        """Show these spans; what stands on the right is kept when there is no room for both."""
        new = (tuple(left), tuple(right), fill or self._fill)
        if new != (self._left, self._right, self._fill):
            self._left, self._right, self._fill = new
            self.refresh()

    def render_line(self, y: int) -> Strip:  # noqa: ARG002 - there is one line
        """The whole widget."""
        width = self.size.width
        base = self.rich_style
        right = Strip([Segment(t, base + s) for t, s in self._right if t])
        left = Strip([Segment(t, base + s) for t, s in self._left if t])
        room = max(width - right.cell_length, 0)
        left = _clipped(left, room - (1 if right.cell_length and left.cell_length > room else 0), base + self._fill)
        return Strip.join([left.adjust_cell_length(room, base + self._fill), right]).crop(0, width)


def _clipped(strip: Strip, width: int, style: Style) -> Strip:
    if strip.cell_length <= width or width < 1:
        return strip.crop(0, max(width, 0))
    return Strip.join([strip.crop(0, width - 1), Strip([Segment("…", style)])])
