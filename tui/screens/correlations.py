"""How do representations go together: layers with layers, units with units, samples with samples, step by step?

The map of all layers is the way in: its cursor is a pair of layers, and Enter opens that pair, unit by unit. There the
list holds the strongest pairs of units. `,` and `.` go through the steps; the colours stay those of all steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from textual.message import Message

from recorder.analysis.layer_pairs import halves, layers_of, pair_name
from recorder.chart import Bars, Chart, Heat, Line
from recorder.charting.probed import beside
from recorder.charting.unit_correlation import top
from recorder.entries import Entry
from recorder.runfile.schema import Kind
from tui import messages
from tui.keys import CORRELATIONS, Key, bindings
from tui.requests import ReadItems
from tui.screens.chart_page import TIMES
from tui.screens.run_page import STEPS, RunPage
from tui.terminal import Cursor
from tui.widgets.chart_view import ChartView
from tui.widgets.line import Span
from tui.words import number

UNITS, CLUSTERED, ALL = "unit_correlation", "unit_correlation_clustered", "unit_correlation_overview"
SERIES = (  # what is shown here, in this order; the first is what the screen begins with
    "correlation_mean_abs", "correlation_mean", "correlation_rms", "correlation_q95", "correlation_max_abs",
    "correlation_dead_units", UNITS, "cka", "cka_gram", "sample_correlation", "effective_dimension",
    "augmentation_variance", "augmentation_cosine", "augmentation_distance", "augmentation_feature_correlation",
    "augmentation_sample_correlation",
)  # fmt: skip
SAMPLES = ("sample_correlation", "sample_dissimilarity", "augmentation_sample_correlation")
STRONGEST = 200  # pairs of units that are listed
CELLS = Key(("←→↑↓",), "", "", "cell")
NOTHING = """
 No correlations recorded.

 Record them with a probe and
   instruments=["full"]
 or some of
   UnitCorrelation(), Cka(),
   CorrelationSummary(),
   SampleCorrelation(),
   AugmentationVariance()
 or measure checkpoints later:
   layerscope measure RUN --list"""


class Correlations(RunPage):
    """Layers x layers, units x units, samples x samples."""

    NUMBER, NAME, TITLE_WORD = "5", "correlations", "Correlations"
    BINDINGS = [*bindings(*CORRELATIONS)]  # noqa: RUF012 - Textual's own form

    def __init__(self) -> None:
        super().__init__()
        self._cell: tuple[int, int] | None = None  # the row and the column of the map that the cursor stands on
        self._strongest: dict[str, tuple[int, int]] = {}  # name in the list -> its cell
        self._way_in = ""  # the entry from which a pair was opened

    def keys(self) -> Sequence[Key]:
        mine = [key for key in CORRELATIONS if key.short]
        first, *rest = (CELLS if key is STEPS and self.grid is not None else key for key in RunPage.keys(self))
        return (first, *mine, *rest)

    # -- what is listed ----------------------------------------------------------------------------------------------

    def entries(self) -> Sequence[Entry]:
        """What was recorded of representations, the mean of |r| first."""
        facts = self.explorer.facts
        if facts is None:
            return ()
        place = {name: k for k, name in enumerate(SERIES)}
        mine = [e for e in facts.entries if e.series.partition("@")[0] in place and e.items]
        return sorted(mine, key=lambda e: place[e.series.partition("@")[0]])

    @property
    def NOUN(self) -> str:  # type: ignore[override]
        """What the list holds depends on the entry."""
        if self.by_unit:
            return "strongest pairs"
        return f"{self.entry.item_dim}s" if self.entry is not None else "correlations"

    @property
    def by_unit(self) -> bool:
        """Is one pair of layers shown, unit by unit?"""
        return self.entry is not None and self.entry.name.partition("@")[0] in (UNITS, CLUSTERED)

    @property
    def by_layer(self) -> bool:
        """Is a map of all layers shown, in which a cell, or a block, is a pair of them?"""
        entry = self.entry
        return entry is not None and not self.by_unit and bool(layers_of(entry.items))

    @property
    def by_sample(self) -> bool:
        """Is a map of samples shown, beside which are the two under the cursor?"""
        return self.entry is not None and self.entry.name.partition("@")[0] in SAMPLES

    def names(self) -> Sequence[str]:
        if self.by_unit:
            return tuple(self._strongest)
        return self.entry.items if self.entry is not None else ()

    def names_from(self) -> object:
        """The strongest pairs are those of the matrix that is shown."""
        return id(self._strongest) if self.by_unit else None

    def current(self) -> str:
        if self.by_unit:
            return next((name for name, cell in self._strongest.items() if cell == self._cell), "")
        return self.item or ""

    def choose(self, name: str) -> None:
        if self.by_unit:
            self._cell = self._strongest.get(name, self._cell)
            self.update()
        else:
            self._cell = None
            self.explorer.go(item=name)

    def annotation(self, name: str) -> Span:
        """The number of a pair at the cursor's step; of units their correlation."""
        cell, grid = self._strongest.get(name), self.grid
        if not self.by_unit:
            return super().annotation(name)
        if cell is None or grid is None or cell[0] >= len(grid.values) or cell[1] >= grid.values.shape[1]:
            return "", self.inks.muted
        return number(float(grid.values[cell]), 3), self.inks.muted

    def values_shown(self) -> list[tuple[str, str]]:
        """In a map the value comes first: behind long names there might be no room for it."""
        shown = super().values_shown()
        return [*shown[-1:], *shown[:-1]] if self.grid is not None else shown

    def wanted_values(self) -> Any:
        facts, entry = self.explorer.facts, self.entry
        if facts is None or entry is None or entry.kind is not Kind.PER_ITEM:
            return None
        return ReadItems(facts.path, entry.name, self.place.step, facts.version)

    def samples(self) -> tuple[int, int] | None:
        """Those under the cursor; their names begin with their numbers."""
        chart = self.above
        if not self.by_sample or chart is None or self._cell is None:
            return None
        row, column = self.cell
        return int(chart.y.names[row].partition(":")[0]), int(chart.x.names[column].partition(":")[0])

    def update(self) -> None:
        """Where nothing was recorded the list says how to, so that it is what is shown."""
        if self.is_mounted and self.explorer.facts is not None and not self.entries() and self.chart.has_focus:
            self._focus(self.rows)
        super().update()

    def nothing(self) -> str:
        return super().nothing() if self.entries() else NOTHING

    # -- the cursor in a map of cells --------------------------------------------------------------------------------

    @property
    def above(self) -> Chart | None:
        """The topmost chart, once that of this entry is drawn."""
        if self._view is None or self._drawn is None or self.entry is None or self._drawn.entry != self.entry.name:
            return None
        return self._view if isinstance(self._view, Chart) else self._view.charts[0]

    @property
    def grid(self) -> Heat | None:
        """The map, where neither of its sides is time."""
        chart = self.above
        heat = next((m for m in chart.marks if isinstance(m, Heat)), None) if chart is not None else None
        over_time = heat is None or heat.column_steps is not None or (chart is not None and chart.x.label in TIMES)
        return None if over_time else heat

    @property
    def _charts(self) -> Sequence[Chart]:
        """Those that are shown, once they are this entry's."""
        if self.above is None or self._view is None:
            return ()
        return (self._view,) if isinstance(self._view, Chart) else self._view.charts

    @property
    def places(self) -> int:
        """How many units or layers stand along x, where the chart is no map and not over time; 0 where it is."""
        chart = self._charts[-1] if self._charts else None
        if chart is None or self.grid is not None or chart.x.label in TIMES:
            return 0
        bars = next((len(m.heights) for m in chart.marks if isinstance(m, Bars)), 0)
        return bars or (len(chart.x.names) if any(isinstance(m, Line) for m in chart.marks) else 0)

    @property
    def cell(self) -> tuple[int, int]:
        """Row and column of the cursor, in layers where a cell or a block is a pair of them."""
        entry, grid = self.entry, self.grid
        if grid is None and self.places:
            return 0, min(self._cell[1] if self._cell else 0, self.places - 1)
        if entry is None or grid is None:
            return 0, 0
        if self.by_layer and self.item is not None:
            layers, (a, b) = layers_of(entry.items), halves(entry.items)[self.item]
            cell = layers.index(a), layers.index(b)
            return cell[::-1] if self._cell == cell[::-1] else cell
        row, column = self._cell or (0, 0)
        return min(row, grid.values.shape[0] - 1), min(column, grid.values.shape[1] - 1)

    def _cursor(self) -> Cursor:
        grid, heat = self.grid, self.heat
        if grid is None and self.places:
            return Cursor(x=float(self.cell[1]), chart=len(self._charts) - 1)
        if grid is None:
            usual = super()._cursor()
            if heat is None or heat.column_steps is None or heat.x is not None or not len(self._track):
                return usual
            column = int(np.searchsorted(heat.column_steps, self.step_shown(), side="right")) - 1
            return Cursor(row=usual.row, column=max(column, 0))  # steps one beside the other, whatever lies between
        row, column = self.cell
        if self.by_layer and grid.x is not None and grid.y is not None:  # blocks: the cell in their middle
            row, column = (int(np.searchsorted(e, k + 0.5)) - 1 for e, k in ((grid.y, row), (grid.x, column)))
        return Cursor(row=row, column=column)

    def _heat_row(self) -> int | None:
        chart, entry = self.above, self.entry
        if chart is not None and entry is not None and chart.y.names == entry.items and self.item is not None:
            return entry.items.index(self.item)
        return self._cell_row

    def _go_cell(self, row: int, column: int) -> None:
        grid, entry = self.grid, self.entry
        if grid is None and self.places:
            self._cell = 0, min(max(column, 0), self.places - 1)
            self.update()
        if grid is None or entry is None:
            return
        layers = layers_of(entry.items) if self.by_layer else ()
        rows, columns = (len(layers), len(layers)) if layers else grid.values.shape
        self._cell = row, column = min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)
        if layers:
            a, b = layers[min(row, column)], layers[max(row, column)]
            if pair_name(a, b) in entry.items:
                self.explorer.go(item=pair_name(a, b))
        self.update()

    def action_column(self, by: int) -> None:
        """The next cell to the right; in a map over time the next step."""
        if self.grid is None and not self.places:
            super().action_column(by)
        else:
            row, column = self.cell
            self._go_cell(row, column + by)

    def action_move(self, by: int) -> None:
        chart = self.above
        if not self.chart.has_focus or (chart is not None and chart.y.names == getattr(self.entry, "items", ())):
            self.rows.move_to(self.rows.row + by)
        elif self.grid is None:
            super().action_move(-by if chart is not None and chart.y.reverse else by)
        else:
            row, column = self.cell
            self._go_cell(row + by, column)

    def on_chart_view_cursor_moved(self, message: ChartView.CursorMoved) -> None:
        """A click: in a map of cells it means a cell, or the block that it lies in."""
        grid, at = self.grid, message.cursor
        if grid is None or at.chart != 0 or at.row is None or at.column is None:
            super().on_chart_view_cursor_moved(message)
            return
        message.prevent_default()
        self.chart.focus()
        row, column = at.row, at.column
        if self.by_layer and grid.x is not None and grid.y is not None:
            row, column = int(grid.y[row]), int(grid.x[column])
        self._go_cell(row, column)

    # -- from layers to units and back -------------------------------------------------------------------------------

    def receive(self, message: Message) -> None:
        super().receive(message)
        if isinstance(message, messages.Drawn) and self.by_unit:
            self._list_strongest()
        elif isinstance(message, messages.Drawn) and self.by_sample and self._cell is None and self.grid is not None:
            self._cell = next(iter(top(self.grid.values, 1, own=True)), (0, 0))
            self.update()

    def _list_strongest(self) -> None:
        chart, grid = self.above, self.grid
        if chart is None or grid is None or self.item is None or self.entry is None:
            return
        a, b = halves(self.entry.items)[self.item]
        cells = top(grid.values, STRONGEST, own=a == b)
        named = {f"{chart.y.names[i]} · {chart.x.names[j]}": (i, j) for i, j in cells}
        if self._cell is None and cells:
            self._cell = cells[0]
        self._strongest = named
        self.update()

    def action_open(self) -> None:
        """From the list to the chart; there from all layers to the pair under the cursor."""
        entry = self.entry
        if entry is None or not self.chart.has_focus or not self.by_layer:
            super().action_open()
            return
        units = next((e for e in self.entries() if e.name == beside(entry.series, UNITS)), None)
        if units is None or self.item not in units.items:
            self.explorer.say(
                f"The units of {self.item} were not recorded; record them with UnitCorrelation(layers=[...])."
            )
            return
        self._way_in, self._cell = entry.name, None
        self.show_entry(units.name)

    def action_back(self) -> None:
        """From a pair back to the map of all layers that it was opened from."""
        if self.by_unit and self._way_in and not self.place.maximised:
            back, self._way_in, self._cell = self._way_in, "", None
            self.show_entry(back)
        else:
            super().action_back()

    def show_entry(self, name: str) -> None:
        self._cell, self._strongest = None, {}
        super().show_entry(name)

    def action_clustered(self) -> None:
        """Units in model order, or beside those that they go with."""
        entry = self.entry
        if entry is None or not self.by_unit:
            self.explorer.say("Units are clustered in the matrix of one pair of layers: Enter opens it.")
            return
        way_in = self._way_in
        self.show_entry(beside(entry.series, UNITS if CLUSTERED in entry.name else CLUSTERED))
        self._way_in = way_in

    def action_all_pairs(self) -> None:
        """The units of all layers in one map, and back to what was shown before."""
        known = [e.name for e in self.entries()]
        wanted = next((name for name in known if name.partition("@")[0] == ALL), "")
        if not wanted:
            self.explorer.say("The units were not recorded; record them with UnitCorrelation(), or with 'full'.")
        elif self.entry is not None and self.entry.name == wanted:
            self.show_entry(self._before if self._before in known else known[0])
        else:
            self._before = self.entry.name if self.entry is not None else ""
            self.show_entry(wanted)

    _before = ""
