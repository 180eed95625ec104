"""What do Overview and Layers share? A list on the left, the chart of what is chosen on the right, one step cursor."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message

from recorder.chart import Heat, Plate, View
from recorder.charting import Entry
from recorder.runfile.schema import Kind
from recorder.view import Window
from tui import messages
from tui.cursor import Track
from tui.drawing import depends_on_step, is_log, on_screen, short_read_out, within
from tui.filter import FilterError, name_filter, natural_key
from tui.health import sentence
from tui.ink import Ink
from tui.keys import CHART, LIST, Key, bindings
from tui.paint.look import COLOUR_MAPS, Look
from tui.requests import Draw, Open
from tui.screens.page import Page
from tui.screens.prompt import Prompt
from tui.state import Place
from tui.terminal import Cursor
from tui.widgets.chart_view import ChartView
from tui.widgets.line import Line, Span
from tui.widgets.rows import Rows
from tui.words import clip, count, duration, number, plain

SMOOTHING = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
TIMES = ("step", "epoch", "time")
NORMALISE = ("global", "row", "column")
ORDERS = ("recorded", "name", "value")


class StepChart(ChartView, inherit_bindings=False):
    """A chart whose cursor the page moves: it is the step of the whole explorer."""

    @property
    def columns(self) -> int:
        """Cells along x of the topmost plot."""
        return next((field.width for field in self.painting.fields if field is not None), max(self.size.width, 1))


class RunPage(Page):
    """A page about the opened run. What its list holds is for the two pages themselves to say."""

    BINDINGS = [*bindings(*LIST, *CHART)]  # noqa: RUF012
    NOUN: ClassVar[str]  # what the list holds, in the plural

    def __init__(self) -> None:
        super().__init__()
        self._names: tuple[str, ...] = ()  # after filter and order
        self._known = 0
        self._asked: Draw | None = None
        self._asked_values: object = None
        self._values: Mapping[str, float] = {}
        self._track = Track()
        self._view: View | None = None
        self._drawn: Draw | None = None
        self._cell_row: int | None = None
        self._trouble = ""

    def body(self) -> ComposeResult:
        """About the run, then list and chart; on a narrow screen one of the two, and their names as tabs."""
        yield Vertical(id="about")
        yield Line(id="panes")
        with Horizontal(id="body"):
            yield Rows(look=self.explorer.look, id="list")
            yield StepChart(look=self.explorer.look, id="chart")

    def keys(self) -> Sequence[Key]:
        if self.rows.has_focus:
            first = [k for k in LIST if k.short]
            return (*first, *[k for k in CHART if k.short])
        return (Key(("←→",), "", "", "step"), *[k for k in CHART if k.short], *[k for k in LIST if k.short == "filter"])

    @property
    def rows(self) -> Rows:
        """The list."""
        return self.query_one("#list", Rows)

    @property
    def chart(self) -> StepChart:
        """The chart."""
        return self.query_one("#chart", StepChart)

    # -- what the two pages say --------------------------------------------------------------------------------------

    @abstractmethod
    def names(self) -> Sequence[str]:
        """All names of the list, in recorded order."""

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
        """The entry that is charted."""
        known = self.entries()
        chosen = self.place.chosen.get(self.NAME, "")
        return next((e for e in known if e.name == chosen), known[0] if known else None)

    @property
    def item(self) -> str | None:
        """The item that is charted: the chosen one, or what comes nearest to it in this entry."""
        entry = self.entry
        if entry is None or not entry.items:
            return None
        return nearest_item(self.place.item, entry.items)

    def show_entry(self, name: str) -> None:
        """Chart another entry."""
        self.explorer.go(chosen={**self.place.chosen, self.NAME: name})

    # -- showing -----------------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        super().on_mount()
        self.rows.focus()

    def update(self) -> None:
        """List, chart and lines as place and facts have it."""
        if not self.is_mounted or not self.is_current:
            return
        z, narrow = self.place.maximised, self.narrow
        on_chart = self.chart.has_focus
        self.rows.display = not z and (not narrow or not on_chart)
        self.chart.display = z or not narrow or on_chart
        self.query_one("#panes").display = narrow and not z
        self.query_one("#about").display = not z
        self._list()
        self._panes()
        self.ask()
        self._point()
        super().update()

    def _list(self) -> None:
        names = list(self.names())
        self._known = len(names)
        try:
            test = name_filter(self.place.filters.get(self.NAME, ""))
        except FilterError:
            return
        names = [name for name in names if test(name)]
        order = self.place.order
        if order == "name":
            names.sort(key=natural_key)
        elif order == "value":
            names.sort(key=lambda name: -_rank(self._values.get(name)))
        self._names = tuple(names)
        current = self.current()
        row = names.index(current) if current in names else self.rows.row
        empty = "\n No name fits the filter." if self._known else f"\n No {self.NOUN} recorded."
        self.rows.show(len(names), self._spans, row=row, head=None if self.narrow else self._head, empty=empty)

    def heading(self) -> str:
        """The list's noun and count: "tensors 12 of 200 /conv"."""
        shown = len(self._names)
        text = f"{self.NOUN} {shown}" + (f" of {self._known}" if shown != self._known else "")
        if wanted := self.place.filters.get(self.NAME, ""):
            text += f" /{plain(wanted)}"
        return text + {"recorded": "", "name": " by name", "value": " by value"}[self.place.order]

    def _head(self, width: int, i: Ink) -> Sequence[Span]:
        return [(f" {clip(self.heading(), width - 1)}", i.muted)]

    def _spans(self, row: int, width: int, i: Ink) -> Sequence[Span]:
        name = self._names[row]
        text, style = self.annotation(name)
        room = width - 2 - (len(text) + 1 if text else 0)
        return [
            (f" {clip(name, room, middle=True).ljust(room)}", i.text),
            (f" {text}" if text else "", style),
            (" ", i.text),
        ]

    def _panes(self) -> None:
        i = self.inks
        entry = self.entry
        title = "" if entry is None else entry.name + (f" · {self.item}" if self.item else "")
        tabs = ((f" {self.heading()} ", not self.chart.has_focus), (f" {plain(title)} ", self.chart.has_focus))
        spans = [(text, i.selected if active else i.muted) for text, active in tabs]
        self.query_one("#panes", Line).show(spans, [("Tab ", i.muted)])

    def dress(self, look: Look) -> None:
        """Another theme, or colour map, or way to normalise."""
        self.rows.dress(look)
        self.chart.look = look

    # -- asking and receiving ----------------------------------------------------------------------------------------

    def ask(self) -> None:
        """Ask for the chart and the numbers of this place, where they were not asked for already."""
        facts, entry = self.explorer.facts, self.entry
        if facts is None or entry is None:
            return
        p = self.place
        draw = Draw(
            facts.path,
            entry.name,
            self.item,
            p.step if depends_on_step(entry) else None,
            Window(p.lo, p.hi, max(2 * self.chart_width(), 80), p.x),
            p.options,
            facts.version,
        )
        if draw != self._asked:
            self._asked = draw
            self.explorer.ask(draw)
        wanted = self.wanted_values()
        if wanted is not None and wanted != self._asked_values:
            self._asked_values = wanted
            self.explorer.ask(wanted)

    def chart_width(self) -> int:
        """Columns of the chart, also while it is hidden."""
        return self.chart.size.width or self.size.width

    def receive(self, message: Message) -> None:
        """A view, numbers, or why there are none."""
        match message:
            case messages.Drawn() if self._asked is not None and message.draw.entry == self._asked.entry:
                self._trouble = ""
                self._view, self._drawn = message.view, message.draw
                self._track = Track(message.steps, message.x)
                self.chart.show(on_screen(message.view))
                self.update()
            case messages.ValuesRead() if message.request == self._asked_values:
                self._values = message.values
                self.update()
            case messages.Failed() if isinstance(message.request, Draw):
                self._trouble = message.text
                self.update()
            case messages.RunRead():
                self.update()

    # -- the cursor --------------------------------------------------------------------------------------------------

    def _point(self) -> None:
        """Put the chart's cursor where the step, and in a heat map the item, is."""
        if self._view is not None:
            at = self._track.place(self.place.step)
            self.chart.cursor = Cursor(x=None if at is None else within(self._view, at), row=self._heat_row())

    def _heat_row(self) -> int | None:
        entry = self.entry
        if entry is not None and entry.kind is Kind.PER_ITEM and self.item is not None:
            return entry.items.index(self.item)
        return self._cell_row

    def step_shown(self) -> int:
        """The recorded step under the cursor."""
        if len(self._track):
            return int(self._track.steps[self._track.row(self.place.step)])
        facts = self.explorer.facts
        return 0 if facts is None else facts.last_step

    def values_shown(self) -> list[tuple[str, str]]:
        """Every value under the cursor."""
        if self._view is None or self._trouble:
            return []
        return short_read_out(self._view, self.chart.cursor or Cursor())

    def status(self) -> tuple[Sequence[Span], Sequence[Span]]:
        """Step and values on the left; what is switched on, on the right."""
        i, facts, p = self.inks, self.explorer.facts, self.place
        if facts is None:
            return [(f" {self._trouble or 'opening…'}", i.muted)], ()
        left: list[Span] = [(f" step {self.step_shown():,}", i.strong), (f" / {facts.last_step:,}", i.muted)]
        if self._trouble:
            left.append((f"   {plain(self._trouble)}", i.bad))
        for label, text in self.values_shown():
            left += [(f"   {plain(label)} ", i.muted), (plain(text), i.strong)]
        o = p.options
        flags = [
            "log" if self._view is not None and is_log(self._view) else "",
            f"smooth {o.smoothing:g}" if o.smoothing else "",
            "no outliers" if o.outliers else "",
            f"limits {o.limits[0]:g}..{o.limits[1]:g}" if o.limits else "",
            f"x: {p.x}" if p.x != "step" else "",
            f"per {'step' if o.normalise == 'column' else 'row'}" if o.normalise != "global" else "",
            f"{p.lo}–{p.hi}" if p.lo is not None else "",
        ]
        return left, [(" ".join(f"[{flag}]" for flag in flags if flag), i.accent), (" ", i.text)]

    def go_step(self, step: int | None) -> None:
        """Move the one cursor; a zoomed chart follows it."""
        lo, hi = self._track.panned((self.place.lo, self.place.hi), step)
        self.explorer.go(step=step, lo=lo, hi=hi)

    def action_column(self, by: int) -> None:
        """One column of the chart."""
        if not len(self._track):
            return
        lo = self._track.place(self.place.lo if self.place.lo is not None else int(self._track.steps[0]))
        hi = self._track.place(self.place.hi)
        assert lo is not None
        assert hi is not None
        self.go_step(self._track.by_x(self.place.step, by * max(hi - lo, 0) / max(self.chart.columns, 1)))

    def action_record(self, by: int) -> None:
        self.go_step(self._track.by_rows(self.place.step, by))

    def action_end(self, end: str) -> None:
        self.go_step(int(self._track.steps[0]) if end == "first" and len(self._track) else None)

    def action_go_to_step(self) -> None:
        """Ask for a step; the recorded row at or before it is shown."""
        facts = self.explorer.facts
        if facts is not None:
            self.app.push_screen(
                Prompt("step", "", placeholder=f"0 to {facts.last_step}", check=_wrong_step,
                       entered=lambda text: self.go_step(int(text)) if text else None)
            )  # fmt: skip

    def action_next_finding(self) -> None:
        """The next health finding after the cursor's step, round the end."""
        found = self.explorer.facts.findings if self.explorer.facts is not None else ()
        if not found:
            self.explorer.say("No health findings: nothing exploded, vanished, died or stopped being finite.")
            return
        at = self.explorer.finding
        self.explorer.finding = 0 if at is None else (at + 1) % len(found)
        finding = found[self.explorer.finding]
        place = f"{self.explorer.finding + 1} of {len(found)}, step {finding.step:,}"
        self.explorer.say(f"{place}: {sentence(finding)}", severity="warning")
        self.go_step(finding.step)

    def on_chart_view_cursor_moved(self, message: ChartView.CursorMoved) -> None:
        """A click in the chart."""
        self.chart.focus()
        heat, entry = _heat(self._view), self.entry
        column, row = message.cursor.column, message.cursor.row
        if heat is not None and heat.column_steps is not None and column is not None:
            step: int | None = int(heat.column_steps[column])
        else:
            step = None if message.x is None else self._track.nearest(message.x)
        if row is not None and entry is not None and entry.kind is Kind.PER_ITEM:
            self.explorer.go(item=entry.items[row])
        elif row is not None:
            self._cell_row = row
        if step is not None:
            self.go_step(step)

    # -- moving in the list ------------------------------------------------------------------------------------------

    def _moves_cell(self) -> bool:
        """In a focused heat map whose rows are not the list's, up and down move the cell."""
        entry = self.entry
        own = entry is not None and entry.kind is not Kind.PER_ITEM
        return own and self.chart.has_focus and _heat(self._view) is not None

    def action_move(self, by: int) -> None:
        heat = _heat(self._view)
        if self._moves_cell() and heat is not None:
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
        if self._names:
            self.rows.move_to((self.rows.row + by) % len(self._names))

    def on_rows_moved(self, message: Rows.Moved) -> None:
        self._cell_row = None
        self.choose(self._names[message.row])

    def on_rows_opened(self, message: Rows.Opened) -> None:
        self.action_open()

    def action_arrange(self) -> None:
        self.explorer.go(order=_next(ORDERS, self.place.order))

    def action_entry(self, by: int) -> None:
        """The entry before or after the charted one."""
        known = [e.name for e in self.entries()]
        if known and self.entry is not None:
            self.show_entry(known[(known.index(self.entry.name) + by) % len(known)])

    def action_open(self) -> None:
        """From the list to the chart, from the chart to the whole screen."""
        if self.rows.has_focus:
            self.chart.display = True
            self.chart.focus()
        else:
            self.action_maximise()

    def action_next_pane(self) -> None:
        if self.place.maximised:
            self.explorer.go(maximised=False)
        target = self.rows if self.chart.has_focus else self.chart
        target.display = True
        target.focus()

    def action_back(self) -> None:
        """One layer back: maximised, chart, filter, list of runs."""
        if self.place.maximised:
            self.explorer.go(maximised=False)
        elif self.chart.has_focus:
            self.action_next_pane()
        elif self.place.filters.get(self.NAME):
            self.explorer.filter(self.NAME, "")
        else:
            self.explorer.show_screen("runs")

    def action_filter(self) -> None:
        self.app.push_screen(
            Prompt("/", self.place.filters.get(self.NAME, ""), placeholder="words  gl*b  /regex/  !not",
                   check=_wrong_names, changed=lambda text: self.explorer.filter(self.NAME, text))
        )  # fmt: skip

    # -- how it is drawn ---------------------------------------------------------------------------------------------

    def _options(self, **changes: Any) -> None:
        self.explorer.go(options=replace(self.place.options, **changes))

    def action_zoom(self, direction: int) -> None:
        lo, hi = self._track.zoomed((self.place.lo, self.place.hi), self.place.step, direction)
        self.explorer.go(lo=lo, hi=hi)

    def action_log(self) -> None:
        self._options(log=not (self._view is not None and is_log(self._view)))

    def action_time_axis(self) -> None:
        self.explorer.go(x=_next(TIMES, self.place.x))

    def action_smooth(self, by: int) -> None:
        at = int(np.abs(np.array(SMOOTHING) - self.place.options.smoothing).argmin())
        self._options(smoothing=SMOOTHING[min(max(at + by, 0), len(SMOOTHING) - 1)])

    def action_outliers(self) -> None:
        self._options(outliers=not self.place.options.outliers)

    def action_limits(self) -> None:
        limits = self.place.options.limits
        self.app.push_screen(
            Prompt("limits", "" if limits is None else f"{limits[0]:g} {limits[1]:g}", placeholder="low high; empty: all",
                   check=lambda text: limits_of(text)[1], entered=lambda text: self._options(limits=limits_of(text)[0]))
        )  # fmt: skip

    def action_colours(self) -> None:
        self._options(colours=_next(COLOUR_MAPS, self.place.options.colours))

    def action_normalise(self) -> None:
        self._options(normalise=_next(NORMALISE, self.place.options.normalise))

    def action_maximise(self) -> None:
        self.chart.display = True
        self.chart.focus()
        self.explorer.go(maximised=not self.place.maximised)

    def action_reload(self) -> None:
        facts = self.explorer.facts
        if facts is not None:
            self.explorer.ask(Open(facts.path))
            self.explorer.say(f"{facts.name} is read again.")

    # -- taking it elsewhere -----------------------------------------------------------------------------------------

    def action_copy_value(self) -> None:
        values = self.values_shown()
        self.explorer.copy("\n".join([f"step\t{self.step_shown()}", *(f"{label}\t{text}" for label, text in values)]))

    def action_copy_command(self) -> None:
        if self._asked is not None:
            self.explorer.copy(command(self._asked, self.place))

    def action_export(self) -> None:
        from tui.screens.export import ExportDialog

        if self._asked is None:
            self.explorer.say("Nothing is drawn yet that could be exported.")
        else:
            self.app.push_screen(ExportDialog(replace(self._asked, step=self.place.step)))


