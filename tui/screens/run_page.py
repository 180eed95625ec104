"""What do Overview and Layers share? A list on the left, the chart of what is chosen on the right."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message

from recorder.entries import Entry
from recorder.runfile.schema import Kind
from tui import messages
from tui.filter import FilterError, name_filter, natural_key, wrong_names
from tui.ink import Ink
from tui.keys import CHART, LIST, Key, bindings
from tui.paint.look import Look
from tui.screens.chart_page import ChartPage, StepChart, following
from tui.screens.prompt import Prompt
from tui.state import Order
from tui.widgets.line import Line, Span
from tui.widgets.rows import Rows
from tui.words import clip, fit, number, plain

TENSORS = "tensors"
ORDERS: tuple[Order, ...] = ("recorded", "name", "value", "first bad")
ORDERED = {"recorded": "", "name": " by name", "value": " by value", "first bad": " by who went bad first"}
STEPS = Key(("←→",), "", "", "step")


class RunPage(ChartPage):
    """A page about the opened run. What its list holds is for the two pages themselves to say."""

    BINDINGS = [*bindings(*LIST)]  # noqa: RUF012
    NOUN: ClassVar[str]  # what the list holds, in the plural

    def __init__(self) -> None:
        super().__init__()
        self._names: tuple[str, ...] = ()  # after filter and order
        self._known = 0
        self._rows: dict[str, int] = {}
        self._named: tuple[object, ...] = ()  # what the names were made from
        self._listed: tuple[object, ...] = ()  # and the list
        self._read: tuple[object, ...] = ()  # kept, so that what is new never has the same id
        self._asked_values: Any = None
        self._read_values: Any = None  # of these requests the one that was answered

    def body(self) -> ComposeResult:
        """About the run, then list and chart; on a narrow screen one of the two, and their names as tabs."""
        yield Vertical(id="about")
        yield Line(id="panes")
        with Horizontal(id="body"):
            yield Rows(look=self.explorer.look, id="list")
            yield StepChart(look=self.explorer.look, id="chart")

    def keys(self) -> Sequence[Key]:
        lists = [key for key in LIST if key.short]
        charts = [key for key in CHART if key.short]
        return (*lists, STEPS, *charts) if self.rows.has_focus else (STEPS, *charts, *lists)

    @property
    def rows(self) -> Rows:
        """The list."""
        return self.query_one("#list", Rows)

    # -- what the two pages say --------------------------------------------------------------------------------------

    @abstractmethod
    def names(self) -> Sequence[str]:
        """All names of the list, in recorded order."""

    def names_from(self) -> object:
        """What the names depend on beside run and entry."""
        return None

    @abstractmethod
    def current(self) -> str:
        """The name in the list that is chosen."""

    @abstractmethod
    def choose(self, name: str) -> None:
        """Choose a name of the list."""

    @abstractmethod
    def entries(self) -> Sequence[Entry]:
        """The entries that [ and ] go through."""

    @abstractmethod
    def wanted_values(self) -> Any:
        """The request for the numbers in the list; None: it has none."""

    def annotation(self, name: str) -> Span:
        """What stands on the right of a name."""
        value = self._values.get(name)
        if value is None:
            return "", self.inks.muted
        return number(value), self.inks.muted if math.isfinite(value) else self.inks.bad

    @property
    def entry(self) -> Entry | None:
        known = self.entries()
        chosen = self.place.chosen.get(self.NAME, "")
        return next((e for e in known if e.name == chosen), known[0] if known else None)

    @property
    def item(self) -> str | None:
        """The chosen item, or what comes nearest to it in this entry."""
        entry = self.entry
        return nearest_item(self.place.item, entry.items) if entry is not None and entry.items else None

    @property
    def order(self) -> Order:
        """That of the list; of tensors alone it is known who went bad first."""
        return "recorded" if self.place.order == "first bad" and self.NOUN != TENSORS else self.place.order

    def show_entry(self, name: str) -> None:
        """Chart another entry."""
        self.explorer.go(chosen={**self.place.chosen, self.NAME: name})

    # -- showing -----------------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        super().on_mount()
        self._focus(self.chart if self.place.maximised or self.narrow else self.rows)

    def update(self) -> None:
        """List, chart and lines as place and facts have it."""
        if not self.is_mounted or not self.is_current:
            return
        whole, narrow, on_chart = self.place.maximised, self.narrow, self.chart.has_focus
        self.rows.display = not whole and (not narrow or not on_chart)
        self.chart.display = whole or not narrow or on_chart
        self.query_one("#panes").display = narrow and not whole
        self.query_one("#about").display = not whole
        self._ask_values()
        self._list()
        self._panes()
        super().update()

    def _ask_values(self) -> None:
        wanted = self.wanted_values()
        other = wanted is None or getattr(wanted, "entry", "") != getattr(self._asked_values, "entry", "")
        if other and self._values:
            self._values = {}  # those were numbers of another entry
        if wanted is not None and wanted != self._asked_values:
            self.explorer.ask(wanted)
        self._asked_values = wanted

    def receive(self, message: Message) -> None:
        if isinstance(message, messages.ValuesRead) and message.request == self._asked_values:
            self._values, self._read_values = message.values, message.request
        super().receive(message)

    def on_screen_resume(self) -> None:
        if self._read_values != self._asked_values:
            self._asked_values = None
        super().on_screen_resume()

    def _list(self) -> None:
        """Show the list again where something in it is new; filter and sort it only where its names may be others."""
        entry, wanted, order, narrow = self.entry, self.place.filters.get(self.NAME, ""), self.order, self.narrow
        facts, values, current = self.explorer.facts, self._values, self.current()
        by_value = id(values) if order == "value" else 0
        named = (id(facts), entry and entry.name, wanted, order, by_value, self.names_from())
        if named != self._named:
            try:
                self._names = tuple(self._arranged(wanted, order))
            except FilterError:
                return
            self._rows = {name: row for row, name in enumerate(self._names)}
        listed = (*named, id(values), narrow, current)
        if listed == self._listed:
            return
        self._named, self._listed, self._read = named, listed, (facts, values)
        row = self._rows.get(current, self.rows.row)
        head = None if narrow else self._head
        self.rows.show(len(self._names), self._spans, row=row, head=head, empty=self.nothing())

    def nothing(self) -> str:
        """What stands in a list without names."""
        return "\n No name fits the filter. Esc clears it." if self._known else f"\n No {self.NOUN} recorded."

    def _arranged(self, wanted: str, order: str) -> list[str]:
        """The names that fit the filter, in order."""
        test = name_filter(wanted)
        every = self.names()
        self._known = len(every)
        names = [name for name in every if test(name)]
        if order == "name":
            names.sort(key=natural_key)
        elif order == "value":
            names.sort(key=lambda name: -_rank(self._values.get(name)))
        elif order == "first bad" and (facts := self.explorer.facts) is not None:
            bad = {name: k for k, name in enumerate(facts.first_bad)}
            names.sort(key=lambda name: bad.get(name, len(bad)))
        return names

    def heading(self) -> str:
        """How many names of how many, the filter and the order: "12 of 200 tensors /conv by value"."""
        shown = len(self._names)
        wanted = plain(self.place.filters.get(self.NAME, ""))
        of = f" of {self._known}" if shown != self._known else ""
        return f"{shown}{of} {self.NOUN}{f' /{wanted}' if wanted else ''}{ORDERED[self.order]}"

    def _head(self, width: int, i: Ink) -> Sequence[Span]:
        return [(f" {clip(self.heading(), width - 1)}", i.muted)]

    def _spans(self, row: int, width: int, i: Ink) -> Sequence[Span]:
        name = self._names[row]
        text, style = self.annotation(name)
        room = width - 2 - (len(text) + 1 if text else 0)
        shown = fit(clip(name, room, middle=True), room)
        return [(f" {shown}", i.text), (f" {text}" if text else "", style), (" ", i.text)]

    def _panes(self) -> None:
        i, entry, on_chart = self.inks, self.entry, self.chart.has_focus
        title = "" if entry is None else entry.name + (f" · {self.item}" if self.item else "")
        tabs = ((f" {self.heading()} ", not on_chart), (f" {plain(title)} ", on_chart))
        self.query_one("#panes", Line).show([(text, i.selected if active else i.muted) for text, active in tabs])

    def dress(self, look: Look) -> None:
        super().dress(look)
        self.rows.dress(look)

    # -- moving in the list ------------------------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        """The next row; in a focused heat map whose rows are not the list's, the next cell."""
        heat, entry = self.heat, self.entry
        if heat is not None and entry is not None and entry.kind is not Kind.PER_ITEM and self.chart.has_focus:
            rows = heat.values.shape[0]
            at = rows // 2 if self._cell_row is None else self._cell_row
            self._cell_row = min(max(at - by, 0), rows - 1)
            self.update()
        else:
            self.rows.move_to(self.rows.row + by)

    def action_move_to(self, end: str) -> None:
        self.rows.move_to(0 if end == "first" else self.rows.count)

    def action_page(self, by: int) -> None:
        self.rows.page(by)

    def action_match(self, by: int) -> None:
        """The next row, from any pane and round the end."""
        if self._names:
            self.rows.move_to((self.rows.row + by) % len(self._names))

    def on_rows_moved(self, message: Rows.Moved) -> None:
        self._cell_row = None
        self.choose(self._names[message.row])

    def on_rows_opened(self) -> None:
        self.action_open()

    def action_arrange(self) -> None:
        self.explorer.go(order=following(ORDERS if self.NOUN == TENSORS else ORDERS[:-1], self.order))

    def action_entry(self, by: int) -> None:
        """The entry before or after the charted one."""
        known = [e.name for e in self.entries()]
        if known and self.entry is not None:
            self.show_entry(known[(known.index(self.entry.name) + by) % len(known)])

    def action_filter(self) -> None:
        self.app.push_screen(
            Prompt(
                "/",
                self.place.filters.get(self.NAME, ""),
                placeholder="words  gl*b  /regex/  !not",
                check=wrong_names,
                changed=lambda text: self.explorer.filter(self.NAME, text),
                entered=lambda _: self._settle(),
            )
        )

    def _settle(self) -> None:
        """Choose what the filter has left, where it has taken the chosen one away."""
        if self._names and self.current() not in self._names:
            self.choose(self._names[self.rows.row])

    # -- panes -------------------------------------------------------------------------------------------------------

    def action_open(self) -> None:
        """From the list to the chart, from the chart to the whole screen."""
        if self.rows.has_focus:
            self._focus(self.chart)
        else:
            self.action_maximise()

    def action_next_pane(self) -> None:
        if self.place.maximised:
            self.explorer.go(maximised=False)
        self._focus(self.rows if self.chart.has_focus else self.chart)

    def action_maximise(self) -> None:
        self._focus(self.chart)
        self.explorer.go(maximised=not self.place.maximised)

    def _focus(self, pane: Rows | StepChart) -> None:
        pane.display = True  # what is not displayed cannot be focused
        pane.focus()

    def action_back(self) -> None:
        """One layer back: maximised, chart, filter, the list of runs."""
        if self.place.maximised:
            self.explorer.go(maximised=False)
        elif self.chart.has_focus:
            self._focus(self.rows)
        elif self.place.filters.get(self.NAME):
            self.explorer.filter(self.NAME, "")
        else:
            self.explorer.show_screen("runs")


@lru_cache(maxsize=4)
def nearest_item(wanted: str, items: tuple[str, ...]) -> str:
    """The wanted item, or one that begins like it (layer `fc1` for tensor `fc1.weight`), or the first."""
    if wanted in items:
        return wanted
    alike = (item for item in items if item and (wanted.startswith(item) or (wanted and item.startswith(wanted))))
    return max(alike, key=len, default=items[0])


def _rank(value: float | None) -> float:
    """For sorting by value: what is not finite comes first, what is missing last."""
    return -math.inf if value is None else value if math.isfinite(value) else math.inf
