"""How does the cursor move in a map neither side of which is time: units, samples, layers with layers?

It is a cell; where a cell, or a block of them, is a pair of layers it is that pair, which is the chosen item.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from recorder.analysis.layer_pairs import halves, layers_of, pair_name
from recorder.chart import Bars, Chart, Heat, Line
from tui.screens.chart_page import TIMES
from tui.screens.run_page import RunPage
from tui.terminal import Cursor
from tui.widgets.chart_view import ChartView


class MapPage(RunPage):
    """A page whose charts are maps of cells, or have units or layers along x, beside those over time."""

    def __init__(self) -> None:
        super().__init__()
        self._cell: tuple[int, int] | None = None  # the row and the column that the cursor stands on

    @property
    @abstractmethod
    def by_layer(self) -> bool:
        """Is a map of all layers shown, in which a cell, or a block, is a pair of them?"""

    # -- what is shown -----------------------------------------------------------------------------------------------

    @property
    def above(self) -> Chart | None:
        """The topmost chart, once that of this entry is drawn."""
        if self._view is None or self._drawn is None or self.entry is None or self._drawn.entry != self.entry.name:
            return None
        return self._view.charts[0]

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
        return self._view.charts

    @property
    def over_time(self) -> bool:
        """Is there a chart over the steps, so that a stretch of them can be looked at?"""
        heats = (m for chart in self._charts for m in chart.marks if isinstance(m, Heat))
        return any(chart.x.label in TIMES for chart in self._charts) or any(m.column_steps is not None for m in heats)

    @property
    def places(self) -> int:
        """How many units or layers stand along x, where the chart is no map and not over time; 0 where it is."""
        chart = self._charts[-1] if self._charts else None
        if chart is None or self.grid is not None or chart.x.label in TIMES:
            return 0
        bars = next((len(m.heights) for m in chart.marks if isinstance(m, Bars)), 0)
        return bars or (len(chart.x.names) if any(isinstance(m, Line) for m in chart.marks) else 0)

    @property
    def _steps_by_steps(self) -> bool:
        """Are both sides of the map the recorded steps?"""
        chart = self.above
        return chart is not None and self.grid is None and bool(chart.x.names) and chart.x.names == chart.y.names

    # -- where the cursor is -----------------------------------------------------------------------------------------

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
        return 0 if self._cell_row is None and self._steps_by_steps else self._cell_row  # how near to the first one

    def values_shown(self) -> list[tuple[str, str]]:
        """In a map the value comes first: behind long names there might be no room for it."""
        shown = super().values_shown()
        if self._steps_by_steps and shown and self.above is not None:
            return [*shown, ("to that at step", self.above.y.names[self._heat_row() or 0])]
        return [*shown[-1:], *shown[:-1]] if self.grid is not None else shown

    # -- moving it ---------------------------------------------------------------------------------------------------

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
            self._cell_row = self._heat_row()
            super().action_move(-by if chart is not None and chart.y.reverse else by)
        else:
            row, column = self.cell
            self._go_cell(row + by, column)

    def action_zoom(self, direction: int) -> None:
        if not self._charts or self.over_time:
            super().action_zoom(direction)
        else:
            self.explorer.say("This is one step, shown whole: there is nothing to zoom. , and . go through the steps.")

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