def command(draw: Draw, place: Place) -> str:
    """The command line that makes this view as a figure."""
    from shlex import join

    words = ["layerscope", "export", str(draw.run), draw.entry]
    if draw.item is not None:
        words += ["--item", draw.item]
    if place.step is not None:
        words += ["--step", str(place.step)]
    if draw.options.log:
        words.append("--log")
    if draw.options.smoothing:
        words += ["--smooth", f"{draw.options.smoothing:g}"]
    return join(words)


def nearest_item(wanted: str, items: Sequence[str]) -> str:
    """The wanted item, or the one that begins like it (layer `fc1` for tensor `fc1.weight`), or the first."""
    if wanted in items:
        return wanted
    alike: Callable[[str], int] = lambda item: _common(item, wanted)  # noqa: E731 - named for max
    best = max(items, key=alike)
    return best if wanted and alike(best) >= min(len(best), len(wanted)) else items[0]


def _common(a: str, b: str) -> int:
    return next((k for k, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def limits_of(text: str) -> tuple[tuple[float, float] | None, str]:
    """Two numbers as limits (None for an empty text), and what is wrong with the text."""
    if not text.strip():
        return None, ""
    try:
        lo, hi = (float(word) for word in text.replace(",", " ").split())
    except ValueError:
        return None, "expected two numbers: low high"
    return ((lo, hi), "") if lo < hi else (None, "the first number must be the lower one")


def _wrong_step(text: str) -> str:
    return "" if not text or text.isdecimal() else "expected a whole number"


def _wrong_names(text: str) -> str:
    try:
        name_filter(text)
    except FilterError as error:
        return str(error)
    return ""


def _heat(view: View | None) -> Heat | None:
    charts = () if view is None else view.charts if isinstance(view, Plate) else (view,)
    return next((mark for chart in charts for mark in chart.marks if isinstance(mark, Heat)), None)


def _next(choices: Sequence[Any], now: Any) -> Any:
    return choices[(list(choices).index(now) + 1) % len(choices)] if now in choices else choices[0]


def _rank(value: float | None) -> float:
    """For sorting by value: what is not finite comes first, what is missing last."""
    return -math.inf if value is None else value if math.isfinite(value) else math.inf


def about_size(entry: Entry) -> str:
    """How many items an entry has, where it is no single number."""
    return (
        count(len(entry.items)) + " " + entry.item_dim + ("s" if len(entry.items) != 1 else "") if entry.items else ""
    )


def elapsed(facts: messages.RunFacts, now: float) -> str:
    """How long the run took, or has taken until now."""
    return duration((facts.ended if facts.ended is not None else now) - facts.started) if facts.started else ""
