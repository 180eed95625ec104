"""How do representations go together: layers with layers, units with units, samples with samples, step by step?

The map of all layers is the way in: its cursor is a pair of layers, and Enter opens that pair, unit by unit. There the
list holds the strongest pairs of units. `,` and `.` go through the steps; the colours stay those of all steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recorder.analysis.layer_pairs import halves, layers_of
from recorder.chart import View
from recorder.charting.probed import beside
from recorder.charting.unit_correlation import top
from recorder.entries import Entry
from recorder.runfile.schema import Kind
from tui.keys import CORRELATIONS, OPEN_PAIR, Key, bindings
from tui.requests import ReadItems
from tui.screens.map_page import MapPage
from tui.screens.run_page import STEPS
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


class Correlations(MapPage):
    """Layers x layers, units x units, samples x samples."""

    NUMBER, NAME, TITLE_WORD = "5", "correlations", "Correlations"
    BINDINGS = [*bindings(*CORRELATIONS)]  # noqa: RUF012 - Textual's own form

    def __init__(self) -> None:
        super().__init__()
        self._strongest: dict[str, tuple[int, int]] = {}  # name in the list -> its cell
        self._way_in = ""  # the entry from which a pair was opened

    def keys(self) -> Sequence[Key]:
        opens = (OPEN_PAIR,) if self.by_layer and self.chart.has_focus else ()
        mine = [key for key in (*opens, *CORRELATIONS) if key.short]
        theirs = (key for key in MapPage.keys(self) if self.over_time or key.action != "zoom(1)")
        first, *rest = (CELLS if key is STEPS and self.grid is not None else key for key in theirs)
        return (first, *mine, *rest)

    # -- what is listed ----------------------------------------------------------------------------------------------

    def entries(self) -> Sequence[Entry]:
        """What was recorded of representations, the mean of |r| first."""
        facts = self.explorer.facts
        if facts is None:
            return ()
        if self._sorted is not None and self._sorted[0] is facts:
            return self._sorted[1]
        place = {name: k for k, name in enumerate(SERIES)}
        mine = [e for e in facts.entries if e.series.partition("@")[0] in place and e.items]
        self._sorted = facts, sorted(mine, key=lambda e: place[e.series.partition("@")[0]])
        return self._sorted[1]

    _sorted: tuple[object, Sequence[Entry]] | None = None  # of which facts, and they: asked for again with every row

    @property
    def NOUN(self) -> str:  # type: ignore[override]
        """What the list holds depends on the entry."""
        if self.by_unit:
            return "strongest pairs"
        if self.entry is None:
            return "correlations"
        return self.entry.item_dim if len(self.entry.items) == 1 else f"{self.entry.item_dim}s"

    @property
    def by_unit(self) -> bool:
        """Is one pair of layers shown, unit by unit?"""
        return self.entry is not None and self.entry.name.partition("@")[0] in (UNITS, CLUSTERED)

    @property
    def by_layer(self) -> bool:
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
        self._look_at_view()
        super().update()

    def nothing(self) -> str:
        return super().nothing() if self.entries() else NOTHING

    # -- from layers to units and back -------------------------------------------------------------------------------

    def _look_at_view(self) -> None:
        """Of a new matrix the strongest pairs; the cursor begins at the strongest, in a map of samples too."""
        chart, grid = self.above, self.grid
        if self._view is self._looked_at or chart is None or grid is None or self.entry is None:
            return
        self._looked_at = self._view
        if self.by_unit and self.item is not None:
            a, b = halves(self.entry.items)[self.item]
            cells = top(grid.values, STRONGEST, own=a == b)
            self._strongest = {f"{chart.y.names[i]} · {chart.x.names[j]}": (i, j) for i, j in cells}
            self._cell = self._cell or next(iter(cells), None)
        elif self.by_sample:
            self._cell = self._cell or next(iter(top(grid.values, 1, own=True)), (0, 0))

    _looked_at: View | None = None

    def action_open(self) -> None:
        """From the list to the chart; there from all layers to the pair under the cursor."""
        entry = self.entry
        if entry is None or not self.chart.has_focus or not self.by_layer:
            super().action_open()
            return
        units = next((e for e in self.entries() if e.name == beside(entry.series, UNITS)), None)
        if units is None or self.item not in units.items:
            self.explorer.say(_not_by_unit(self.item or "", units.items if units is not None else ()))
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
        self._cell, self._strongest, self._looked_at = None, {}, None
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


def _not_by_unit(pair: str, recorded: Sequence[str]) -> str:
    """That a pair of layers cannot be opened, which ones can, and how others are recorded."""
    layers = layers_of(recorded)
    there = f" Those of {', '.join(layers)} were: M shows them." if layers else ""
    return f"The units of {pair} were not recorded.{there} UnitCorrelation(layers=[...]) records others."
