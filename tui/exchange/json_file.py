"""What does a run look like as one JSON file? `run`, `series` by name, `events`: the layout is in docs/exchange.md.

Numbers are written so that reading them gives the very same double. JSON has no NaN: null stands for a number that is
not defined or was not recorded, "Infinity" and "-Infinity" for the two infinities.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, BinaryIO

import numpy as np

from recorder.runfile.reader import Run
from recorder.runfile.schema import Clock, Event
from tui.exchange.quantities import Quantity

NUMBERS = 100_000  # that are turned into text at once


def write(file: BinaryIO, run: Run, quantities: Sequence[Quantity], events: Sequence[Event]) -> None:
    """Everything as one object."""
    file.write(b'{"run": ' + _text(about(run)) + b',\n"series": {')
    for k, quantity in enumerate(quantities):
        file.write((b",\n" if k else b"\n") + _text(quantity.name) + b": ")
        _write(file, quantity)
    file.write(b'\n},\n"events": ' + _text([asdict(event) for event in events]) + b"}\n")


def about(run: Run) -> dict[str, Any]:
    """Where the numbers come from."""
    told = {name: getattr(run, name) for name in ("name", "state", "started", "ended", "steps", "epochs")}
    return told | {"meta": dict(run.meta)}


def header(quantity: Quantity) -> dict[str, Any]:
    """What is to be known of a quantity, without its numbers; `item` is what its items are."""
    longest = max((quantity.dims(item) for item in quantity.items), key=len, default=())
    item = {} if quantity.alone else {"item": quantity.series.item_dim}
    return quantity.about() | item | {"dims": ["step", *longest]}


def plain(values: np.ndarray) -> list[Any]:
    """Nested lists of what JSON has."""
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return values.tolist()
    known = values.astype(object)
    known[np.isnan(values)] = None
    known[np.isposinf(values)], known[np.isneginf(values)] = "Infinity", "-Infinity"
    return known.tolist()


def _write(file: BinaryIO, quantity: Quantity) -> None:
    columns = list(quantity.rows())
    clock = _united([own for _, own, _ in columns])
    fields = header(quantity) | {name: getattr(clock, name).tolist() for name in ("step", "epoch", "time")}
    file.write(_text(fields)[:-1] + b', "values": ')
    if not quantity.alone:
        file.write(b"{")
    for k, (item, own, values) in enumerate(columns):
        if not quantity.alone:
            file.write((b",\n  " if k else b"\n  ") + _text(item) + b": ")
        _write_column(file, values, np.searchsorted(clock.step, own.step), len(clock))
    file.write(b"}" if quantity.alone else b"}}")


def _write_column(file: BinaryIO, values: np.ndarray, places: np.ndarray, length: int) -> None:
    """One entry a step of the clock; null where the item has none."""
    file.write(b"[")
    block = max(1, NUMBERS // max(1, int(np.prod(values.shape[1:]))))
    for lo in range(0, length, block):
        hi = min(lo + block, length)
        rows = slice(*np.searchsorted(places, (lo, hi)))
        entries: list[Any] = [None] * (hi - lo)
        for place, entry in zip(places[rows].tolist(), plain(values[rows]), strict=True):
            entries[place - lo] = entry
        file.write((b", " if lo else b"") + _text(entries)[1:-1])
    file.write(b"]")


def _united(clocks: Sequence[Clock]) -> Clock:
    """Every step at which one of the items has a row."""
    first = clocks[0]
    if all(np.array_equal(first.step, other.step) for other in clocks[1:]):
        return first
    step, at = np.unique(np.concatenate([c.step for c in clocks]), return_index=True)
    return Clock(step, *(np.concatenate([getattr(c, name) for c in clocks])[at] for name in ("epoch", "time")))


def _text(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, default=str).encode()
