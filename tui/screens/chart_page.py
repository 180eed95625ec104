"""How does a screen show one chart under the one step cursor? It asks, moves through it, changes how it is drawn."""

from __future__ import annotations

import shlex
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from textual.message import Message

from recorder.chart import Heat, View
from recorder.entries import Entry
from recorder.runfile.schema import Kind
from recorder.view import Window
from tui import messages
from tui.cursor import Track
from tui.drawing import depends_on_step, is_log, on_screen, short_read_out, within
from tui.health import sentence
from tui.keys import CHART, bindings
from tui.paint.look import COLOUR_MAPS, Look
from tui.requests import Draw, Open
from tui.screens.page import Page
from tui.screens.prompt import Prompt
from tui.terminal import Cursor
from tui.widgets.chart_view import ChartView
from tui.widgets.line import Span
from tui.words import clip, number, plain

SMOOTHING = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
LABEL = 24  # cells of a label on the status line: the value behind it must be seen
TIMES = ("step", "epoch", "time")
NORMALISE = ("global", "row", "column")
NORMALISED = {"global": "", "row": "per row", "column": "per step"}


class StepChart(ChartView, inherit_bindings=False):
    """A chart whose cursor the page moves: it is the step of the whole explorer."""

    @property
    def columns(self) -> int:
        """Cells along x of the topmost plot."""
        return next((field.width for field in self.painting.fields if field is not None), max(self.size.width, 1))

    def present(self, view: View, cursor: Cursor | None) -> None:
        """A view and a cursor at once: painted once."""
        self.set_reactive(ChartView.cursor, cursor)
        self.show(view)


