"""The explorer: one place, one reading thread, and the screens that show the one and ask the other."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from textual.app import App
from textual.binding import Binding
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer

from tui import messages, quirks
from tui.arrival import arrival
from tui.charset import as_given, ascii_only
from tui.follow import Follower
from tui.garbage import STANDS, look_at_what_comes
from tui.leaving import Departure
from tui.memory import tell_malloc
from tui.paint.look import Look, detect, inside_screen
from tui.palette import Commands
from tui.requests import Open, Request
from tui.screens import SCREENS
from tui.screens.page import Page
from tui.screens.run_page import RunPage
from tui.source import Disk, Source
from tui.state import Place, load, save, state_file
from tui.theme import THEMES
from tui.words import plain

PATIENCE = 0.2  # seconds of reading after which a sign appears
SAVE_AFTER = 0.1  # seconds in which several changes become one write


class Explorer(App[int]):
    """Holds the place (what the user chose) and the facts (what was read); screens change it through `go`."""

    TITLE = "layerscope"
    CSS = """
    #title, #keys { height: 1; }
    #body { height: 1fr; }
    #list, #runs { width: 1fr; }
    #about { height: auto; }
    .wide #list { width: 36; }
    .huge #list { width: 52; }
    #chart { width: 1fr; height: 1fr; }
    .wide #chart, .huge #chart { margin-left: 1; }
    #panes { height: 1; }
    ToastRack { margin-bottom: 2; }
    Toast { max-width: 90%; width: auto; min-width: 30; padding: 0 1; margin-top: 0; }
    """
    COMMANDS: ClassVar = {Commands}
    ENABLE_COMMAND_PALETTE = True
    NOTIFICATION_TIMEOUT = 4
    BINDINGS: ClassVar = [
        Binding(screen.NUMBER, f"show_screen('{screen.NAME}')", screen.TITLE_WORD, show=False) for screen in SCREENS
    ]
    HORIZONTAL_BREAKPOINTS = [(0, "narrow"), (100, "wide"), (160, "huge")]  # noqa: RUF012 - an instance variable of App

    def __init__(
        self,
        source: Source,
        *,
        look: Look | None = None,
        place: Place | None = None,
        state: Path | None = None,
    ) -> None:
        super().__init__()
        self.source = source
        self.place = place or Place()
        self.facts: messages.RunFacts | None = None
        self.finding: int | None = None  # which health finding was gone to last
        self._arriving = True  # the run that is to be read next was not shown yet
        self._look = look or Look()
        self._state = state
        self._saving: Timer | None = None
        self._waiting: Timer | None = None
        self._asked = 0
        self._follower = Follower(source, self.post_message)
        self.animation_level = "none"  # what slides costs bytes over SSH
        quirks.force_depth(self, self._look.depth, ascii_only=self._look.ascii)
        for theme in THEMES:
            self.register_theme(theme.textual())
        self._pages = {page.NAME: page() for page in SCREENS}
        for name, page in self._pages.items():
            self.install_screen(page, name)
        if source.single is not None:
            same = self.place.run == str(source.single)
            self.place = self.place if same else replace(Place(theme=self.place.theme), run=str(source.single))
            if self.place.screen in ("", "runs"):
                self.place = replace(self.place, screen="overview")
        if self.place.screen not in self._pages or (self._pages[self.place.screen].NEEDS_RUN and not self.place.run):
            self.place = replace(self.place, screen="runs")

    @property
    def look(self) -> Look:
        """How things are painted: what the terminal can show, and what the user chose."""
        theme = next((t for t in THEMES if t.name == self.place.theme), THEMES[0])
        options = self.place.options
        return replace(self._look, theme=theme, colour_map=options.colours, normalise=options.normalise)

    @property
    def reading(self) -> bool:
        """Is an answer of the reading thread outstanding?"""
        return self._waiting is not None

    @property
    def page(self) -> Page:
        """The full screen that is shown, also under a dialog."""
        return self._pages[self.place.screen]

    # -- life --------------------------------------------------------------------------------------------------------

    def get_default_screen(self) -> Screen[Any]:
        """Begin at the remembered screen, without drawing another one first."""
        return quirks.as_first_screen(self.page)

    def on_mount(self) -> None:
        self._wear()
        self._follower.start()
        if self.place.run and self.page.NEEDS_RUN:
            self.ask(Open(Path(self.place.run)))

    def on_unmount(self) -> None:
        self._follower.stop()
        self.save()

    def save(self) -> None:
        """Remember the place now."""
        self._saving = None
        if self._state is not None:
            save(self.place, self._state)

    # -- what screens call -------------------------------------------------------------------------------------------

    def go(self, **changes: Any) -> None:
        """Change the place: the one way in which anything on the screens changes."""
        before, look = self.place, self.look
        self.place = replace(self.place, **changes)
        if self.place == before:
            return
        if self._saving is None:
            self._saving = self.set_timer(SAVE_AFTER, self.save)
        if self.look != look:
            self._wear()
        self.page.update()

    def filter(self, name: str, text: str) -> None:
        """Change the filter of a list."""
        self.go(filters={**self.place.filters, name: text})

    def ask(self, request: Request) -> None:
        """Ask the reading thread; a sign appears when it takes long."""
        self._asked = self._follower.ask(request)
        if self._waiting is None:
            self._waiting = self.set_timer(PATIENCE, lambda: self.page.busy(True))

    def open_run(self, path: Path) -> None:
        """Open a run on its overview. Its step and zoom begin anew; the entry and the options stay."""
        if str(path) != self.place.run or self.facts is None:
            self.facts, self.finding, self._arriving = None, None, True
            order = "recorded" if self.place.order == "first bad" else self.place.order
            self.go(
                run=str(path), step=None, lo=None, hi=None, anomalies=0, order=order, parameter=None, parameters=None
            )
            self.ask(Open(path))
        self.show_screen("overview")

    def show_screen(self, name: str) -> None:
        """Go to another full screen."""
        page = self._pages[name]
        if page.NEEDS_RUN and not self.place.run:
            self.say("Open a run first: choose one and press Enter.")
            return
        if page.NEEDS_RUN and self.facts is None:
            self.ask(Open(Path(self.place.run)))
        if name != self.place.screen:
            self.place = replace(self.place, screen=name)
            self.switch_screen(name)
            self.go(screen=name)
            self._saving = self._saving or self.set_timer(SAVE_AFTER, self.save)

    def show_entry(self, name: str) -> None:
        """Chart an entry: on the screen that is shown where it lists it, else on the overview."""
        page = self.page
        listed = isinstance(page, RunPage) and any(entry.name == name for entry in page.entries())
        screen = self.place.screen if listed else "overview"
        self.show_screen(screen)
        self.go(chosen={**self.place.chosen, screen: name})

    def say(self, text: str, *, severity: Literal["information", "warning", "error"] = "information") -> None:
        """A short message; names in it are never markup."""
        self.clear_notifications()
        self.notify("\n".join(map(plain, text.splitlines())), severity=severity, markup=False)

    def copy(self, text: str) -> None:
        """Copy through the terminal (OSC 52), and show what was copied, for terminals that refuse."""
        self.copy_to_clipboard(text)
        self.say(f"copied: {text}")

    # -- what the reading thread says --------------------------------------------------------------------------------

    def tell(self, message: Message) -> None:
        """Pass it to the page; one that is being taken down has no widgets left to show it with."""
        if self.page.is_mounted and self.page.children:
            self.page.receive(message)

    def on_run_read(self, message: messages.RunRead) -> None:
        self.facts = message.facts
        if self._arriving:
            self._arrive(message.facts)
        self.tell(message)

    def _arrive(self, facts: messages.RunFacts) -> None:
        """A run that went wrong is shown where it did, unless that was seen before."""
        self._arriving = False
        news = facts.anomalies[self.place.anomalies :]
        if news and self.page.NEEDS_RUN:
            changes = arrival(facts, self.place)
            screen = changes.pop("screen")
            self.go(**changes)
            self.show_screen(screen)
            self.say(news[0].text, severity="warning")

    def on_runs_listed(self, message: messages.RunsListed) -> None:
        self._pages["runs"].receive(message)

    def on_drawn(self, message: messages.Drawn) -> None:
        self.tell(message)

    def on_values_read(self, message: messages.ValuesRead) -> None:
        self.tell(message)

    def on_exported(self, message: messages.Exported) -> None:
        from tui.screens.export import ExportDialog

        if isinstance(self.screen, ExportDialog):
            self.screen.receive(message)
        else:
            self.say("\n".join(map(str, message.written)))

    def on_failed(self, message: messages.Failed) -> None:
        from tui.screens.export import ExportDialog

        if isinstance(self.screen, ExportDialog):
            self.screen.receive(message)
        elif isinstance(message.request, Open):
            self.say(message.text, severity="error")
            self.place = replace(self.place, run="")
            self.show_screen("runs")
        else:
            self.tell(message)

    def on_done(self, message: messages.Done) -> None:
        if message.count == self._asked and self._waiting is not None:
            self._waiting.stop()
            self._waiting = None
            for page in self._pages.values():  # also one that was left since
                page.busy(False)

    # -- actions everywhere ------------------------------------------------------------------------------------------

    def action_show_screen(self, name: str) -> None:
        self.show_screen(name)

    def action_next_theme(self) -> None:
        names = [theme.name for theme in THEMES]
        self.go(theme=names[(names.index(self.look.theme.name) + 1) % len(names)])

    def action_help(self) -> None:
        from tui.ink import ink
        from tui.screens.help import Help

        self.push_screen(Help(ink(self.look), tuple(screen.TITLE_WORD for screen in SCREENS)))

    def _wear(self) -> None:
        """Put on the theme."""
        look = self.look
        if look.blends:
            self.theme = look.theme.name
        else:
            self.theme = "ansi-dark" if look.theme.dark else "ansi-light"
        for page in self._pages.values():
            if page.is_mounted:
                page.dress(look)


def run_explorer(path: Path, *, fresh: bool = False, color: str | None = None) -> int:
    """Explore a folder of runs, or one run, until the user quits; the exit status."""
    tell_malloc()
    quirks.draw_on_the_terminal()
    look = Look(depth=detect(os.environ, color=color or "auto"), ascii=ascii_only(as_given(os.environ)))
    state = state_file(path)
    explorer = Explorer(Disk(path), look=look, place=Place() if fresh else load(state), state=state)
    asyncio.run(_until_it_ends(explorer, Departure(explorer)))
    return explorer.return_code or 0


async def _until_it_ends(explorer: Explorer, departure: Departure) -> None:
    departure.watch()
    asyncio.get_running_loop().call_later(STANDS, look_at_what_comes)
    # With the mouse on, screen 4.9 holds a lone Escape back until the next key.
    await explorer.run_async(mouse=not inside_screen(os.environ))
