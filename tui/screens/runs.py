"""Which runs are there, how far are they, and is any of them ill?"""

from __future__ import annotations

import time
from collections.abc import Sequence

from textual.app import ComposeResult
from textual.message import Message

from recorder.runfile.schema import State
from tui import messages
from tui.filter import FilterError, name_filter, natural_key, settings_filter, wrong_names, wrong_settings
from tui.ink import Ink
from tui.keys import LIST, RUNS, Key, bindings
from tui.paint.look import Look
from tui.requests import WatchRuns
from tui.screens.page import Page
from tui.screens.prompt import Prompt
from tui.source import Record
from tui.widgets import run_columns
from tui.widgets.line import Span
from tui.widgets.rows import Rows
from tui.words import plain

HOW_TO = """
  No runs here yet. Record one with three lines around your training loop:

      from recorder import record

      with record(model, "runs/mlp.h5", optimizer=optimizer) as run:
          ...
          run.step(loss=loss)

  or see one at once:    layerscope demo
"""


class Runs(Page):
    """The list of runs of a folder, followed as it grows."""

    NUMBER, NAME, TITLE_WORD, NEEDS_RUN = "1", "runs", "Runs", False
    BINDINGS = [*bindings(*(key for key in LIST if key.action != "arrange"), *RUNS)]  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self._records: tuple[Record, ...] = ()
        self._shown: list[Record] = []
        self._complete = False
        self._at = ""  # the path under the cursor

    def body(self) -> ComposeResult:
        """One table."""
        yield Rows(look=self.explorer.look, id="runs")

    def keys(self) -> Sequence[Key]:
        return (*[k for k in LIST if k.short], *RUNS)

    @property
    def table(self) -> Rows:
        """The list."""
        return self.query_one("#runs", Rows)

    def on_mount(self) -> None:
        super().on_mount()
        self.table.focus()

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        self.explorer.ask(WatchRuns(True))

    def on_screen_suspend(self) -> None:
        if self.place.screen != self.NAME:  # another page, not a prompt above this one
            self.explorer.ask(WatchRuns(False))

    def receive(self, message: Message) -> None:
        """New runs, or news of known ones."""
        if isinstance(message, messages.RunsListed):
            if not message.complete and len(message.records) < len(self._records):
                return  # a second look has not come as far as the first did: keep what is known
            self._records, self._complete = message.records, message.complete
            self.update()

    def update(self) -> None:
        """Filter, sort and show; the cursor stays on its run."""
        if not self.is_mounted or not self.children:  # one that is being taken down has no list left
            return
        filters = self.place.filters
        try:
            by_name, by_settings = name_filter(filters.get("runs", "")), settings_filter(filters.get("settings", ""))
        except FilterError:
            return
        kept = (r for r in self._records if by_name(r.name) and by_settings(run_columns.settings_of(r)))
        self._shown = sorted(kept, key=lambda r: natural_key(r.name))
        paths = [str(r.path) for r in self._shown]
        at = self._at or self.place.run
        row = paths.index(at) if at in paths else self.table.row
        self.table.show(len(self._shown), self._spans, row=row, head=self._head, empty=self._empty())
        super().update()

    def _empty(self) -> str:
        if self._records:
            return "\n  No run fits the filter. Esc clears it."
        return HOW_TO if self._complete else "\n  looking for runs…"

    def _head(self, width: int, ink: Ink) -> Sequence[Span]:
        return run_columns.head(run_columns.layout(width, self.size.width), ink)

    def _spans(self, row: int, width: int, ink: Ink) -> Sequence[Span]:
        record, columns = self._shown[row], run_columns.layout(width, self.size.width)
        if record.state is State.DAMAGED:
            return run_columns.damaged(record, columns, ink)
        return run_columns.spans(record, columns, ink, now=time.time())

    def status(self) -> tuple[Sequence[Span], Sequence[Span]]:
        """How many runs are shown, and by which filters."""
        i, filters = self.inks, self.place.filters
        shown, known = len(self._shown), len(self._records)
        there = f"{known} run{'' if known == 1 else 's'}"
        left: list[Span] = [(f" {there}" if shown == known else f" {shown} of {there}", i.text)]
        if not self._complete:
            left.append(("  looking for more…", i.muted))
        for name, sign in (("runs", "/"), ("settings", "f ")):
            if filters.get(name):
                left.append((f"   {sign}{plain(filters[name])}", i.accent))
        return left, ()

    def dress(self, look: Look) -> None:
        """Another theme."""
        self.table.dress(look)

    # -- actions -----------------------------------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        self.table.move_to(self.table.row + by)

    def action_move_to(self, end: str) -> None:
        self.table.move_to(0 if end == "first" else self.table.count)

    def action_page(self, by: int) -> None:
        self.table.page(by)

    def action_match(self, by: int) -> None:
        """The next run of those that the filter keeps, round the end."""
        if self._shown:
            self.table.move_to((self.table.row + by) % len(self._shown))

    def action_next_pane(self) -> None:
        """There is one pane only: the run itself is the next."""
        self.action_open()

    def action_open(self) -> None:
        if self._shown:
            record = self._shown[self.table.row]
            if record.state is State.DAMAGED:
                self.explorer.say(f"{record.name}: {record.error}", severity="error")
            else:
                self.explorer.open_run(record.path)

    def action_back(self) -> None:
        """Filters off; this is the lowest layer."""
        self.explorer.go(filters={**self.place.filters, "runs": "", "settings": ""})

    def action_filter(self) -> None:
        self._prompt("/", "runs", "words  gl*b  /regex/  !not")

    def action_filter_settings(self) -> None:
        self._prompt("settings", "settings", "lr>0.01 optimizer=adam")

    def _prompt(self, label: str, name: str, placeholder: str) -> None:
        self.app.push_screen(
            Prompt(
                label,
                self.place.filters.get(name, ""),
                placeholder=placeholder,
                check=wrong_names if name == "runs" else wrong_settings,
                changed=lambda text: self.explorer.filter(name, text),
            )
        )

    def action_export(self) -> None:
        self.explorer.say("Open a run first (Enter): a figure is made from one of its views.")

    def action_reload(self) -> None:
        self.explorer.ask(WatchRuns(True))
        self.explorer.say("The folder is read again.")

    def on_rows_moved(self, message: Rows.Moved) -> None:
        self._at = str(self._shown[message.row].path)

    def on_rows_opened(self) -> None:
        self.action_open()
