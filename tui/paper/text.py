"""How does text that somebody else wrote appear in a figure exactly as written?"""

from __future__ import annotations

from typing import Any

import matplotlib

from tui.words import plain

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
