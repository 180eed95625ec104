"""In which style is each kind of text shown, in the theme and the colour depth at hand?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from rich.style import Style

from tui.paint.look import Look


@dataclass(frozen=True)
class Ink:
    """The styles of everything that is not a chart. A style is never None: Textual needs one on every segment."""

    text: Style
    muted: Style
    strong: Style
    accent: Style
    bad: Style
    warn: Style
    good: Style
    selected: Style  # the row under the cursor of the focused list
    resting: Style  # the same where the focus is elsewhere
    bar: Style  # title and key line
    bar_muted: Style
    bar_key: Style
    bar_active: Style


@lru_cache(maxsize=16)
def ink(look: Look) -> Ink:
    """The styles for a look."""
    c = look.colours

    def style(fg: str = "", bg: str = "", *, bold: bool | None = None) -> Style:
        return Style(color=fg or None, bgcolor=bg or None, bold=bold)

    if not look.blends:
        plain = Style(bold=False)
        return Ink(
            text=plain,
            muted=Style(dim=True),
            strong=Style(bold=True),
            accent=style(c.series[0], bold=True),
            bad=style(c.bad, bold=True),
            warn=style(c.series[1]),
            good=style(c.good),
            selected=Style(reverse=True),
            resting=Style(bold=True, underline=True),
            bar=plain,
            bar_muted=Style(dim=True),
            bar_key=Style(bold=True),
            bar_active=Style(reverse=True),
        )
    return Ink(
        text=style(c.foreground),
        muted=style(c.muted),
        strong=style(c.foreground, bold=True),
        accent=style(c.series[0]),
        bad=style(c.bad),
        warn=style(c.series[1]),
        good=style(c.good),
        selected=style(c.background, c.series[0]),
        resting=style(c.foreground, c.grid),
        bar=style(c.foreground, c.grid),
        bar_muted=style(c.muted, c.grid),
        bar_key=style(c.series[0], c.grid, bold=True),
        bar_active=style(c.background, c.series[0], bold=True),
    )