class ChartPage(Page):
    """A page with the chart of one entry; which one, its panes say."""

    BINDINGS = [*bindings(*CHART)]  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self._asked: Draw | None = None
        self._drawn: Draw | None = None
        self._view: View | None = None
        self._track = Track()
        self._held: list[Callable[[], None]] = []  # moves that wait for the first view, which says where to
        self._values: Mapping[str, float] = {}  # exact numbers at the cursor's step, by entry or item
        self._cell_row: int | None = None  # the row of the cell cursor in a heat map of bins or units
        self._trouble = ""

    @property
    def chart(self) -> StepChart:
        """The chart."""
        return self.query_one("#chart", StepChart)

    @property
    @abstractmethod
    def entry(self) -> Entry | None:
        """The entry that is charted."""

    @property
    @abstractmethod
    def item(self) -> str | None:
        """The item that is charted."""

    # -- asking and receiving ----------------------------------------------------------------------------------------

    def ask(self) -> None:
        """Ask for the chart of this place, unless it was asked for already."""
        facts, entry, p = self.explorer.facts, self.entry, self.place
        if facts is None or entry is None:
            return
        step = p.step if depends_on_step(entry) else None
        draw = Draw(facts.path, entry.name, self.item, step, self.window(), p.options, facts.version, self.samples())
        if draw != self._asked:
            self._asked = draw
            self.explorer.ask(draw)

    def samples(self) -> tuple[int, int] | None:
        """Which two samples are looked at, in a map of samples."""
        return None

    def window(self) -> Window:
        """What of the run is shown, in as many columns as there is room for."""
        p = self.place
        return Window(p.lo, p.hi, max(2 * (self.chart.size.width or self.size.width), 80), p.x)

    def receive(self, message: Message) -> None:
        """A view, or why there is none, or news of the run."""
        match message:
            case messages.Drawn() if self._asked is not None and message.draw.entry == self._asked.entry:
                self._trouble = ""
                self._drawn, self._view = message.draw, message.view
                self._track = Track(message.steps, message.x)
                self.chart.present(on_screen(message.view), self._cursor())
                held, self._held = self._held, []
                for move in held:
                    move()
            case messages.Failed() if isinstance(message.request, Draw):
                self._trouble, self._held = message.text, []
        self.update()

    def dress(self, look: Look) -> None:
        """Another theme, colour map or way to normalise."""
        self.chart.look = look

    def on_screen_resume(self) -> None:
        """Ask again for what was told to another screen, which was shown when it came."""
        if self._drawn != self._asked:
            self._asked = None
        super().on_screen_resume()

    def update(self) -> None:
        """Ask for what is not there yet; put the cursor where the place has it, unless a new view is on its way."""
        self.ask()
        if self._view is not None and self._drawn == self._asked:
            self.chart.cursor = self._cursor()
        super().update()

    def _cursor(self) -> Cursor:
        at = self._track.place(self.place.step)
        return Cursor(x=None if at is None or self._view is None else within(self._view, at), row=self._heat_row())

    def _heat_row(self) -> int | None:
        entry = self.entry
        if entry is not None and entry.kind is Kind.PER_ITEM and self.item is not None:
            return entry.items.index(self.item)
        return self._cell_row

    @property
    def heat(self) -> Heat | None:
        """The heat map that is shown, where there is one."""
        charts = () if self._view is None else self._view.charts
        return next((mark for chart in charts for mark in chart.marks if isinstance(mark, Heat)), None)

    # -- saying what is there ----------------------------------------------------------------------------------------

    def step_shown(self) -> int:
        """The recorded step under the cursor."""
        if len(self._track):
            return int(self._track.steps[self._track.row(self.place.step)])
        return 0 if self.explorer.facts is None else self.explorer.facts.last_step

    def values_shown(self) -> list[tuple[str, str]]:
        """Every value under the cursor; the recorded number itself where a chart shows the mean of several."""
        if self._view is None or self._trouble:
            return []
        shown = short_read_out(self._view, self.chart.cursor or Cursor())
        name = self.item or (self.entry.name if self.entry is not None else "")
        exact, said = self._values.get(name), set[str]()
        for k, (label, text) in enumerate(shown):
            if label in said and self.place.options.smoothing:
                shown[k] = ("smoothed", text)
            elif label == name and exact is not None:
                shown[k] = (label, number(exact, 6))
            said.add(label)
        return shown

    def status(self) -> tuple[Sequence[Span], Sequence[Span]]:
        """Step and values on the left; what is switched on, on the right."""
        i, facts = self.inks, self.explorer.facts
        if facts is None:
            return [(" opening…", i.muted)], ()
        left: list[Span] = [(f" step {self.step_shown():,}", i.strong), (f" / {facts.last_step:,}", i.muted)]
        if facts.last_step < 0:
            left = [(" no steps recorded yet", i.muted)]
        if self._trouble:
            left.append((f"   {plain(self._trouble)}", i.bad))
        for label, text in self.values_shown():
            left += [(f"   {clip(label, LABEL, middle=True)} ", i.muted), (plain(text), i.strong)]
        return left, [(" ".join(f"[{flag}]" for flag in self._flags()), i.accent), (" ", i.text)]

    def _flags(self) -> list[str]:
        p, o = self.place, self.place.options
        flags = (
            "log" if self._view is not None and is_log(self._view) else "",
            f"smooth {o.smoothing:g}" if o.smoothing else "",
            "no outliers" if o.outliers else "",
            f"limits {o.limits[0]:g}..{o.limits[1]:g}" if o.limits else "",
            f"x: {p.x}" if p.x != "step" else "",
            NORMALISED[o.normalise],
            f"zoom {p.lo}..{p.hi}" if p.lo is not None else "",
        )
        return [flag for flag in flags if flag]

    # -- the cursor --------------------------------------------------------------------------------------------------

    def go_step(self, step: int | None) -> None:
        """Move the one cursor; a zoomed chart follows it."""
        lo, hi = self._track.panned((self.place.lo, self.place.hi), step)
        self.explorer.go(step=step, lo=lo, hi=hi)

    def _move(self, move: Callable[[], None]) -> None:
        """Now; or in its turn once the first view is there, so that a slow disk costs no key."""
        if self._view is None:
            self._held.append(move)
        else:
            move()

    def action_column(self, by: int) -> None:
        """One column of the chart."""

        def move() -> None:
            lo, hi = self._track.ends((self.place.lo, self.place.hi))
            self.go_step(self._track.by_x(self.place.step, by * (hi - lo) / max(self.chart.columns, 1)))

        self._move(move)

    def action_record(self, by: int) -> None:
        self._move(lambda: self.go_step(self._track.by_rows(self.place.step, by)))

    def action_end(self, end: str) -> None:
        self._move(lambda: self.go_step(int(self._track.steps[0]) if end == "first" and len(self._track) else None))

    def action_go_to_step(self) -> None:
        """Ask for a step; the recorded row at or before it is shown."""
        last = self.explorer.facts.last_step if self.explorer.facts is not None else 0
        self.app.push_screen(
            Prompt(
                "step",
                "",
                placeholder=f"0 to {last}",
                check=lambda text: "" if not text or text.isdecimal() else "expected a whole number",
                entered=lambda text: self.go_step(int(text)) if text else None,
            )
        )

    def action_next_finding(self) -> None:
        """The next health finding, round the end."""
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
        heat, entry, cell = self.heat, self.entry, message.cursor
        if cell.row is not None and entry is not None and entry.kind is Kind.PER_ITEM:
            self.explorer.go(item=entry.items[cell.row])
        elif cell.row is not None:
            self._cell_row = cell.row
        if heat is not None and heat.column_steps is not None and cell.column is not None:
            self.go_step(int(heat.column_steps[cell.column]))
        elif message.x is not None and (step := self._track.nearest(message.x)) is not None:
            self.go_step(step)

    def action_zoom(self, direction: int) -> None:
        def move() -> None:
            lo, hi = self._track.zoomed((self.place.lo, self.place.hi), self.place.step, direction)
            self.explorer.go(lo=lo, hi=hi)

        self._move(move)

    # -- how it is drawn ---------------------------------------------------------------------------------------------

    def change(self, **options: Any) -> None:
        """Draw with other options."""
        self.explorer.go(options=replace(self.place.options, **options))

    def action_log(self) -> None:
        self.change(log=not (self._view is not None and is_log(self._view)))

    def action_time_axis(self) -> None:
        self.explorer.go(x=following(TIMES, self.place.x))

    def action_smooth(self, by: int) -> None:
        at = sum(factor <= self.place.options.smoothing for factor in SMOOTHING) - 1
        self.change(smoothing=SMOOTHING[min(max(at + by, 0), len(SMOOTHING) - 1)])

    def action_outliers(self) -> None:
        self.change(outliers=not self.place.options.outliers)

    def action_limits(self) -> None:
        limits = self.place.options.limits
        self.app.push_screen(
            Prompt(
                "limits",
                "" if limits is None else f"{limits[0]:g} {limits[1]:g}",
                placeholder="low high; empty for all",
                check=lambda text: limits_of(text)[1],
                entered=lambda text: self.change(limits=limits_of(text)[0]),
            )
        )

    def action_colours(self) -> None:
        self.change(colours=following(COLOUR_MAPS, self.place.options.colours))

    def action_normalise(self) -> None:
        self.change(normalise=following(NORMALISE, self.place.options.normalise))

    def action_reload(self) -> None:
        if self.explorer.facts is not None:
            self.explorer.ask(Open(self.explorer.facts.path))
            self.explorer.say(f"{self.explorer.facts.name} is read again.")

    # -- taking it elsewhere -----------------------------------------------------------------------------------------

    def action_copy_value(self) -> None:
        values = self.values_shown()
        self.explorer.copy("\n".join([f"step\t{self.step_shown()}", *(f"{label}\t{text}" for label, text in values)]))

    def action_copy_command(self) -> None:
        if self._asked is not None:
            self.explorer.copy(command(self._asked))

    def action_export(self) -> None:
        from tui.screens.export import ExportDialog

        entry = self.entry
        if self._asked is None or entry is None:
            self.explorer.say("Nothing is drawn yet that could be exported.")
        else:
            self.app.push_screen(ExportDialog(self._asked, stepwise=bool(entry.series) and depends_on_step(entry)))


