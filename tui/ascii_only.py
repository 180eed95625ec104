"""What is shown where the terminal knows nothing but ASCII (LANG=C)? Each cell stays as wide as it was."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

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


def as_given(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment as the user set it: under LANG=C Python adds an LC_CTYPE of its own (PEP 538)."""
    environment = dict(environ)
    try:
        first = Path("/proc/self/environ").read_bytes().split(b"\0")
    except OSError:  # not Linux: believe what is there
        return environment
    if environment.get("LANG") in ("C", "POSIX") and not any(word.startswith(b"LC_CTYPE=") for word in first):
        environment.pop("LC_CTYPE", None)
    return environment
