"""How does text that somebody else wrote appear in a figure exactly as written?"""

from __future__ import annotations

import textwrap
from typing import Any

import matplotlib

from recorder.chart import Table
from tui.words import plain

CELL = 40  # characters of a table's cell before its text goes on below
WIDE = 0.55  # the width of a character in ems, about
_LATEX = {c: "\\" + c for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
}


def literal(text: str) -> str:
    """The text with nothing in it that matplotlib (or LaTeX, where the user's style wants it) takes for a command."""
    visible = plain(text.replace("\n", " "))
    if matplotlib.rcParams["text.usetex"]:
        return "".join(_LATEX.get(c, c) for c in visible)
    return visible.replace("$", r"\$")


def with_unit(label: str, unit: str) -> str:
    """The label of an axis, as in gradient norm (loss / weight); a pure number has no unit to show."""
    if unit in ("", "1"):
        return label
    return f"{label} ({unit})" if label else unit


def fits(points: float, size: Any) -> int:
    """How many characters of that size, which may be a word such as "medium", fit into that many points."""
    number = float(size) if isinstance(size, int | float) else float(matplotlib.rcParams["font.size"])
    return max(8, int(points / (WIDE * number)))


def table_lines(m: Table) -> list[list[list[str]]]:
    """[line][column][line of the cell]: the header and the rows, long text in several lines and none of it left out."""
    return [[textwrap.wrap(plain(cell), CELL) or [""] for cell in line] for line in (m.columns, *m.rows)]
