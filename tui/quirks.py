"""What must be worked around in Textual, in this one file; each says which version it was seen in."""

from __future__ import annotations

import sys
from typing import Any

from rich.color import ColorSystem
from textual.app import App
from textual.content import Content
from textual.filter import LineFilter, NoColor
from textual.fuzzy import Matcher
from textual.markup import escape
from textual.screen import Screen

from tui.ascii_only import AsciiOnly
from tui.paint.look import Depth

_SYSTEMS = {
    Depth.TRUE: ColorSystem.TRUECOLOR,
    Depth.PALETTE: ColorSystem.EIGHT_BIT,
    Depth.ANSI: ColorSystem.STANDARD,
    Depth.NONE: ColorSystem.STANDARD,
}


def force_depth(app: App[Any], depth: Depth, *, ascii_only: bool = False) -> None:
    """Make all of Textual use `depth` colours.

    Textual 8.2 reads the depth once, at import, from variables of its own; and turns NO_COLOR into shades of grey.
    The explorer decides for itself (`--color`, then the environment): 16 colours are the terminal's own, and without
    colour only bold, dim and reverse are left.
    """
    app.console._color_system = _SYSTEMS[depth]
    filters: list[LineFilter] = [f for f in app._filters if type(f).__name__ not in ("Monochrome", "NoColor")]
    if depth is Depth.NONE:
        filters.append(NoColor())
    if ascii_only:
        filters.append(AsciiOnly())
    app._filters[:] = filters
    app.no_color = depth is Depth.NONE
    if depth in (Depth.ANSI, Depth.NONE):
        app.ansi_color = True


def draw_on_the_terminal() -> None:
    """Textual draws on standard error (8.2): with `2>log` the screen would stay empty and the log take the picture."""
    if sys.__stderr__ is not None and not sys.__stderr__.isatty():
        sys.__stderr__ = sys.__stdout__  # type: ignore[misc]


def highlighted(matcher: Matcher, name: str) -> Content:
    """A palette row, matched letters marked. Matcher.highlight reads names as markup: `[/b]` crashes it (8.2)."""
    content = Content(name)
    for offset in matcher.fuzzy_search.match(matcher.query, name)[1]:
        if not name[offset].isspace():
            content = content.stylize(matcher._match_style, offset, offset + 1)
    return content


def as_help(text: str) -> str:
    """The palette reads help texts as markup (8.2)."""
    return escape(text)


def as_first_screen(screen: Screen[Any]) -> Screen[Any]:
    """A default screen is pushed without the callback that switch_screen takes off it, which then fails (8.2)."""
    screen._push_result_callback(screen, None)
    return screen
