"""How many colours may be used, which glyphs, which theme: everything of a painting that is not data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from tui.theme import ANSI_DARK, ANSI_LIGHT, DARK, Theme

Normalise = Literal["global", "row", "column"]
COLOUR_MAPS = ("viridis", "cividis", "magma")


class Depth(Enum):
    """How many colours the terminal shows."""

    TRUE = "truecolor"
    PALETTE = "256"
    ANSI = "16"
    NONE = "none"


@dataclass(frozen=True)
class Look:
    """What the user may choose about a painting, and what the terminal can show."""

    depth: Depth = Depth.TRUE
    ascii: bool = False
    theme: Theme = DARK
    colour_map: str = "viridis"
    normalise: Normalise = "global"

    @property
    def colours(self) -> Theme:
        """The theme in colours that this depth has."""
        if self.depth in (Depth.TRUE, Depth.PALETTE):
            return self.theme
        return ANSI_DARK if self.theme.dark else ANSI_LIGHT

    @property
    def blends(self) -> bool:
        """Are there enough colours to shade backgrounds and to give each value its own?"""
        return self.depth in (Depth.TRUE, Depth.PALETTE)


def detect(environment: Mapping[str, str], *, color: str = "auto") -> Depth:
    """The colour depth: `--color` first, then NO_COLOR, COLORTERM and TERM; in doubt fewer colours.

    Raises:
        ValueError: `color` is none of auto, truecolor, 256, 16, none.
    """
    if color != "auto":
        try:
            return Depth(color)
        except ValueError:
            choices = ", ".join(("auto", *(depth.value for depth in Depth)))
            raise ValueError(f"--color: found {color!r}; expected one of {choices}") from None
    term = environment.get("TERM", "")
    if environment.get("NO_COLOR") or term in ("dumb", "unknown"):
        return Depth.NONE
    promised = environment.get("COLORTERM", "").lower() in ("truecolor", "24bit") and not inside_screen(environment)
    if promised or term.endswith("-direct"):
        return Depth.TRUE
    if "256color" in term or term in ("xterm-kitty", "alacritty"):
        return Depth.PALETTE
    return Depth.ANSI


def inside_screen(environment: Mapping[str, str]) -> bool:
    """Is this GNU screen? It passes on what the terminal around it promised, but has 256 colours at most."""
    return bool(environment.get("STY")) or (
        environment.get("TERM", "").startswith("screen") and not environment.get("TMUX")
    )
