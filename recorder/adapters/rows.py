"""How do updates become rows, one a tensor, on the host? What every adapter shares, in numpy.

Between two ends of an iteration a tensor may be updated not at all (it has no row: NaN, counts 0), once, or several
times (its last update is its row).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from recorder.analysis import histogram, statistics, turns
from recorder.analysis.kept import Flat, Kept, address
from recorder.reading import AVERAGED, COUNTS, OF_QUANTILES, OF_UPDATE, Plan, Quantity, Statistic

HISTOGRAMS = frozenset(map(Statistic, statistics.HISTOGRAMS))
STATISTICS = {statistic.value: statistic for statistic in Statistic}


@dataclass(frozen=True)
class Rows:
    """One row a tensor of the run; only those in `stepped` were measured."""

    table: Mapping[Statistic, np.ndarray]
    stepped: np.ndarray  # (tensor,) bool
    raw: Mapping[tuple[Quantity, str], np.ndarray]
    norms_before: np.ndarray | None = None  # see `Collected`


class Update(NamedTuple):
    """A tensor just before its update; 16-bit numbers as in `analysis.statistics`."""

    position: int  # among the run's tensors
    weight: np.ndarray
    gradient: np.ndarray | None  # None: only the weights are looked at
    zeros: int = 0  # of a sparse gradient, of which `gradient` then are the stored values


class HostRows:
    """Measures updates into the rows of one iteration; remembers weights from one update to the next."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self._kept: dict[int, Kept] = {}
        self._of_averages: HostRows | None = None  # what is measured of them
        self.keeps = False  # some of what was kept is up to date
        self._several = False  # updates of a tensor in one iteration: five critic steps to one of the generator
        self.grow(names)

    def grow(self, names: Sequence[str]) -> None:
        """More tensors came; called between two iterations."""
        self.names = names
        if self._of_averages is not None:
            self._of_averages.grow(names)
        self._nothing = Rows({}, np.zeros(len(names), bool), {})
        # one for each union that was wanted
        self._tables: dict[tuple[frozenset[Statistic], tuple[float, float], float], statistics.Table] = {}
        self._clear()

    def _clear(self) -> None:
        self._table: statistics.Table | None = None
        self._stepped = bytearray(len(self.names))  # as bool
        self._raw: dict[tuple[Quantity, str], np.ndarray] = {}
        self._norms_before: np.ndarray | None = None  # where tensors were updated more than once

    def pass_by(self, positions: Iterable[int]) -> None:
        """These tensors are updated and nothing of it is wanted: what was kept of them is out of date."""
        for i in positions:
            if i in self._kept:
                self._kept[i].valid = False
        self.keeps = any(kept.valid for kept in self._kept.values())

    def measure(self, plan: Plan, updates: Iterable[Update]) -> None:
        """One pass over each tensor."""
        if self._table is None:
            self._table = self._table_of(plan)
        # All of them first: once the pass has filled the processor's caches with tensors, this code is slow to fetch.
        updates = list(updates)
        self._step([update.position for update in updates])
        for update in updates:
            i, weight = update.position, update.weight
            keep, keep_signs, keep_turns = self._keeping(plan)
            keep &= update.gradient is not None
            kept = self._kept.get(i)
            average = plan.averages is not None
            if (keep or average) and (kept is None or not kept.fits(weight)):
                kept = self._kept[i] = Kept.room_for(weight)
            self.keeps |= keep
            if plan.raw:
                self._copy(plan, update, kept)
            self._table.measure(
                i, update.gradient, weight, kept=kept, keep=keep, keep_signs=keep_signs, keep_turns=keep_turns,
                average=average, zeros=update.zeros,
            )  # fmt: skip
            if kept is not None and not keep:
                kept.valid = False
            if plan.averages is not None:
                self._look_at_averages(plan.averages, [i])

    def measure_flat(self, plan: Plan, tensors: Sequence[Flat]) -> None:
        """The same of tensors as they lie in memory, by one compiled call, where `by_address` allows it."""
        if self._table is None:
            self._table = self._table_of(plan)
        self._step([tensor.position for tensor in tensors])
        keep, keep_signs, keep_turns = self._keeping(plan)
        self.keeps |= keep
        self._table.measure_flat(
            tensors, self._kept, keep=keep, keep_signs=keep_signs, keep_turns=keep_turns,
            average=plan.averages is not None,
        )  # fmt: skip
        if plan.averages is not None:
            self._look_at_averages(plan.averages, [tensor.position for tensor in tensors])

    def _step(self, positions: Sequence[int]) -> None:
        again = [i for i in positions if self._stepped[i]]
        if again:
            self._several = True
            self._hold_norms(again)
        for i in positions:
            self._stepped[i] = True

    def _hold_norms(self, positions: Sequence[int]) -> None:
        """Of tensors that are updated once more in this iteration, before the table forgets them."""
        if self._table is not None and "weight_norm" in self._table.wanted:
            if self._norms_before is None:
                self._norms_before = np.full(len(self.names), np.nan)
            self._norms_before[positions] = self._table.columns()["weight_norm"][positions]

    def _keeping(self, plan: Plan) -> tuple[bool, bool, bool]:
        """Whether weights, signs and turns are kept: the next update needs them, or a second one in the iteration."""
        turns = plan.keep_turns or (self._several and plan.turns)
        signs = turns or plan.keep_signs or (self._several and plan.signs)
        weights = signs or plan.keep_weights or (self._several and not OF_UPDATE.isdisjoint(plan.statistics))
        return weights, signs, turns

    def _look_at_averages(self, plan: Plan, positions: Sequence[int]) -> None:
        """Measure the moving averages of these tensors, like tensors of their own."""
        if self._of_averages is None:
            self._of_averages = HostRows(self.names)
        if not plan:
            if self._of_averages.keeps:
                self._of_averages.pass_by(positions)
            return
        averages = {i: found for i in positions if i in self._kept and (found := self._kept[i].averages) is not None}
        if by_address(plan):
            flat = (Flat(i, w.size, w.dtype, address(w), address(g)) for i, (g, w) in averages.items())
            self._of_averages.measure_flat(plan, list(flat))
        else:
            self._of_averages.measure(plan, [Update(i, w, g) for i, (g, w) in averages.items()])

    def _table_of(self, plan: Plan) -> statistics.Table:
        """An empty table, made once."""
        key = plan.statistics, plan.tau, plan.relative_tau
        if key not in self._tables:
            names = (s.value for s in plan.statistics if s not in AVERAGED)
            self._tables[key] = statistics.Table(names, len(self.names), tau=plan.tau, relative_tau=plan.relative_tau)
        table = self._tables[key]
        table.clear()
        return table

    def _copy(self, plan: Plan, update: Update, kept: Kept | None) -> None:
        name, weight = self.names[update.position], update.weight
        if ("gradient", name) in plan.raw and update.gradient is not None:
            self._raw["gradient", name] = _exact(update.gradient)
        if ("weight", name) in plan.raw:
            self._raw["weight", name] = _exact(weight)
        if ("update", name) in plan.raw and kept is not None and kept.valid and kept.fits(weight):
            with np.errstate(invalid="ignore"):  # of an infinity and itself
                self._raw["update", name] = _exact(weight) - _exact(kept.like(weight))

    def end(self) -> Rows:
        """The rows of the iteration; the next one begins."""
        return self.later()()

    def later(self) -> Callable[[], Rows]:
        """The same, but the rows are put together when they are asked for: of several iterations in a row, faster."""
        if self._table is None:
            nothing = self._nothing
            return lambda: nothing
        columns, stepped, raw, norms = self._table.later(), self._stepped, self._raw, self._norms_before
        averages = None if self._of_averages is None else self._of_averages.later()
        self._clear()

        def rows() -> Rows:
            table = {STATISTICS[name]: column for name, column in columns().items()}
            if averages is not None:
                table |= averaged(averages().table)
            return Rows(table, np.frombuffer(stepped, bool), raw, norms)

        return rows


