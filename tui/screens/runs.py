"""Which runs are there, how far are they, and is any of them ill?"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.message import Message

from recorder.analysis.health import findings
from recorder.runfile.schema import State
from tui import messages
from tui.filter import FilterError, flat, name_filter, natural_key, settings_filter
from tui.health import badge
from tui.ink import Ink
from tui.keys import LIST, RUNS, Key, bindings
from tui.paint.look import Look
from tui.requests import WatchRuns
from tui.screens.page import ASCII_SIGNS, STATE_SIGNS, Page
from tui.screens.prompt import Prompt
from tui.source import Record
from tui.widgets.line import Span
from tui.widgets.rows import Rows
from tui.words import age, clip, count, number, plain, size, sparkline

HOW_TO = """
  No runs here yet. Record one with three lines around your training loop:

      from recorder import record

      with record(model, "runs/mlp.h5", optimizer=optimizer) as run:
          ...
          run.step(loss=loss)

  or see one at once:    layerscope demo
"""


@dataclass(frozen=True)
class Column:
    """One column: its title, width (0: what is left), the screen width from which it is shown, and its cell."""

    title: str
    width: int
    since: int
    cell: Callable[[Record, int, Ink, Look], Span]
    right: bool = False


def _state(r: Record, width: int, i: Ink, look: Look) -> Span:
    sign, tone = STATE_SIGNS[r.state.value]
    return f"{ASCII_SIGNS[sign] if look.ascii else sign} {r.state.value}", getattr(i, tone)


def _loss(r: Record, width: int, i: Ink, look: Look) -> Span:
    if r.loss is None:
        return "", i.muted
    return number(r.loss), i.text if math.isfinite(r.loss) else i.bad


def _health(r: Record, width: int, i: Ink, look: Look) -> Span:
    return badge(findings(r.health), width), i.bad


COLUMNS = (
    Column("name", 0, 0, lambda r, w, i, k: (clip(r.name, w, middle=True), i.strong)),
    Column("state", 11, 0, _state),
    Column("framework", 10, 110, lambda r, w, i, k: (clip(r.framework, w), i.muted)),
    Column("steps", 6, 0, lambda r, w, i, k: (count(r.steps), i.text), right=True),
    Column("loss", 9, 0, _loss, right=True),
    Column("", 10, 0, lambda r, w, i, k: (sparkline(r.losses, w, ascii_only=k.ascii), i.accent)),
    Column("", 24, 150, lambda r, w, i, k: (plain(_settings(r, w)), i.muted)),
    Column("health", 15, 90, _health),
    Column("size", 7, 72, lambda r, w, i, k: (size(r.size), i.muted), right=True),
    Column("age", 6, 60, lambda r, w, i, k: (age(time.time() - r.mtime), i.muted), right=True),
)


def _settings(r: Record, width: int) -> str:
    return clip(" ".join(f"{k.rpartition('.')[2]}={v}" for k, v in settings_of(r, own=True).items()), width)


def settings_of(r: Record, *, own: bool = False) -> dict[str, object]:
    """What the settings filter sees: the user's own `meta=`, and unless `own` the run's name, state and so on too."""
    config = r.meta.get("config", r.meta.get("user", {}))
    mine = flat(config) if isinstance(config, dict) else {}
    if own:
        return mine
    rest = {k: v for k, v in r.meta.items() if k not in ("config", "user")}
    about = {"name": r.name, "state": r.state.value, "framework": r.framework, "steps": r.steps, "loss": r.loss}
    return {**flat(rest), **about, **mine}


class Runs(Page):
    """The list of runs of a folder, followed as it grows."""

    NUMBER, NAME, TITLE_WORD, NEEDS_RUN = "1", "runs", "Runs", False
    BINDINGS = [*bindings(*LIST, *RUNS)]  # noqa: RUF012

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
        if not self.is_mounted:
            return
        filters = self.place.filters
        try:
            by_name, by_settings = name_filter(filters.get("runs", "")), settings_filter(filters.get("settings", ""))
        except FilterError:
            return
        kept = [
            r for r in self._records if by_name(r.name) and (not filters.get("settings") or by_settings(settings_of(r)))
        ]
        self._shown = sorted(kept, key=lambda r: natural_key(r.name))
        paths = [str(r.path) for r in self._shown]
        at = self._at or self.place.run
        row = paths.index(at) if at in paths else self.table.row
        self.table.show(len(self._shown), self._spans, row=row, head=self._head, empty=self._empty())
        super().update()

    def _empty(self) -> str:
        if not self._complete and not self._records:
            return "\n  looking for runs…"
        return "\n  No run fits the filter. Esc clears it." if self._records else HOW_TO

    def _columns(self, width: int) -> list[tuple[Column, int]]:
        shown = [c for c in COLUMNS if self.size.width >= c.since]
        rest = width - 1 - sum(c.width for c in shown) - 2 * (len(shown) - 1)
        return [(c, c.width or max(rest, 8)) for c in shown]

    def _head(self, width: int, i: Ink) -> Sequence[Span]:
        cells = [c.title.rjust(w) if c.right else c.title.ljust(w) for c, w in self._columns(width)]
        return [(" " + "  ".join(cells), i.muted)]

    def _spans(self, row: int, width: int, i: Ink) -> Sequence[Span]:
        record = self._shown[row]
        spans: list[Span] = [(" ", i.text)]
        if record.state is State.DAMAGED:
            column, w = self._columns(width)[0]
            text, style = column.cell(record, w, i, self.explorer.look)
            state, tone = _state(record, 11, i, self.explorer.look)
            left = width - w - 16
            return [*spans, (text.ljust(w + 2), style), (state.ljust(13), tone), (clip(record.error, left), i.muted)]
        for column, w in self._columns(width):
            text, style = column.cell(record, w, i, self.explorer.look)
            spans += [(text.rjust(w) if column.right else text.ljust(w), style), ("  ", i.text)]
        return spans[:-1]

    def status(self) -> tuple[Sequence[Span], Sequence[Span]]:
        """How many runs are shown, and by which filters."""
        i = self.inks
        shown, known = len(self._shown), len(self._records)
        filters = self.place.filters
        left: list[Span] = [(f" {known} runs" if shown == known else f" {shown} of {known} runs", i.text)]
        if not self._complete:
            left.append(("  looking for more…", i.muted))
        for name, sign in (("runs", "/"), ("settings", "f ")):
            if filters.get(name):
                left.append((f"   {sign}{plain(filters[name])}", i.accent))
        return left, ()

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
        """Filters off first; this is the lowest layer."""
        if any(self.place.filters.get(name) for name in ("runs", "settings")):
            self.explorer.filter("runs", "")
            self.explorer.filter("settings", "")

    def action_filter(self) -> None:
        self.app.push_screen(
            Prompt("/", self.place.filters.get("runs", ""), placeholder="words  gl*b  /regex/  !not",
                   check=_wrong_names, changed=lambda text: self.explorer.filter("runs", text))
        )  # fmt: skip

    def action_filter_settings(self) -> None:
        self.app.push_screen(
            Prompt("settings", self.place.filters.get("settings", ""), placeholder="lr>0.01 optimizer=adam",
                   check=_wrong_settings, changed=lambda text: self.explorer.filter("settings", text))
        )  # fmt: skip

    def action_export(self) -> None:
        self.explorer.say("Open a run first (Enter): a figure is made from one of its views.")

    def on_rows_moved(self, message: Rows.Moved) -> None:
        self._at = str(self._shown[message.row].path)

    def on_rows_opened(self, message: Rows.Opened) -> None:
        self.action_open()

    def dress(self, look: Look) -> None:
        """Another theme."""
        self.table.dress(look)


def _wrong_names(text: str) -> str:
    try:
        name_filter(text)
    except FilterError as error:
        return str(error)
    return ""


def _wrong_settings(text: str) -> str:
    try:
        settings_filter(text)
    except FilterError as error:
        return str(error)
    return ""
