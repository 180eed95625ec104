"""Which of a run's numbers can TensorBoard show, and as what? Numbers of items as curves, counts as histograms.

A bin of a histogram is where it begins and ends, and its count; what lies under and over all bins has no width, as
TensorBoard draws no bin without an end. Entries that are NaN are in none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import BinaryIO

import numpy as np

from recorder.errors import ExportError
from recorder.event_file import EventFile
from recorder.runfile.reader import Run
from recorder.runfile.schema import Event, Kind
from tui.exchange.quantities import EVENTS, Quantity

Writer = Callable[[EventFile, Quantity], None]


def shown(quantity: Quantity) -> bool:
    """Whether TensorBoard has a view for it."""
    return quantity.series.kind in WRITERS


def write(file: BinaryIO, run: Run, quantities: Sequence[Quantity], events: Sequence[Event]) -> None:
    """One event file of everything that is `shown`."""
    out = EventFile(file, started=run.started)
    for quantity in quantities:
        WRITERS[quantity.series.kind](out, quantity)
    for event in events:
        out.text(f"{EVENTS}/{event.kind}", event.text, event.step, time=event.time)


def _scalars(out: EventFile, quantity: Quantity) -> None:
    for item, clock, values in quantity.rows():
        tag = quantity.name if quantity.alone else f"{quantity.name}/{item}"
        for step, time, value in zip(clock.step.tolist(), clock.time.tolist(), values.tolist(), strict=True):
            out.scalars({tag: value}, step, time=time, docs={tag: _doc(quantity)})


def _histograms(out: EventFile, quantity: Quantity) -> None:
    edges = np.asarray(quantity.series.edges)
    begin, end = np.append(edges[0], edges), np.append(edges, edges[-1])
    for item, clock, counts in quantity.rows():
        if counts.shape[1] != len(edges) + 2:
            raise ExportError(f"{quantity.name}: {len(edges)} edges do not fit {counts.shape[1]} counts")
        tag = f"{quantity.name}/{item}"
        for step, time, row in zip(clock.step.tolist(), clock.time.tolist(), counts, strict=True):
            bins = np.stack([begin, end, row[:-1]], axis=1)
            out.histogram(tag, bins, step, time=time, docs={tag: _doc(quantity)})


def _doc(quantity: Quantity) -> str:
    doc, unit = quantity.doc or quantity.series.doc, quantity.series.unit
    return f"{doc} Unit: {unit}." if unit else doc


WRITERS: Mapping[Kind, Writer] = {
    Kind.SCALAR: _scalars,
    Kind.PER_ITEM: _scalars,
    Kind.DISTRIBUTION: _histograms,
}
