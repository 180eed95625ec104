"""What does one volume hold right now? Its HDF5 rows and those still in its logs, as one sequence of rows an axis.

`refresh` looks in the one order that is safe while another process writes: log, then `committed`, then data.
Where both have a row, the log wins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from recorder.errors import RunFileError
from recorder.runfile.declaration import (
    EVENTS,
    MAX_TEXT,
    Declaration,
    Status,
    event_of,
    parse_meta,
    parse_series,
    parse_status,
)
from recorder.runfile.guard import clean, damage, dataset_in, group_in
from recorder.runfile.handles import shared
from recorder.runfile.layout import BUCKET, CLOCK, has_level, item_key, level_dtype
from recorder.runfile.level import Summary, from_stored
from recorder.runfile.schema import Clock, Event, Series, row_dtype
from recorder.runfile.stored_axis import StoredAxis
from recorder.runfile.unpack import check_chunks, read_chunks
from recorder.runfile.volume import CLOCK_DTYPE

Logs = Mapping[str, Mapping[int, Path]]  # axis -> first row -> file
NO_STEP = np.iinfo(np.int64).max
MAX_EVENTS = 20_000  # that are read, the newest
EVENTS_AT_ONCE = 4096


class StoredVolume:
    """The reading side of one volume: an HDF5 group, or only logs as long as there is none."""

    def __init__(self, number: int, declaration: Declaration, group: h5py.Group | None, where: str) -> None:
        self.number = number
        self.declaration = declaration
        self.where = where
        self.series = {s.name: s for s in declaration.series}
        self.group = group
        self.hidden_from = NO_STEP  # the step at which a resumed training went on, see `processes.hide`
        self._homes: dict[str, h5py.Group] = {}
        self._places: dict[str, dict[str, int]] = {}
        self._datasets: dict[tuple[str, str], tuple[int, h5py.Dataset]] = {}
        self._generation = 0
        self._grows = group is not None and group.file.swmr_mode
        self._ragged: dict[str, dict[str, tuple[int, ...]]] = {}  # series -> dataset -> the shape of its rows
        self._axes = {axis: StoredAxis(series, self._count(axis)) for axis, series in declaration.axes.items()}
        if group is not None:
            self._check()

    @classmethod
    def open(cls, number: int, group: h5py.Group, where: str) -> StoredVolume:
        """The volume in an HDF5 group."""
        with damage(where):
            own = group_in(group, "layerscope", where)
            declaration = Declaration(
                parse_series(_text(own, "series", where), where),
                parse_meta(_text(own, "meta", where), where),
                parse_status(_text(own, "status", where), where),
            )
            return cls(number, declaration, group, where)

    def places(self, series: str) -> dict[str, int]:
        """Where each item of a series stands, by its clean name."""
        if series not in self._places:
            self._places[series] = {clean(name): k for k, name in enumerate(self.series[series].items)}
        return self._places[series]

    def refresh(self, logs: Logs) -> bool:
        """Whether there are new rows."""
        self._generation += 1
        with damage(self.where):
            grown = [axis.refresh(logs.get(name, {})) for name, axis in self._axes.items()]
        return any(grown)

    def refresh_status(self) -> Status:
        """Read the status again: the writer rewrites it when it closes."""
        if self.group is not None and self._grows:
            with damage(self.where):
                own = group_in(self.group, "layerscope", self.where)
                status = parse_status(_text(own, "status", self.where), self.where)
            self.declaration = Declaration(self.declaration.series, self.declaration.meta, status)
        return self.declaration.status

    @property
    def axes(self) -> tuple[str, ...]:
        """Those of series; that of the events has rows for itself."""
        return tuple(axis for axis in self._axes if axis != EVENTS.axis)

    def count(self, axis: str) -> int:
        """Rows recorded on an axis."""
        return self._axes[axis].count

    def visible(self, axis: str) -> int:
        """Rows of an axis that count: those before what a resumed training hides."""
        if self.hidden_from == NO_STEP:
            return self.count(axis)
        behind = all(s.between for s in self._axes[axis].series)
        return int(np.searchsorted(self.clock_column(axis, "step"), self.hidden_from + behind, side="left"))

    def clock_column(self, axis: str, name: str) -> np.ndarray:
        """(row,) all steps, epochs or times of an axis; what was read once is kept."""
        return self._axes[axis].column(name, partial(self._clock, axis, name))

    def clock_entry(self, axis: str, name: str, row: int) -> float:
        """One entry of a clock column: the others are read only where they were asked for."""
        return self._axes[axis].entry(name, row, partial(self._clock, axis, name))

    def clock(self, axis: str, rows: slice = slice(None)) -> Clock:
        step, epoch, time = (self.clock_column(axis, name)[rows] for name in CLOCK)
        return Clock(step, epoch, time)

    def read(
        self, series: str, start: int, stop: int, columns: Any = slice(None), part: tuple[int, int] | None = None
    ) -> np.ndarray:
        """Rows start..stop of some items: (row, *what `columns` picks of (item,), *shape).

        A ragged series has no item dimension: `columns` is then the position of one item. Of the rows of one item
        `part` reads only entries part[0]..part[1] of their first dimension.
        """
        s = self.series[series] if series != "events" else EVENTS
        a = self._axes[s.axis]
        field = f"{series}/{columns}" if s.ragged else series
        pick: tuple[Any, ...] = (() if s.ragged else (columns,)) + (() if part is None else (slice(*part),))
        split = a.split
        pieces = []
        if start < min(stop, split):
            key = item_key(s.items[columns]) if s.ragged else "values"
            pieces.append(self._slice(series, key, start, min(stop, split), *pick))
        if max(start, split) < stop and len(a.tail):
            rows = a.tail.rows[max(start, split) - a.tail.first : stop - a.tail.first]
            pieces.append(rows[field][(slice(None), *pick)])
        if not pieces:
            rows = np.zeros(0, row_dtype((s,)))
            return rows[field][(slice(None), *pick)]
        return np.concatenate(pieces) if len(pieces) > 1 else pieces[0]

    def level(self, series: str, start: int, stop: int, columns: Any, starts: np.ndarray) -> Summary:
        """The Summary of buckets start..stop, joined to one entry from each of `starts` (counted from `start`) on."""
        stored = self._slice(series, "level", start, stop, slice(None), columns)
        return from_stored(stored if stored.ndim == 3 else stored[:, :, None], starts)

    def level_buckets(self, series: str) -> int:
        """Buckets that are whole in the file: those in whole chunks of rows that are committed."""
        s = self.series[series]
        if self.group is None or not has_level(s):
            return 0
        with damage(f"{self.where}: {series}/level"):
            dataset = self._dataset(series, "level")
            chunk = dataset.chunks[0]
            return min(len(dataset), self._axes[s.axis].committed // (chunk * BUCKET) * chunk)

    @property
    def events(self) -> list[Event]:
        """The newest MAX_EVENTS of those that count, behind one that says how many there are before them."""
        count, clock = self.visible("events"), self.clock("events")
        first = max(0, count - MAX_EVENTS)
        found = []
        if first:
            text = f"{first:,} older events are in the file and are not read, only the newest {MAX_EVENTS:,}"
            step, epoch, time = (getattr(clock, name)[first - 1] for name in CLOCK)
            found.append(Event("unread", text, int(step), int(epoch), float(time)))
        for start in range(first, count, EVENTS_AT_ONCE):
            rows = range(start, min(start + EVENTS_AT_ONCE, count))
            kinds, texts = (self.read("events", rows.start, rows.stop, k) for k in range(2))
            found += [
                event_of(kind, text, step=int(clock.step[k]), epoch=int(clock.epoch[k]), time=float(clock.time[k]))
                for k, kind, text in zip(rows, kinds, texts, strict=True)
            ]
        return found

    def bytes_of(self, series: str) -> int:
        """Bytes that a series takes in HDF5."""
        if self.group is None:
            return 0
        with damage(f"{self.where}: {series}"):
            return sum(int(self._dataset(series, k).id.get_storage_size()) for k in self._keys(self.series[series]))

    def check(self) -> Iterator[str]:
        """Each dataset that was found sound; RunFileError where one is not as a writer leaves it."""
        self.refresh({})
        if self.group is not None:
            own = [(s.name, key) for s in (*self.series.values(), EVENTS) for key in self._keys(s)]
            for name, key in (*((f"axes/{axis}", name) for axis in self._axes for name in CLOCK), *own):
                where = f"{self.where}: {name}/{key}"
                with damage(where):
                    check_chunks(self._opened(name, key), where)  # not kept open: there may be thousands
                yield where

    @staticmethod
    def _keys(s: Series) -> Iterator[str]:
        """The datasets that hold its rows."""
        yield from map(item_key, s.items) if s.ragged else ("values",)
        if has_level(s):
            yield "level"

    def _clock(self, axis: str, name: str, start: int, stop: int) -> np.ndarray:
        """A stretch of a clock column in the file."""
        found = self._slice(f"axes/{axis}", name, start, stop)
        if name == "step" and (np.diff(found) < 0).any():
            raise RunFileError(f"{self.where}: is damaged: steps of axis {axis!r} go back")
        return found

    def _slice(self, series: str, key: str, start: int, stop: int, *pick: Any) -> np.ndarray:
        """Rows of a dataset, all of them or an error."""
        where = f"{self.where}: {series}/{key}"
        with damage(where):
            return read_chunks(self._dataset(series, key), start, stop, pick, where)

    def _dataset(self, series: str, key: str) -> h5py.Dataset:
        """A dataset, refreshed once a `refresh`: what is `committed` is then certainly visible.

        Only where the file grows: another library may have a sealed one open, see `handles`.
        """
        if self.group is None:
            raise RunFileError(f"{self.where}: rows of {series!r} are missing: neither the file nor the log has them")
        generation, dataset = self._datasets.get((series, key), (-1, None))
        if not dataset:  # not opened yet, or closed with the file of another reader
            dataset = shared(self._opened(series, key))
        if generation != self._generation:
            if self._grows:
                dataset.refresh()
            self._datasets[series, key] = (self._generation, dataset)
        return dataset

    def _opened(self, series: str, key: str) -> h5py.Dataset:
        """A dataset of the file, in the form that was declared."""
        dataset = dataset_in(self._home(series), key, self.where)
        shape, dtype = self._form(series, key)
        if not dataset.shape or dataset.shape[1:] != shape or dataset.dtype != dtype or dataset.chunks is None:
            raise RunFileError(
                f"{self.where}: {series}/{key}: expected rows of {shape} {dtype}, "
                f"found {dataset.shape[1:]} {dataset.dtype}"
            )
        return dataset

    def _form(self, series: str, key: str) -> tuple[tuple[int, ...], np.dtype]:
        """Shape and type of a dataset's rows."""
        if series.startswith("axes/"):
            return (), np.dtype(CLOCK_DTYPE[key])
        s = self.series[series] if series != "events" else EVENTS
        if s.ragged:
            if series not in self._ragged:
                self._ragged[series] = dict(zip(map(item_key, s.items), s.ragged, strict=True))
            return self._ragged[series][key], np.dtype(s.dtype)
        return ((4, len(s.items)), level_dtype(s)) if key == "level" else ((len(s.items), *s.shape), np.dtype(s.dtype))

    def _home(self, path: str) -> h5py.Group:
        """The group at a path, behind whose every step is a group of this file."""
        assert self.group is not None
        if path not in self._homes:
            above, _, name = path.rpartition("/")
            self._homes[path] = group_in(self._home(above) if above else self.group, name, self.where)
        return self._homes[path]

    def _count(self, axis: str) -> h5py.Dataset | None:
        """Where the file says how many rows of an axis are whole."""
        if self.group is None:
            return None
        count = dataset_in(self._home(f"axes/{axis}"), "committed", self.where)
        if count.shape != () or count.dtype.kind not in "iu":
            raise RunFileError(f"{self.where}: axes/{axis}/committed: expected one count, found {count}")
        return shared(count)

    def _keep(self, series: str, key: str) -> None:
        self._datasets[series, key] = (-1, shared(self._opened(series, key)))

    def _check(self) -> None:
        """What is small in number is looked at at once, the items of a ragged series when they are read."""
        assert self.group is not None
        for axis in self._axes:
            for name in CLOCK:
                self._keep(f"axes/{axis}", name)
        for s in self.series.values():
            for key in () if s.ragged else self._keys(s):
                self._keep(s.name, key)
            if s.ragged and (there := len(group_in(self.group, s.name, self.where).id)) < len(s.items):
                raise RunFileError(f"{self.where}: {s.name}: is damaged: it has {there} of {len(s.items)} items")


def _text(group: h5py.Group, name: str, where: str) -> bytes:
    dataset = dataset_in(group, name, where)
    if dataset.ndim != 1 or dataset.dtype != np.uint8 or dataset.shape[0] > MAX_TEXT or dataset.chunks:
        raise RunFileError(f"{where}: {name}: expected at most {MAX_TEXT} bytes of JSON, found {dataset.shape}")
    return dataset[:].tobytes()
