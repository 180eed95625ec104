"""What do the gradients do: tensor by tensor over the steps, parameter by parameter in the sign map, and who went bad?

In the sign map the cursor is a parameter and a row: left and right move it in the network, up and down over the rows,
and the zoom goes from the whole network down to single parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from recorder.analysis.health import Finding
from recorder.chart import Heat, Line
from recorder.charting.parameters import Parameters
from recorder.entries import Entry
from recorder.runfile.schema import Kind
from recorder.view import Window
from tui.keys import GRADIENTS, Key, bindings
from tui.screens.layers import Layers
from tui.terminal import Cursor
from tui.widgets.chart_view import ChartView
from tui.widgets.line import Span
from tui.words import count

SIGN_MAP = "sign_map"
ZOOM = 4  # times as many, or as few, parameters a key
FEWEST = 16  # parameters in view
BAD = "first bad"


class Gradients(Layers):
    """Tensors x steps of each statistic, the sign map, and the tensors that went bad in the order in which they did."""

    NUMBER, NAME, TITLE_WORD = "4", "gradients", "Gradients"
    BINDINGS = [*bindings(*GRADIENTS)]  # noqa: RUF012 - Textual's own form

    def keys(self) -> Sequence[Key]:
        first, *rest = super().keys()
        return (first, *(key for key in GRADIENTS if key.short), *rest)

    def entries(self) -> Sequence[Entry]:
        """What was recorded tensor by tensor."""
        return [e for e in super().entries() if e.item_dim == "tensor"]

    # -- who went bad ------------------------------------------------------------------------------------------------

    @property
    def bad(self) -> Mapping[str, Finding]:
        """The tensors that went bad, in this order, each with its first finding; what merely vanished comes last."""
        facts = self.explorer.facts
        if facts is None:
            return {}
        vanished = {f.item: f for f in reversed(facts.findings) if f.finding == "vanishing"}
        rest = sorted((f for f in vanished.values() if f.item not in facts.first_bad), key=lambda f: f.step)
        return {**facts.first_bad, **{f.item: f for f in rest}}

    @property
    def listing_bad(self) -> bool:
        """Does the list hold only these?"""
        return self.place.order == BAD and bool(self.bad)

    def names(self) -> Sequence[str]:
        return tuple(self.bad) if self.listing_bad else super().names()

    def _arranged(self, wanted: str, order: str) -> list[str]:
        return super()._arranged(wanted, "recorded" if self.listing_bad else order)

    def annotation(self, name: str) -> Span:
        """In the list of who went bad, what was found and at which step."""
        if self.listing_bad and name in self.bad:
            finding = self.bad[name]
            return f"{finding.finding.replace('_', ' ')} {finding.step:,}", self.inks.bad
        return super().annotation(name)

    def choose(self, name: str) -> None:
        """A tensor; in the list of who went bad also its first bad step, in the sign map also its parameters."""
        changes: dict[str, Any] = {"item": name}
        if self.listing_bad and name in self.bad:
            changes["step"] = self.bad[name].step
        if self.signs and name in self.parameters.names:
            lo, hi = self.parameters.span(name)
            changes |= {"parameter": lo, "parameters": (lo, hi)}
        self.explorer.go(**changes)

    def action_bad_first(self) -> None:
        """The list of first bad steps, and back to all tensors."""
        if self.place.order == BAD:
            self.explorer.go(order="recorded")
        elif not self.bad:
            self.explorer.say("No tensor went bad: no gradient exploded, vanished or stopped being finite.")
        else:
            self.explorer.go(order=BAD)
            self.choose(next(iter(self.bad)))
            self._focus(self.rows)

    # -- the sign map ------------------------------------------------------------------------------------------------

    @property
    def signs(self) -> bool:
        """Is the sign map shown?"""
        return self.entry is not None and self.entry.kind is Kind.SIGN_MAP and self.entry.name == SIGN_MAP

    @property
    def item(self) -> str | None:
        """The chosen tensor; the sign map shows the network, from which parameters are cut."""
        return None if self.signs else super().item

    def current(self) -> str:
        if not self.signs or not len(self.parameters):
            return super().current()
        return self.parameters.names[self.parameters.tensor_at(self.parameter)]

    @property
    def parameters(self) -> Parameters:
        """Those of the sign map, in model order."""
        facts, entry = self.explorer.facts, self.entry
        if facts is None or entry is None:
            return Parameters.of({}, {})
        if self._numbered is None or self._numbered[0] is not facts:
            sizes = {t["name"]: prod(t["shape"]) for t in facts.meta.get("tensors", ())}
            self._numbered = (facts, Parameters.of(facts.meta, {item: sizes.get(item, 0) for item in entry.items}))
        return self._numbered[1]

    _numbered: tuple[object, Parameters] | None = None  # what they were made from, and they

    @property
    def parameter(self) -> int:
        """The parameter under the cursor."""
        at = self.place.parameter
        return min(max(at if at is not None else 0, 0), max(len(self.parameters) - 1, 0))

    @property
    def span(self) -> tuple[int, int]:
        """First parameter in view, and the first behind it."""
        lo, hi = self.place.parameters or (0, len(self.parameters))
        return max(lo, 0), max(min(hi, len(self.parameters)), 1)

    @property
    def map(self) -> Heat | None:
        """The sign map, once it is drawn."""
        drawn = self.signs and self._drawn is not None and self._drawn.entry == SIGN_MAP
        return self.heat if drawn else None

    def window(self) -> Window:
        return replace(super().window(), parameters=self.place.parameters) if self.signs else super().window()

    def _cursor(self) -> Cursor:
        if not self.signs:
            return super()._cursor()
        return Cursor(x=float(self.parameter), row=self._row())

    def _row(self) -> int | None:
        """The row of the map that the cursor's step stands in."""
        heat = self.map
        if heat is None or not len(self._track):
            return None
        inside = [k for k, step in enumerate(self._track.steps.tolist()) if self._within(step)]
        if not inside:
            return None
        at = min(max(self._track.row(self.place.step) - inside[0], 0), len(inside) - 1)
        return at if len(inside) == len(heat.values) else round(at * (len(heat.values) - 1) / max(len(inside) - 1, 1))

    def _within(self, step: int) -> bool:
        lo, hi = self.place.lo, self.place.hi
        return (lo is None or step >= lo) and (hi is None or step <= hi)

    def values_shown(self) -> list[tuple[str, str]]:
        """The parameter, or the cell of several, under the cursor: its name and index, and the colours in it."""
        if not self.signs:
            return super().values_shown()
        heat, row = self.map, self._row()
        if heat is None or heat.x is None or row is None or self._trouble:
            return []
        cell = min(max(int(np.searchsorted(heat.x, self.parameter, side="right")) - 1, 0), heat.values.shape[1] - 1)
        first, last = int(heat.x[cell]), int(heat.x[cell + 1])
        value = heat.values[row, cell]
        colour = heat.categories[int(value)] if np.isfinite(value) else "not updated"
        if last - first <= 1:
            return [("", self.parameters.named(first)), ("gradient", colour), ("parameter", f"{first:,}")]
        shares = [(line.label, f"{line.y[cell]:.1%}") for line in self._shares() if np.isfinite(line.y[cell])]
        return [("from", self.parameters.named(first)), ("mostly", colour), *shares,
                ("parameters", f"{first:,} … {last - 1:,}")]  # fmt: skip

    def _shares(self) -> Sequence[Line]:
        """The curves below the map."""
        charts = () if self._view is None else self._view.charts[1:]
        return [mark for chart in charts for mark in chart.marks if isinstance(mark, Line)]

    def _flags(self) -> list[str]:
        found = super()._flags()
        lo, hi = self.span
        return [*found, f"{count(hi - lo)} of {count(len(self.parameters))}"] if self.signs else found

    def action_sign_map(self) -> None:
        """The sign map, and back to what was shown before."""
        if self.signs:
            self.show_entry(self._before)
        elif SIGN_MAP in [e.name for e in self.entries()]:
            self._before = self.entry.name if self.entry is not None else ""
            self._focus(self.chart)
            self.show_entry(SIGN_MAP)
        else:
            self.explorer.say("The sign map was not recorded; record it with instruments=[SignMap()], or with 'full'.")

    _before = ""

    def action_column(self, by: int) -> None:
        """To the next cell of the map; the view follows at its border."""
        if not self.signs:
            super().action_column(by)
            return
        lo, hi = self.span
        at = min(max(self.parameter + by * max((hi - lo) // self.chart.columns, 1), 0), len(self.parameters) - 1)
        self._show(at, lo, hi)

    def action_move(self, by: int) -> None:
        if self.signs and self.chart.has_focus:
            self.go_step(self._track.by_rows(self.place.step, by))
        else:
            super().action_move(by)

    def action_zoom(self, direction: int) -> None:
        """Fewer or more parameters around the cursor."""
        if not self.signs:
            super().action_zoom(direction)
            return
        lo, hi = self.span
        wide = (hi - lo) // ZOOM if direction > 0 else (hi - lo) * ZOOM
        wide = max(wide, min(FEWEST, len(self.parameters)))
        if direction == 0 or wide >= len(self.parameters):
            self.explorer.go(parameters=None)
            return
        start = self.parameter - round((self.parameter - lo) / max(hi - lo, 1) * wide)
        self._show(self.parameter, start, start + wide)

    def _show(self, parameter: int, lo: int, hi: int) -> None:
        """Put the cursor there, and pan as far as it needs."""
        wide, total = hi - lo, len(self.parameters)
        if not lo <= parameter < hi:
            lo = parameter - wide // 4 if parameter < lo else parameter - wide + wide // 4 + 1
        lo = max(min(lo, total - wide), 0)
        self.explorer.go(parameter=parameter, parameters=None if wide >= total else (lo, lo + wide))

    def on_chart_view_cursor_moved(self, message: ChartView.CursorMoved) -> None:
        """A click: in the map it means a parameter and a row."""
        if not self.signs:
            super().on_chart_view_cursor_moved(message)
            return
        message.prevent_default()
        self.chart.focus()
        heat, cell = self.map, message.cursor
        if heat is not None and heat.x is not None and cell.column is not None:
            self.explorer.go(parameter=int((heat.x[cell.column] + heat.x[cell.column + 1]) / 2))
            steps = [step for step in self._track.steps.tolist() if self._within(step)]
            if cell.row is not None and len(steps) == len(heat.values):
                self.go_step(steps[cell.row])
        elif message.x is not None:
            self.explorer.go(parameter=int(message.x))
