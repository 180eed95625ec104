"""What has every full screen? A title with the screens, a body, a status line and the keys that matter here."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.message import Message
from textual.screen import Screen

from tui.ink import Ink, ink
from tui.keys import GLOBAL, Key, bindings
from tui.paint.look import Look
from tui.state import Place
from tui.widgets.line import Line, Span
from tui.widgets.run_columns import state
from tui.words import plain

if TYPE_CHECKING:
    from tui.app import Explorer

NARROW = 100  # columns from which list and chart stand side by side
SHORT = 30  # rows from which there is room for more than one line about the run


class Page(Screen[None]):
    """A full screen. It shows the explorer's place and facts, and changes them by telling the explorer."""

    AUTO_FOCUS = None
    BINDINGS = [*bindings(*GLOBAL)]  # noqa: RUF012 - Textual's own form
    NUMBER: ClassVar[str]
    NAME: ClassVar[str]  # as saved in the state
    TITLE_WORD: ClassVar[str]
    NEEDS_RUN: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self._busy = False

    @property
    def explorer(self) -> Explorer:
        """The app, with its type."""
        return cast("Explorer", self.app)

    @property
    def place(self) -> Place:
        """Where the explorer is."""
        return self.explorer.place

    @property
    def inks(self) -> Ink:
        """The styles of the present look."""
        return ink(self.explorer.look)

    @property
    def narrow(self) -> bool:
        """One pane at a time?"""
        return self.app.size.width < NARROW

    def compose(self) -> ComposeResult:
        """Title, body, status and keys."""
        yield Line(id="title")
        yield from self.body()
        yield Line(id="status")
        yield Line(id="keys")

    def on_mount(self) -> None:
        self.update()

    def on_resize(self) -> None:
        self.update()

    def on_screen_resume(self) -> None:
        self.update()

    def on_descendant_focus(self) -> None:
        self.update()

    # -- what a page is ----------------------------------------------------------------------------------------------

    @abstractmethod
    def body(self) -> ComposeResult:
        """The widgets between title and status."""

    @abstractmethod
    def keys(self) -> Sequence[Key]:
        """The keys that do something here, in the order of their worth."""

    def status(self) -> tuple[Sequence[Span], Sequence[Span]]:
        """The status line, left and right."""
        return (), ()

    def update(self) -> None:
        """Show place and facts as they are now; cheap where nothing changed."""
        if self.is_mounted and self.is_current:
            self._title()
            self.show_status()
            self._keys()

    def dress(self, look: Look) -> None:
        """The theme has changed."""

    def receive(self, message: Message) -> None:
        """Something came from the reading thread."""

    def busy(self, on: bool) -> None:
        """Say that reading takes a while, or no longer."""
        if on != self._busy:
            self._busy = on
            self.show_status()

    # -- the lines they share ----------------------------------------------------------------------------------------

    def _title(self) -> None:
        from tui.screens import SCREENS

        i = self.inks
        room = self.size.width
        facts = self.explorer.facts
        right: list[Span] = []
        if facts is not None and self.NEEDS_RUN:
            word, style = state(facts.state.value, i)
            right = [(f" {plain(facts.name)} ", i.bar), (f"{word} ", i.bar + style)]
        else:
            right = [(f" {plain(str(self.explorer.source.folder))} ", i.bar_muted)]
        long = sum(len(s.TITLE_WORD) + 5 for s in SCREENS) + 12 + sum(cell_len(t) for t, _ in right) <= room
        left: list[Span] = [(" layerscope ", i.bar_key)]
        for screen in SCREENS:
            active = screen.NAME == self.NAME
            word = f" {screen.NUMBER} {screen.TITLE_WORD} " if long or active else f" {screen.NUMBER} "
            left.append((word, i.bar_active if active else i.bar_muted))
        self.query_one("#title", Line).show(left, right, fill=i.bar)

    def show_status(self) -> None:
        """Draw the status line."""
        left, right = self.status()
        if self._busy:
            right = [("reading… ", self.inks.accent), *right]
        self.query_one("#status", Line).show(left, right, fill=self.inks.text)

    def _keys(self) -> None:
        i = self.inks
        room = self.size.width - 1
        spans: list[Span] = [(" ", i.bar)]
        for key in [k for k in (*self.keys(), *GLOBAL) if k.short]:
            shown = key.keys[0]
            word = [(shown, i.bar_key), (f" {key.short}  ", i.bar_muted)]
            needed = sum(cell_len(t) for t, _ in word)
            if needed > room:
                break
            room -= needed
            spans += word
        self.query_one("#keys", Line).show(spans, fill=i.bar)
