"""How large a part of the whole is a count? Counts are stored, shares are derived on reading."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from recorder.chart import View
from recorder.charting.default_chart import default_chart
from recorder.errors import NotRecordedError
from recorder.probe import suffixed, unsuffixed
from recorder.runfile.schema import Clock, Event, Series
from recorder.view import At, Envelope, RunView, Window

EVERYTHING = Window(points=sys.maxsize)
Derive = Callable[[RunView, str], "Shares"]  # of a run and its series of counts


@dataclass(frozen=True)
class Share:
    """How a share is derived from a series of counts, in any run that has it; called, it is an `Entry.draw`."""

    counts: str
    name: str
    doc: str
    wholes: Callable[[RunView, str], Mapping[str, int]]  # of a run and its series of counts

    def of(self, run: RunView, series: str = "") -> Shares:
        """The shares of one run; `series` are the counts of another probe than the default one: `name@noise`."""
        counts = series or self.counts
        name = suffixed(self.name, unsuffixed(counts)[1])
        return Shares(run, counts, name, self.doc, self.wholes(run, counts))

    def __call__(self, run: RunView, series: str, at: At, window: Window) -> View:
        shares = self.of(run, series)
        return default_chart(shares, shares.share, at, window)


def tensor_sizes(run: RunView, series: str) -> dict[str, int]:  # noqa: ARG001  of tensors there is one size each
    """The entries of each tensor."""
    return {tensor["name"]: prod(tensor["shape"]) for tensor in run.meta.get("tensors", ())}


@dataclass(frozen=True)
class Shares:
    """A run with one series in it: the counts of another run's series, each item divided by its whole."""

    run: RunView
    counts: str
    share: str  # the name of the derived series
    doc: str
    wholes: Mapping[str, int]  # item -> what its counts are a part of

    @property
    def name(self) -> str:
        return self.run.name

    @property
    def meta(self) -> Mapping[str, Any]:
        return self.run.meta

    @property
    def events(self) -> Sequence[Event]:
        return self.run.events

    @property
    def series(self) -> Mapping[str, Series]:
        counted = self.run.series[self.counts]
        return {self.share: replace(counted, name=self.share, unit="1", doc=self.doc, dtype="float64")}

    def clock(self, series: str, item: str | None = None) -> Clock:
        return self.run.clock(self._of(series), item)

    def window(self, series: str, window: Window, item: str | None = None) -> Envelope:
        found = self.run.window(self._of(series), window, item)
        whole = self._whole(item)
        return replace(found, min=found.min / whole, mean=found.mean / whole, max=found.max / whole)

    def row(self, series: str, step: int | None = None, item: str | None = None) -> tuple[int, np.ndarray]:
        at, counts = self.run.row(self._of(series), step, item)
        return at, counts / self._whole(item)

    def rows(
        self, series: str, item: str, window: Window, *, part: tuple[int, int] | None = None
    ) -> tuple[Clock, np.ndarray]:
        clock, counts = self.run.rows(self._of(series), item, window, part=part)
        return clock, counts / self._whole(item)

    def values(self, series: str, item: str | None = None) -> np.ndarray:
        """Every row, as in `clock`: (row, item), NaN where an item has none, or (row,) of one item."""
        if item is not None:
            return self.rows(series, item, EVERYTHING)[1]
        steps, items = self.clock(series).step, self.series[series].items
        values = np.full((len(steps), len(items)), np.nan)
        for k, one in enumerate(items):
            clock, shares = self.rows(series, one, EVERYTHING)
            values[np.searchsorted(steps, clock.step), k] = shares
        return values

    def _of(self, series: str) -> str:
        if series != self.share:
            raise NotRecordedError(f"{series!r} is not derived here; there is {self.share!r}")
        return self.counts

    def _whole(self, item: str | None) -> np.ndarray:
        """() or (item,) float64; NaN where the whole is not known."""
        items = self.run.series[self.counts].items if item is None else (item,)
        wholes = np.array([self.wholes.get(i) or np.nan for i in items], dtype=np.float64)
        return wholes if item is None else wholes[0]
