"""Which rows, scalars, findings and events go into the run, in which order, and how much of it may be taken?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from recorder.analysis.health import Finding, Monitor
from recorder.recording.conductor import Row
from recorder.recording.forecast import Budget
from recorder.recording.scalars import Scalars
from recorder.runfile.schema import Event, Series, State
from recorder.runfile.writer import RunWriter
from recorder.schedule import Moment

_SCALARS = {"scalars"}


class Ledger:
    """Everything that is written of one recording passes here.

    A run's first volume is declared before its first row. What comes before the first step, when the names of its
    scalars are not known yet, waits for it, so that the scalars are in that volume too.
    """

    def __init__(
        self,
        writer: RunWriter,
        series: tuple[Series, ...],
        monitor: Monitor,
        max_size: int | None,
        *,
        names: Iterable[str] = (),
    ) -> None:
        """`names` are those of charts that are no scalars."""
        self.writer = writer
        self.latest: dict[str, float] = {}
        self.budget = Budget(max_size)
        self.scalars = Scalars(names)
        self._monitor = monitor
        self._items = {s.name: s.items for s in series}
        self._split: set[str] = set()  # series with items that came later, which are in volumes of their own
        self._waiting: list[Callable[[], None]] = []
        self._row_bytes: dict[str, int] = {}  # axis -> bytes, until more is declared
        writer.declare(*series)

    def more(self, series: Iterable[Series]) -> None:
        """Series have more items from here on, behind those that they had."""
        for s in series:
            self._items[s.name] += s.items
            self._split.add(s.name)
            self.writer.declare(s)
        self._row_bytes.clear()

    def note(self, kind: str, text: str, moment: Moment) -> None:
        """Something that happened once."""
        self.writer.event(Event(kind, text, moment.step, moment.epoch, time.time()))

    def step(self, rows: dict[str, Row], numbers: Mapping[str, float], moment: Moment, at: float) -> None:
        """The rows of one update, and the scalars of its iteration in the same row where they share an axis."""
        self._declare("step", numbers)
        if self._waiting:
            self.settle()
        beside = self.scalars.rows("step", numbers) if moment.step % self.budget.thin == 0 else {}
        for axis in rows | beside:
            values = {**rows.get(axis, {}), "scalars": beside[axis]} if axis in beside else rows[axis]
            self._append(axis, values, moment, at)
        self._judge_scalars(numbers, moment)

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

    def settle(self) -> None:
        """Write what waited for the first step."""
        waiting, self._waiting = self._waiting, []
        for write in waiting:
            write()

    def close(self, state: State, error: str) -> str:
        """Seal the run; what the writer has to say, or ""."""
        try:
            self.settle()
        finally:
            said = self.writer.close(state, error=error)
        return said

    def _epoch(self, numbers: Mapping[str, float], moment: Moment, at: float) -> None:
        self._declare("epoch", numbers)
        for axis, row in self.scalars.rows("epoch", numbers).items():
            self._append(axis, {"scalars": row}, moment, at)
        self._judge_scalars(numbers, moment)

    def _declare(self, where: str, numbers: Mapping[str, float]) -> None:
        self.latest.update(numbers)
        group = self.scalars.new(where, numbers)
        if group is not None:
            self.writer.declare(group.series)
            self._row_bytes.clear()

    def _append(self, axis: str, row: Row, moment: Moment, at: float) -> None:
        self.writer.append(axis, step=moment.step, epoch=moment.epoch, time=at, values=self._by_item(row))
        if row.keys() != _SCALARS:
            for finding in self._monitor.row(moment.step, self._items, row):
                self._found(finding, moment)
        if axis not in self._row_bytes:
            self._row_bytes[axis] = self.writer.row_bytes(axis)
        if self.budget.spend(self._row_bytes[axis]):
            limit, thin = self.budget.max_size, self.budget.thin
            self.note("note", f"max_size={limit}: from here on 1 of {thin} rows is recorded", moment)

    def _by_item(self, row: Row) -> Row:
        """The row as the writer takes it: by item, where a series is in several volumes."""
        whole = {n for n in self._split if n in row and not isinstance(row[n], Mapping)}
        return {**row, **{n: dict(zip(self._items[n], row[n], strict=False)) for n in whole}} if whole else row

    def _judge_scalars(self, numbers: Mapping[str, float], moment: Moment) -> None:
        for finding in self._monitor.scalars(moment.step, numbers):
            self._found(finding, moment)

    def _found(self, finding: Finding, moment: Moment) -> None:
        self.note("health", finding.text, moment)
