"""What is shown where the terminal knows nothing but ASCII (LANG=C)? Each cell stays as wide as it was."""

from __future__ import annotations

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_SAME = str.maketrans(
    "✓✗●‼·…←→↑↓↔≥×▁▂▃▄▅▆▇█▐▌▎─━│┃╭╮╰╯┌┐└┘├┤┬┴┼▔–—∞",
    "+x*!-~<>^v->x_.-=+*#@|||-=||+++++++++++++---i",
)


def to_ascii(text: str) -> str:
    """The text in ASCII: what has a likeness takes it, all else becomes question marks, as many as it has cells."""
    text = text.translate(_SAME)
    return text if text.isascii() else "".join(c if c.isascii() else "?" * cell_len(c) for c in text)


class AsciiOnly(LineFilter):
    """Passes nothing but ASCII on to the terminal."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002 - Textual's own form
        """The same segments in ASCII."""
        return [Segment(to_ascii(text), style, control) for text, style, control in segments]
