"""Everything by name: the commands of the key table, and the entries of the run (ctrl+p)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from tui.keys import CHART, CORRELATIONS, GLOBAL, GRADIENTS, LIST, RUNS
from tui.quirks import as_help, highlighted
from tui.words import plain

if TYPE_CHECKING:
    from tui.app import Explorer

MOVES = ("move", "page", "column", "record", "match")  # pointless from a palette


class Commands(Provider):
    """Finds actions and entries."""

    def _all(self) -> Iterator[tuple[str, str, Any]]:
        from tui.screens import SCREENS
        from tui.screens.page import Page

        explorer = cast("Explorer", self.app)
        page = self.screen
        for screen in SCREENS:
            yield f"go to {screen.TITLE_WORD}", screen.NUMBER, partial(explorer.show_screen, screen.NAME)
        for key in (*GLOBAL, *LIST, *RUNS, *CHART, *GRADIENTS, *CORRELATIONS):
            name = key.action.removeprefix("app.").partition("(")[0]
            known = key.action.startswith("app.") or hasattr(page, f"action_{name}")
            if known and name not in MOVES:
                yield key.text, key.shown, partial(page.run_action, key.action)
        if explorer.facts is not None and isinstance(page, Page):
            for entry in explorer.facts.entries:
                yield f"show {plain(entry.name)}", plain(entry.doc), partial(explorer.show_entry, entry.name)

    async def discover(self) -> Hits:
        """Everything, before anything is typed."""
        for name, note, action in self._all():
            yield DiscoveryHit(Content(name), action, text=name, help=as_help(note))

    async def search(self, query: str) -> Hits:
        """What fits the letters typed."""
        matcher = self.matcher(query)
        for name, note, action in self._all():
            if (score := matcher.match(name)) > 0:
                yield Hit(score, highlighted(matcher, name), action, text=name, help=as_help(note))
