"""Which numbers of a run are handed over: what is recorded under a name, item by item, as it was recorded?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recorder.entries import Entry, entries, find, share
from recorder.errors import ExportError, NotRecordedError
from recorder.runfile.reader import Run
from recorder.runfile.recorded import Source
from recorder.runfile.schema import Clock, Kind, Series

EVENTS = "events"


@dataclass(frozen=True)
class Span:
    """The steps that are wanted, both ends included; None: all there are."""

    lo: int | None = None
    hi: int | None = None

    def of(self, step: np.ndarray) -> slice:
        lo = 0 if self.lo is None else int(np.searchsorted(step, self.lo, side="left"))
        return slice(lo, len(step) if self.hi is None else max(lo, int(np.searchsorted(step, self.hi, side="right"))))


@dataclass(frozen=True)
class Quantity:
    """A scalar, a series or a share that is derived from counts; `rows` reads it."""

    name: str
    series: Series
    items: tuple[str, ...]
    source: Source = field(repr=False)
    doc: str = ""
    span: Span = Span()

    @property
    def texts(self) -> bool:
        """Whether the values are words: what identifies the samples of a batch."""
        return self.series.dtype.startswith("S")

    @property
    def alone(self) -> bool:
        """Whether it is one number a step, with no items to tell apart."""
        return self.series.kind is Kind.SCALAR

    def shape(self, item: str) -> tuple[int, ...]:
        """Of the numbers of one item at one step."""
        return self.series.shape_of(item)

    def dims(self, item: str) -> tuple[str, ...]:
        """The names of the dimensions of `shape`."""
        named = self.series.dims
        count = len(self.shape(item))
        return named if len(named) == count else tuple(f"dim_{k}" for k in range(count))

    def rows(self) -> Iterator[tuple[str, Clock, np.ndarray]]:
        """(item, clock, (row, *shape)) of each item, with the rows that were recorded of it and no others."""
        name, declared = self.series.name, self.source.series[self.series.name]
        whole = None
        if not declared.ragged and len(self.items) == len(declared.items) > 1:
            clock, whole = self.source.clock(name), self.source.values(name)
        for item in self.items:
            own = self.source.clock(name, item)
            if whole is not None and len(own) == len(clock):
                values = whole[:, declared.items.index(item)]
            else:  # it came later than the others, or has gaps that they have not
                values = self.source.values(name, item)
            chosen = self.span.of(own.step)
            values = np.char.decode(values[chosen], "utf-8", "replace") if self.texts else values[chosen]
            yield item, Clock(own.step[chosen], own.epoch[chosen], own.time[chosen]), values

    def about(self) -> dict[str, Any]:
        """What is to be known of the numbers, beside them."""
        s = self.series
        found: dict[str, Any] = {
            "kind": str(s.kind),
            "unit": s.unit,
            "doc": self.doc or s.doc,
            "dtype": "str" if self.texts else s.dtype,
        }
        found |= {"edges": list(s.edges)} if s.edges else {}
        return found | ({"columns": list(s.columns)} if s.columns else {})


def quantities(run: Run, names: Sequence[str], *, item: str | None = None, span: Span = Span()) -> list[Quantity]:
    """Those of these names, or all that are recorded; NotRecordedError names near ones."""
    found = []
    wanted = names or _uncharted(run)
    for entry in [*(() if names else entries(run)), *(_found(run, name) for name in wanted)]:
        if entry.name == EVENTS and not entry.series:
            continue
        if entry.item is not None:
            doc = run.doc_of(entry.series, entry.item)
            found.append(Quantity(entry.name, run.series[entry.series], (entry.item,), run, doc, span))
        elif entry.name == entry.series:
            found.append(Quantity(entry.name, run.series[entry.name], entry.items, run, span=span))
        elif names:
            derived = share(run, entry.name)
            if derived is None:
                raise ExportError(
                    f"{entry.name} is a view of {entry.series}, whose numbers are exported by that name; "
                    f"what the view shows is written beside its figure by --csv"
                )
            declared = derived.series[entry.name]
            found.append(Quantity(entry.name, declared, declared.items, derived, span=span))
    return found if item is None else _of_item(found, item, named=bool(names))


def _uncharted(run: Run) -> tuple[str, ...]:
    """What is no view by itself and has something to hand over all the same: which units a matrix is of, ..."""
    charted = {entry.series for entry in entries(run) if entry.item is not None or entry.name == entry.series}
    return tuple(name for name in run.series if name not in charted)


def _found(run: Run, name: str) -> Entry:
    if name not in _uncharted(run):
        return find(run, name)
    s = run.series[name]
    return Entry(name, name, s.kind, s.unit, s.doc, items=s.items, item_dim=s.item_dim)


def _of_item(found: list[Quantity], item: str, *, named: bool) -> list[Quantity]:
    having = [q for q in found if item in q.items]
    if not having or (named and len(having) < len(found)):
        without = next((q.name for q in found if item not in q.items), "the run")
        raise NotRecordedError(f"{without} has no item {item!r}; see layerscope info RUN")
    return [Quantity(q.name, q.series, (item,), q.source, q.doc, q.span) for q in having]