def by_address(plan: Plan) -> bool:
    """Whether all of it is measured of tensors of which only the addresses are known."""
    return statistics.is_compiled() and not plan.raw


def averaged(table: Mapping[Statistic, np.ndarray]) -> dict[Statistic, np.ndarray]:
    """The table of the moving averages under the names that they have there."""
    return {average: table[plain] for average, plain in AVERAGED.items() if plain in table}


def no_row(statistic: Statistic, tensors: int) -> np.ndarray:
    """The column of a statistic where no tensor was measured: NaN, counts 0."""
    plain = AVERAGED.get(statistic, statistic)
    if plain in HISTOGRAMS:
        return np.zeros((tensors, histogram.COLUMNS), np.int64)
    if plain in COUNTS:
        return np.zeros(tensors, np.int64)
    return np.full((tensors, len(turns.AT)) if plain in OF_QUANTILES else tensors, np.nan)


def merged(parts: Sequence[Rows], wanted: frozenset[Statistic], tensors: int) -> Rows:
    """The rows of several devices as one, with every wanted statistic; what came later stands behind."""
    if len(parts) == 1 and parts[0].table.keys() == wanted and len(parts[0].stepped) == tensors:
        return parts[0]
    table = {s: no_row(s, tensors) for s in wanted}
    stepped = np.zeros(tensors, bool)
    raw: dict[tuple[Quantity, str], np.ndarray] = {}
    norms = None if all(part.norms_before is None for part in parts) else np.full(tensors, np.nan)
    for part in parts:
        known = len(part.stepped)
        if norms is not None and part.norms_before is not None:
            norms[:known] = np.where(np.isnan(part.norms_before), norms[:known], part.norms_before)
        stepped[:known] |= part.stepped
        raw.update(part.raw)
        for statistic, column in part.table.items():
            whole = table.setdefault(statistic, no_row(statistic, tensors))
            whole[:known][part.stepped] = column[part.stepped]
    return Rows(table, stepped, raw, norms)


def _exact(entries: np.ndarray) -> np.ndarray:
    """A copy in the precision it has; 16-bit floats as float32."""
    wide = turns.widened(entries)
    return entries.copy(order="K") if wide is entries else wide
