"""What was recorded in this run, how did it go, and where did it come from?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from textual.containers import Vertical

from recorder.entries import Entry
from recorder.runfile.schema import Kind
from tui.provenance import provenance
from tui.requests import ReadScalars
from tui.screens.page import SHORT
from tui.screens.run_page import RunPage
from tui.widgets.line import Line, Span
from tui.words import count

ABOUT_LINES = 4


class Overview(RunPage):
    """All entries of the run, each scalar with its value at the cursor."""

    NUMBER, NAME, TITLE_WORD, NOUN = "2", "overview", "Overview", "entries"

    def on_mount(self) -> None:
        self.query_one("#about", Vertical).mount_all([Line(id=f"about{k}") for k in range(ABOUT_LINES)])
        super().on_mount()

    def entries(self) -> Sequence[Entry]:
        facts = self.explorer.facts
        return facts.entries if facts is not None else ()

    def names(self) -> Sequence[str]:
        return [entry.name for entry in self.entries()]

    def current(self) -> str:
        return self.entry.name if self.entry is not None else ""

    def choose(self, name: str) -> None:
        self.show_entry(name)

    def wanted_values(self) -> Any:
        facts = self.explorer.facts
        return None if facts is None else ReadScalars(facts.path, self.place.step, facts.version)

    def annotation(self, name: str) -> Span:
        """A scalar's value, or how many items the entry has."""
        facts = self.explorer.facts
        entry = facts.entry(name) if facts is not None else None
        if facts is not None and entry is not None and entry.kind is not Kind.SCALAR:
            held = len(entry.items if entry.series else facts.events)
            return f"{count(held)} {entry.item_dim}{'' if held == 1 else 's'}", self.inks.muted
        return super().annotation(name)

    def update(self) -> None:
        super().update()
        if not self.is_mounted:
            return
        facts = self.explorer.facts
        lines = provenance(facts, time.time(), self.inks) if facts is not None else []
        room = ABOUT_LINES if self.size.height >= SHORT else 1
        # On a low screen the health findings, which come last, matter more than the command line.
        lines = lines if len(lines) <= room else lines[-room:]
        for k, line in enumerate(self.query("#about Line").results(Line)):
            line.display = k < len(lines)
            line.show(lines[k] if k < len(lines) else ())
