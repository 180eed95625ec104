"""How does a whole Textual screen keep to ASCII (LANG=C)? Each cell stays as wide as it was."""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from tui.charset import to_ascii


class AsciiOnly(LineFilter):
    """Passes nothing but ASCII on to the terminal."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002 - Textual's own form
        """The same segments in ASCII."""
        return [Segment(to_ascii(text), style, control) for text, style, control in segments]
