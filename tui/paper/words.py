"""How does text that somebody else wrote appear in a figure exactly as written?"""

from __future__ import annotations

import matplotlib

_LATEX = {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"} | {
    c: "\\" + c for c in "&%$#_{}"
}


def plain(text: str) -> str:
    """The text with nothing in it that matplotlib (or LaTeX, where the user's style wants it) takes for a command."""
    visible = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text.replace("\n", " "))
    if matplotlib.rcParams["text.usetex"]:
        return "".join(_LATEX.get(c, c) for c in visible)
    return visible.replace("$", r"\$")


def clipped(text: str, length: int) -> str:
    """The text shortened in the middle, keeping more of its end, where the names of tensors differ."""
    if len(text) <= length:
        return text
    tail = max(1, (2 * length) // 3)
    return text[: max(0, length - tail - 1)] + "…" + text[-tail:]


def with_unit(label: str, unit: str) -> str:
    """The label of an axis, as in gradient norm (loss / weight); a pure number has no unit to show."""
    if unit in ("", "1"):
        return label
    return f"{label} ({unit})" if label else unit
