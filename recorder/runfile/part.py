"""Which numbers of a row go where? A volume being written, as the training thread sees it.

A volume is gathered first, then begun (its declaration is fixed and on disk), then created in HDF5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from recorder.errors import InstrumentError, RecordError
from recorder.runfile.declaration import EVENTS, Declaration, Status
from recorder.runfile.layout import block_rows, is_axis, is_series
from recorder.runfile.log import Block
from recorder.runfile.schema import Series, row_dtype
from recorder.runfile.volume import Volume

Cell = tuple[str, Any, Any]  # field of the row, column in it, value


@dataclass(eq=False)
class PartAxis:
    """One axis of one volume: its layout, and the block that is being filled."""

    name: str
    row: np.dtype
    capacity: int
    next: int = 0  # number of the next row
    step: int = -(1 << 62)  # of the last row
    block: Block | None = None


@dataclass(eq=False)
class Part:
    """A volume being written."""

    number: int
    block_bytes: int
    series: dict[str, Series] = field(default_factory=dict)
    axes: dict[str, PartAxis] = field(default_factory=dict)
    columns: dict[str, dict[str, int]] = field(default_factory=dict)  # series -> item -> position
    begun: bool = False
    volume: Volume | None = None

    def __post_init__(self) -> None:
        self._add_axis("events", (EVENTS,))

    def takes(self, s: Series) -> bool:
        """Whether a declaration can still join: nothing is written yet, and its name is free or of the same axis."""
        return not self.begun and (s.name not in self.series or self.series[s.name].axis == s.axis)

    def add(self, s: Series) -> None:
        s = _united(self.series[s.name], s) if s.name in self.series else s
        self.series[s.name] = s
        self.columns[s.name] = {item: k for k, item in enumerate(s.items)}

    def begin(self) -> None:
        """Fix the declaration."""
        self.begun = True
        for axis, series in self.declaration({}, Status()).axes.items():
            if axis not in self.axes:
                self._add_axis(axis, series)

    def declaration(self, meta: Mapping[str, Any], status: Status) -> Declaration:
        return Declaration(tuple(self.series.values()), meta, status)

    def has_axis(self, axis: str) -> bool:
        return any(s.axis == axis for s in self.series.values())

    def _add_axis(self, name: str, series: Sequence[Series]) -> None:
        row = row_dtype(series)
        self.axes[name] = PartAxis(name, row, block_rows(row.itemsize, self.block_bytes))


def check_declaration(s: Series, parts: Sequence[Part]) -> None:
    """Raise RecordError unless `s` can be written beside what the parts hold."""
    if not is_series(s.name) or not is_axis(s.axis):
        raise RecordError(
            f"series {s.name!r} on axis {s.axis!r}: names must be letters, digits, '_' and '.', and not one of the "
            "file's own (axes, parts, events, layerscope, step, epoch, time)"
        )
    if len(set(s.items)) != len(s.items):
        raise RecordError(f"series {s.name!r}: its items are not all different: {s.items}")
    for part in parts:
        if s.name in part.series and (axis := part.series[s.name].axis) != s.axis:
            for item in s.items:
                if item in part.columns[s.name]:
                    raise RecordError(
                        f"series {s.name!r}: {item!r} is already recorded on axis {axis!r}, not {s.axis!r}"
                    )


def routed(parts: Sequence[Part], axis: str, values: Mapping[str, Any], where: str) -> list[tuple[Part, list[Cell]]]:
    """Which cells go into which part: an item into the newest that declared it on this axis."""
    found: dict[int, tuple[Part, list[Cell]]] = {}
    for name, value in values.items():
        homes = [p for p in reversed(parts) if name in p.series and p.series[name].axis == axis]
        if not homes:
            raise InstrumentError(f"series {name!r} {where}: was not declared on axis {axis!r}")
        if not isinstance(value, Mapping):
            found.setdefault(homes[0].number, (homes[0], []))[1].extend(_cells(homes[0].series[name], value, where))
            continue
        left = dict(value)
        for part in homes:
            columns = part.columns[name]
            own = {item: left.pop(item) for item in value if item in left and item in columns}
            if own or not value:
                cells = found.setdefault(part.number, (part, []))[1]
                cells.extend(_item_cells(part.series[name], [(columns[i], i, v) for i, v in own.items()], where))
        if left:
            raise InstrumentError(f"series {name!r} {where}: has no item {next(iter(left))!r}; declare it first")
    if not values:
        first = next((p for p in parts if p.has_axis(axis)), None)
        if first is None:
            raise InstrumentError(f"axis {axis!r} {where}: nothing was declared on it")
        found[first.number] = (first, [])
    return list(found.values())


def _united(known: Series, more: Series) -> Series:
    """Two declarations of one series before its first row."""
    if (known.kind, known.shape, known.dtype) != (more.kind, more.shape, more.dtype):
        raise RecordError(f"series {more.name!r}: was declared before as another kind, shape or dtype")
    fresh = [k for k, item in enumerate(more.items) if item not in known.items]
    ragged = (*known.ragged, *(more.ragged[k] for k in fresh)) if more.ragged else known.ragged
    return replace(known, items=(*known.items, *(more.items[k] for k in fresh)), ragged=ragged)


def _cells(s: Series, value: Any, where: str) -> list[Cell]:
    """The cells of a whole row of a series, shapes checked."""
    if not s.ragged:
        _same(np.shape(value), (len(s.items), *s.shape), f"series {s.name!r} {where}")
        return [(s.name, ..., value)]
    if len(value) != len(s.items):
        raise InstrumentError(f"series {s.name!r} {where}: expected {len(s.items)} arrays, got {len(value)}")
    return _item_cells(s, [(k, s.items[k], v) for k, v in enumerate(value)], where)


def _item_cells(s: Series, values: Sequence[tuple[int, str, Any]], where: str) -> list[Cell]:
    """The cells of some (position, item, value) of a series, shapes checked."""
    for k, item, value in values:
        expected = s.ragged[k] if s.ragged else s.shape
        if expected or not isinstance(value, float | int):
            _same(np.shape(value), expected, f"series {s.name!r}, item {item!r} {where}")
    return [(f"{s.name}/{k}", ..., v) if s.ragged else (s.name, k, v) for k, _, v in values]


def _same(found: tuple[int, ...], expected: tuple[int, ...], what: str) -> None:
    if found != expected:
        raise InstrumentError(f"{what}: expected shape {expected}, got {found}")
