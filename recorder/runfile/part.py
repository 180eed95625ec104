"""Which numbers of a row go where? A volume being written, as the training thread sees it.

A volume is gathered first, then begun (its declaration is fixed and on disk), then created in HDF5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

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
    declared: bool = False  # on disk
    volume: Volume | None = None
    finished: bool = False  # nothing more goes into its volume; it has to become another one
    meta: Mapping[str, Any] = field(default_factory=dict)
    resumed: int | None = None  # the first part of a resumed training says where that went on

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
        for axis, series in self.declaration(Status()).axes.items():
            if axis not in self.axes:
                self._add_axis(axis, series)

    def declaration(self, status: Status) -> Declaration:
        return Declaration(tuple(self.series.values()), self.meta, replace(status, resumed=self.resumed))

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


class Whole(NamedTuple):
    """Where rows go that fill all of one part's axis, as most do."""

    part: Part
    axis: PartAxis
    fields: Mapping[str, tuple[int, ...]]  # series -> shape, in the order of the row
    names: frozenset[str]


class Homes:
    """Which parts declared a series on an axis: the newest first."""

    def __init__(self) -> None:
        self._parts: dict[str, dict[str, list[Part]]] = {}  # axis -> series -> parts
        self._whole: dict[str, Whole] = {}  # axis -> where its last row went, if that was whole

    def add(self, s: Series, part: Part) -> None:
        self._whole.clear()
        parts = self._parts.setdefault(s.axis, {}).setdefault(s.name, [])
        if part not in parts:
            parts.insert(0, part)

    def whole(self, axis: str, values: Mapping[str, Any]) -> tuple[Part, PartAxis, list[Any]] | None:
        """Where the row goes, and its values in the order of its fields; None where it has to be `routed`."""
        home = self._whole.get(axis)
        if home is None or values.keys() != home.names:
            home = self._find_whole(axis, values)
            if home is None:
                return None
            self._whole[axis] = home
        row = []
        for name, shape in home.fields.items():
            value = values[name]
            if _shape(value) != shape:
                return None
            row.append(value)
        return home.part, home.axis, row

    def _find_whole(self, axis: str, values: Mapping[str, Any]) -> Whole | None:
        known = self._parts.get(axis, {})
        parts = {id(part): part for name in values for part in known.get(name, ())}
        if len(parts) != 1:
            return None
        (part,) = parts.values()
        series = [s for s in part.series.values() if s.axis == axis]
        if not part.begun or values.keys() != {s.name for s in series} or any(s.ragged for s in series):
            return None
        fields = {s.name: (len(s.items), *s.shape) for s in series}
        return Whole(part, part.axes[axis], fields, frozenset(values))

    def routed(self, axis: str, values: Mapping[str, Any], where: str) -> Mapping[Part, list[Cell]]:
        """Which cells go into which part: an item into the newest that declared it on this axis."""
        known = self._parts.get(axis, {})
        found: dict[Part, list[Cell]] = {}
        for name, value in values.items():
            if name not in known:
                raise InstrumentError(f"series {name!r} {where}: was not declared on axis {axis!r}")
            if isinstance(value, Mapping):
                self._route_items(found, name, known[name], value, where)
            else:
                newest = known[name][0]
                found.setdefault(newest, []).extend(_cells(newest.series[name], value, where))
        if not values:
            if not known:
                raise InstrumentError(f"axis {axis!r} {where}: nothing was declared on it")
            found[min((parts[-1] for parts in known.values()), key=lambda part: part.number)] = []
        return found

    def _route_items(
        self, found: dict[Part, list[Cell]], name: str, parts: Sequence[Part], value: Mapping[str, Any], where: str
    ) -> None:
        left = dict(value)
        for part in parts:
            columns = part.columns[name]
            own = {item: left.pop(item) for item in value if item in left and item in columns}
            if own or not value:
                cells = [(columns[item], item, v) for item, v in own.items()]
                found.setdefault(part, []).extend(_item_cells(part.series[name], cells, where))
        if left:
            raise InstrumentError(f"series {name!r} {where}: has no item {next(iter(left))!r}; declare it first")


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
        found, expected = _shape(value), (len(s.items), *s.shape)
        if found != expected:
            raise InstrumentError(f"series {s.name!r} {where}: expected shape {expected}, got {found}")
        return [(s.name, ..., value)]
    if len(value) != len(s.items):
        raise InstrumentError(f"series {s.name!r} {where}: expected {len(s.items)} arrays, got {len(value)}")
    return _item_cells(s, [(k, s.items[k], v) for k, v in enumerate(value)], where)


def _item_cells(s: Series, values: Sequence[tuple[int, str, Any]], where: str) -> list[Cell]:
    """The cells of some (position, item, value) of a series, shapes checked."""
    for k, item, value in values:
        expected = s.ragged[k] if s.ragged else s.shape
        found = _shape(value)
        if found != expected:
            raise InstrumentError(f"series {s.name!r}, item {item!r} {where}: expected shape {expected}, got {found}")
    return [(f"{s.name}/{k}", ..., v) if s.ragged else (s.name, k, v) for k, _, v in values]


def _shape(value: Any) -> tuple[int, ...]:
    """`np.shape`, which would make an array of what has the types of scalars and their rows."""
    if isinstance(value, np.ndarray):
        return value.shape
    if type(value) is list and (not value or type(value[0]) is float):
        return (len(value),)
    return () if isinstance(value, float | int) else np.shape(value)