def command(draw: Draw) -> str:
    """The command line that makes this view as a figure."""
    o, w = draw.options, draw.window
    words = ["layerscope", "export", str(draw.run), draw.entry]
    wanted: tuple[tuple[object, list[str]], ...] = (
        (draw.item is not None, ["--item", str(draw.item)]),
        (draw.step is not None, ["--step", str(draw.step)]),
        (w.lo is not None, ["--from", str(w.lo)]),
        (w.hi is not None, ["--until", str(w.hi)]),
        (w.x != "step", ["--x", w.x]),
        (draw.samples, ["--samples", *map(str, draw.samples or ())]),
        (w.parameters, ["--parameters", *map(str, w.parameters or ())]),
        (o.log is not None, ["--log" if o.log else "--linear"]),
        (o.smoothing, ["--smooth", f"{o.smoothing:g}"]),
        (o.outliers, ["--hide-outliers"]),
        (o.limits, ["--limits", *(f"{limit:g}" for limit in o.limits or ())]),
        (o.normalise != "global", ["--normalise", o.normalise]),
        (o.colours != COLOUR_MAPS[0], ["--map", o.colours]),
    )
    return shlex.join([*words, *(word for on, option in wanted if on for word in option)])


def limits_of(text: str) -> tuple[tuple[float, float] | None, str]:
    """Two numbers as limits (None for an empty text), and what is wrong with the text."""
    if not text.strip():
        return None, ""
    try:
        lo, hi = (float(word) for word in text.replace(",", " ").split())
    except ValueError:
        return None, "expected two numbers: low high"
    return ((lo, hi), "") if lo < hi else (None, "the first number must be the lower one")


def following(choices: Sequence[Any], now: Any) -> Any:
    """The next of some choices, round the end."""
    return choices[(choices.index(now) + 1) % len(choices)] if now in choices else choices[0]
