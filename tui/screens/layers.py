"""How does one tensor or layer develop, beside all the others?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recorder.entries import Entry
from recorder.runfile.schema import Kind
from tui.requests import ReadItems
from tui.screens.run_page import RunPage
from tui.widgets.line import Span


class Layers(RunPage):
    """The items of one entry, each with its number at the cursor; [ and ] go to the next entry."""

    NUMBER, NAME, TITLE_WORD = "3", "layers", "Layers"

    @property
    def NOUN(self) -> str:  # type: ignore[override]
        """What the list holds depends on the entry."""
        return f"{self.entry.item_dim}s" if self.entry is not None else "layers"

    def entries(self) -> Sequence[Entry]:
        facts = self.explorer.facts
        return (
            [e for e in facts.entries if e.items and e.kind is not Kind.SCALAR and e.item_dim != "pair"]
            if facts is not None
            else []
        )

    def names(self) -> Sequence[str]:
        return self.entry.items if self.entry is not None else ()

    def current(self) -> str:
        return self.item or ""

    def choose(self, name: str) -> None:
        self.explorer.go(item=name)

    def annotation(self, name: str) -> Span:
        """In the order of who went bad first, since when."""
        facts = self.explorer.facts
        if self.place.order == "first bad" and facts is not None and name in facts.first_bad:
            return f"bad from {facts.first_bad[name].step:,}", self.inks.bad
        return super().annotation(name)

    def wanted_values(self) -> Any:
        facts, entry = self.explorer.facts, self.entry
        if facts is None or entry is None or entry.kind is not Kind.PER_ITEM:
            return None
        return ReadItems(facts.path, entry.name, self.place.step, facts.version)
