"""Which rows, scalars, findings and events go into the run, in which order, and how much of it may be taken?"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain

import numpy as np

from recorder.analysis.health import ANOMALIES, Finding, Monitor
from recorder.number import size
from recorder.recording.board import Board
from recorder.recording.forecast import Budget, Forecast, Growth
from recorder.recording.nowhere import Nowhere
from recorder.recording.player import Player, Row
from recorder.recording.probe_input import AXIS as PROBE
from recorder.recording.scalars import EACH_STEP, Scalars
from recorder.recording.warning import warn
from recorder.runfile.footprint import VOLUME, Footprint, footprint
from recorder.runfile.on_disk import on_disk
from recorder.runfile.schema import FLIGHT, Event, Kind, Series, State
from recorder.runfile.writer import RunWriter
from recorder.schedule import Moment

_SCALARS = {"scalars"}
BEFORE = 1 << 62  # rows ago
NAMED = 4  # of what shares an axis, in an event


class Ledger:
    """Everything that is written of one recording passes here.

    A run's first volume is declared before its first row. What comes before the first step, when the names of its
    scalars are not known yet, waits for it, so that the scalars are in that volume too.
    """

    def __init__(
        self,
        writer: RunWriter | Nowhere,
        series: tuple[Series, ...],
        monitor: Monitor,
        max_size: int | None,
        *,
        names: Iterable[str] = (),
        before: Mapping[str, Mapping[str, str]] | None = None,
        board: Board | None = None,
    ) -> None:
        """`names` are those of charts that are no scalars, `before` the scalars of a run that is resumed.

        `board` is given every scalar as well.
        """
        self.writer = writer
        self.latest: dict[str, float] = {}
        self.budget = Budget(max_size, used=VOLUME + on_disk(writer.path))  # what is there of a run that is resumed
        self._footprints: dict[str, Footprint] = {}  # axis -> what its rows take
        self._offered: Counter[str] = Counter()  # axis of scalars -> rows that there were, of which some are thinned
        self.scalars = Scalars(names, before)
        self.alarms: list[Finding] = []  # that nobody has taken up
        self._monitor = monitor
        self._board = board
        self._items = {s.name: s.items for s in series}
        self._of_instruments = {s.name: np.dtype(s.dtype).type for s in series if s.kind is Kind.SCALAR}
        self._split: set[str] = set()  # series with items that came later, which are in volumes of their own
        self._waiting: list[Callable[[], None]] = []
        self._declared: dict[str, list[Series]] = {}  # axis -> what is recorded on it
        self._last: dict[str, int] = {}  # axis of scalars -> which of the offered rows was kept last
        self._full: set[str] = set()  # axes of which no row fits any more
        writer.declare(*series)
        self._count(*series, EACH_STEP.series)

    def more(self, series: Iterable[Series]) -> None:
        """Series have more items from here on, behind those that they had; a series may be new."""
        for s in series:
            if s.name in self._items:
                self._split.add(s.name)
            self._items[s.name] = self._items.get(s.name, ()) + s.items
            self._declare(s)

    def note(self, kind: str, text: str, moment: Moment) -> None:
        """Something that happened once."""
        self.writer.event(Event(kind, text, moment.step, moment.epoch, time.time()))

    def step(self, rows: dict[str, Row], numbers: Mapping[str, float], moment: Moment, at: float) -> None:
        """The rows of one update, and the scalars of its iteration in the same row where they share an axis."""
        self._take_in("step", numbers)
        if self._waiting:
            self.settle()
        beside = self._kept("step", numbers, beside=rows)
        for axis in rows | beside:
            values = {**rows.get(axis, {}), "scalars": beside[axis]} if axis in beside else rows[axis]
            self._append(axis, values, moment, at)
        if self._board is not None:
            totals = (self._totals(row) for row in rows.values())
            self._show({**self.scalars.recorded("step", numbers), **dict(chain.from_iterable(totals))}, moment, at)
        self._judge_scalars(numbers, moment)

    def logs(self, numbers: Mapping[str, float]) -> None:
        """Some scalars of the step that comes now are given now and then, so they have rows of their own."""
        if self.scalars.known("step"):
            self._take_in("step", numbers)

    def epoch(self, numbers: Mapping[str, float], moment: Moment, at: float) -> None:
        """The scalars of one epoch."""
        self.latest.update(numbers)
        if not self.scalars.known("step"):
            self._waiting.append(partial(self._epoch, dict(numbers), moment, at))
        else:
            self._epoch(numbers, moment, at)

    def between(self, rows: Mapping[str, Row], moment: Moment, at: float) -> None:
        """What was measured between two updates."""
        for axis, row in rows.items():
            if self.scalars.known("step"):
                self._append(axis, row, moment, at)
            else:
                self._waiting.append(partial(self._append, axis, row, moment, at))

    def row(self, axis: str, row: Row, moment: Moment, at: float) -> None:
        """A row of an axis that was declared by `more`."""
        self._append(axis, row, moment, at)

    def judge(self, row: Row, items: Mapping[str, Sequence[str]], moment: Moment) -> None:
        """Findings in what is not recorded at this moment."""
        for finding in self._monitor.row(moment.step, items, row):
            self._found(finding, moment)

    def settle(self) -> None:
        """Write what waited for the first step."""
        waiting, self._waiting = self._waiting, []
        for write in waiting:
            write()

    def forecast(self, players: Iterable[Player], done: Moment) -> Forecast:
        """What is to come as far as it was asked for: schedules count updates, scalars come as they came so far.

        `done` is how much of the training there was, and all counts as far as a limit leaves it.
        """
        pace = done.updates / done.step if done.updates else 1.0
        rates = {FLIGHT: (0.0, 0.0), PROBE: (0.0, 0.0)}
        rates |= {p.axis: (pace * p.schedule.rates[0], p.schedule.rates[1]) for p in players}
        for axis, rows in self._offered.items():
            own = (0.0, rows / max(1, done.epoch)) if axis.startswith("epoch") else (rows / max(1, done.step), 0.0)
            rates[axis] = max(own, rates.get(axis, own))
        growths = []
        for axis, takes in self._footprints.items():
            (per_step, per_epoch), thin = rates.get(axis, (1.0, 0.0)), self.budget.thin.get(axis, 1)
            growths.append(Growth(per_step / thin, per_epoch / thin, takes))
        return Forecast(tuple(growths))

    def close(self, state: State, error: str, epochs: int) -> str:
        """Seal the run; what the writer has to say, or ""."""
        try:
            self.settle()
        finally:
            said = self.writer.close(state, error=error, epochs=epochs)
        return said

    def close_board(self) -> str:
        """Write what TensorBoard does not have yet; what there is to say, or ""."""
        if self._board is None:
            return ""
        self._board.close()
        return f"tensorboard: {self._board.problem}" if self._board.problem else ""

    def _epoch(self, numbers: Mapping[str, float], moment: Moment, at: float) -> None:
        self._take_in("epoch", numbers)
        for axis, row in self._kept("epoch", numbers).items():
            self._append(axis, {"scalars": row}, moment, at)
        if self._board is not None:
            self._show(self.scalars.recorded("epoch", numbers), moment, at)
        self._judge_scalars(numbers, moment, each_step=False)

    def _show(self, numbers: Mapping[str, float], moment: Moment, at: float) -> None:
        """Give scalars to the board, unless it failed: then say so once."""
        assert self._board is not None
        self._board.put(numbers, moment.step, at)
        if self._board.problem:
            text = f"tensorboard: {self._board.problem}; nothing more is written for it, the run goes on"
            self._board.close()
            self._board = None
            self.note("warning", text, moment)
            warn(text)

    def _totals(self, row: Row) -> Iterator[tuple[str, float]]:
        """(name, value as it is stored) of the scalars that instruments measured."""
        for name, values in row.items():
            if (stored := self._of_instruments.get(name)) is not None:
                pairs = values.items() if isinstance(values, Mapping) else zip(self._items[name], values, strict=False)
                yield from ((item, float(stored(value))) for item, value in pairs)

    def _take_in(self, where: str, numbers: Mapping[str, float]) -> None:
        self.latest.update(numbers)
        group = self.scalars.new(where, numbers)
        if group is not None:
            if group.axis == EACH_STEP.axis:
                self._declared[group.axis].remove(EACH_STEP.series)
            self._declare(group.series)

    def _declare(self, *series: Series) -> None:
        self.writer.declare(*series)
        self._count(*series)

    def _count(self, *series: Series) -> None:
        """What these take, beside what is recorded on their axes already."""
        for s in series:
            self._declared.setdefault(s.axis, []).append(s)
        for axis in dict.fromkeys(s.axis for s in series):
            self._footprints[axis] = footprint(self._declared[axis])
            self.budget.declare(axis, self._footprints[axis])

    def _kept(self, where: str, numbers: Mapping[str, float], beside: Container[str] = ()) -> dict[str, list[float]]:
        """The rows of scalars that a limit leaves; where another row stands on their axis, they join it.

        Counted from the last one that was kept, so that they stay beside what counts updates and not iterations.
        """
        kept, thin = {}, self.budget.thin
        for axis, row in self.scalars.rows(where, numbers).items():
            now = self._offered[axis]
            if axis in beside or now - self._last.get(axis, -BEFORE) >= thin.get(axis, 1):
                kept[axis] = row
                self._last[axis] = now
            self._offered[axis] = now + 1
        return kept

    def _append(self, axis: str, row: Row, moment: Moment, at: float) -> None:
        if not self.budget.affords(axis):
            self._refuse(axis, moment)
            return
        values = self._by_item(row) if self._split else row
        self.writer.append(axis, step=moment.step, epoch=moment.epoch, time=at, values=values)
        if self.writer.news:
            for text in self.writer.take_news():
                warn(text)
        if row.keys() != _SCALARS:
            self.judge(row, self._items, moment)
        if (thinned := self.budget.spend(axis)) and not moment.ended:
            thin, what = self.budget.thin[thinned], self._what(thinned)
            self.note("thinned", f"{self._limit}: from here on 1 of {thin} rows of {what} is recorded", moment)

    def _refuse(self, axis: str, moment: Moment) -> None:
        if axis not in self._full:
            self._full.add(axis)
            self.note("thinned", f"{self._limit}: from here on no row of {self._what(axis)} fits", moment)

    @property
    def _limit(self) -> str:
        return f"max_size of {size(self.budget.max_size or 0)}"

    def _what(self, axis: str) -> str:
        """Who is recorded on an axis, for people."""
        names = dict.fromkeys(n for s in self._declared[axis] for n in ((s.instrument,) if s.instrument else s.items))
        return ", ".join(list(names)[:NAMED]) + (" and others" if len(names) > NAMED else "")

    def _by_item(self, row: Row) -> Row:
        """The row as the writer takes it: by item, where a series is in several volumes."""
        whole = {n for n in self._split if n in row and not isinstance(row[n], Mapping)}
        return {**row, **{n: dict(zip(self._items[n], row[n], strict=False)) for n in whole}} if whole else row

    def _judge_scalars(self, numbers: Mapping[str, float], moment: Moment, *, each_step: bool = True) -> None:
        for finding in self._monitor.scalars(moment.step, numbers, each_step=each_step):
            self._found(finding, moment)

    def _found(self, finding: Finding, moment: Moment) -> None:
        self.note("health", finding.text, moment)
        if finding.finding in ANOMALIES:
            self.alarms.append(finding)
