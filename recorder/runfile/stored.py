"""What does one volume hold right now? Its HDF5 rows and those still in its logs, as one sequence of rows an axis.

`refresh` looks in the one order that is safe while another process writes: log, then `committed`, then data.
Where both have a row, the log wins.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from recorder.errors import RunFileError
from recorder.runfile.declaration import (
    EVENTS,
    Declaration,
    Status,
    event_of,
    parse_meta,
    parse_series,
    parse_status,
)
from recorder.runfile.guard import MAX_TEXT
from recorder.runfile.handles import shared
from recorder.runfile.layout import CLOCK, has_level, item_key
from recorder.runfile.level import Summary, from_stored
from recorder.runfile.log import Tail
from recorder.runfile.schema import Clock, Event, Series, row_dtype

Logs = Mapping[str, Mapping[int, Path]]  # axis -> first row -> file
NO_STEP = np.iinfo(np.int64).max


class _Axis:
    def __init__(self, series: tuple[Series, ...], group: h5py.Group | None) -> None:
        self.series = series
        self.tail = Tail(row_dtype(series))
        self.committed = 0
        self.count = 0
        self.clock = {name: np.zeros(0, "f8" if name == "time" else "i8") for name in CLOCK}
        self.stored = dict.fromkeys(CLOCK, 0)  # how much of `clock` came from HDF5, and so is final
        self.group = group
        self.count_in_file = group["committed"] if group is not None else None

    @property
    def split(self) -> int:
        """Rows before it are read from HDF5, the others from the log."""
        return min(self.tail.first, self.count) if len(self.tail) else self.count

    def refresh(self, logs: Mapping[int, Path]) -> bool:
        before = self.count
        gone = self.tail.refresh(logs)
        if self.count_in_file is not None:
            self.count_in_file.refresh()
            self.committed = max(self.committed, int(self.count_in_file[()]))
        self.tail.join(self.committed)
        self.count = max(self.committed, self.tail.stop if len(self.tail) else 0)
        if self.count < before or (gone is not None and gone >= self.committed):
            raise FileNotFoundError("rows went into a file that was not there a moment ago")
        return self.count != before


class StoredVolume:
    """The reading side of one volume: an HDF5 group, or only logs as long as there is none."""

    def __init__(self, number: int, declaration: Declaration, group: h5py.Group | None, where: str) -> None:
        self.number = number
        self.declaration = declaration
        self.where = where
        self.series = {s.name: s for s in declaration.series}
        self.group = group
        self.hidden_from = NO_STEP  # the step at which a resumed training went on, see `processes.hide`
        self._datasets: dict[tuple[str, str], tuple[int, h5py.Dataset]] = {}
        self._generation = 0
        self._grows = group is not None and group.file.swmr_mode
        self._axes = {
            axis: _Axis(series, group["axes"][axis] if group is not None else None)
            for axis, series in declaration.axes.items()
        }
        if group is not None:
            self._check()

    @classmethod
    def open(cls, number: int, group: h5py.Group, where: str) -> StoredVolume:
        """The volume in an HDF5 group."""
        with _damage(where):
            own = group["layerscope"]
            declaration = Declaration(
                parse_series(_text(own["series"]), where),
                parse_meta(_text(own["meta"]), where),
                parse_status(_text(own["status"]), where),
            )
            return cls(number, declaration, group, where)

    def refresh(self, logs: Logs) -> bool:
        """Whether there are new rows."""
        self._generation += 1
        grown = [axis.refresh(logs.get(name, {})) for name, axis in self._axes.items()]
        return any(grown)

    def refresh_status(self) -> Status:
        """Read the status again: the writer rewrites it when it closes."""
        if self.group is not None:
            dataset = self.group["layerscope/status"]
            dataset.refresh()
            status = parse_status(_text(dataset), self.where)
            self.declaration = Declaration(self.declaration.series, self.declaration.meta, status)
        return self.declaration.status

    @property
    def axes(self) -> tuple[str, ...]:
        return tuple(self._axes)

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
        a = self._axes[axis]
        if len(a.clock[name]) != a.count or a.stored[name] < a.split:
            known, split = a.stored[name], a.split
            pieces = [a.clock[name][:known]]
            if split > known:
                pieces.append(self._slice(f"axes/{axis}", name, known, split))
                if name == "step" and (np.diff(pieces[-1]) < 0).any():
                    raise RunFileError(f"{self.where}: is damaged: steps of axis {axis!r} go back")
            if len(a.tail):
                pieces.append(a.tail.rows[name][split - a.tail.first : a.count - a.tail.first])
            a.clock[name] = np.concatenate(pieces)
            a.stored[name] = max(known, split)
        return a.clock[name]

    def clock(self, axis: str, rows: slice = slice(None)) -> Clock:
        step, epoch, time = (self.clock_column(axis, name)[rows] for name in CLOCK)
        return Clock(step, epoch, time)

    def read(self, series: str, start: int, stop: int, columns: Any = slice(None)) -> np.ndarray:
        """Rows start..stop of some items: (row, *what `columns` picks of (item,), *shape).

        A ragged series has no item dimension: `columns` is then the position of one item.
        """
        s = self.series[series] if series != "events" else EVENTS
        a = self._axes[s.axis]
        field = f"{series}/{columns}" if s.ragged else series
        pick: tuple[Any, ...] = () if s.ragged else (columns,)
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
        dataset = self._dataset(series, "level")
        chunk, bucket = dataset.chunks[0], int(dataset.attrs["rows"])
        return min(len(dataset), self._axes[s.axis].committed // (chunk * bucket) * chunk)

    @property
    def events(self) -> list[Event]:
        count = self.count("events")
        kinds, texts = (self.read("events", 0, count, k) for k in range(2))
        clock = self.clock("events")
        return [
            event_of(kinds[k], texts[k], step=int(clock.step[k]), epoch=int(clock.epoch[k]), time=float(clock.time[k]))
            for k in range(count)
        ]

    def bytes_of(self, series: str) -> int:
        """Bytes that a series takes in HDF5."""
        if self.group is None:
            return 0
        home = self.group[series]
        return sum(int(home[name].id.get_storage_size()) for name in home if name not in CLOCK)

    def _slice(self, series: str, key: str, start: int, stop: int, *pick: Any) -> np.ndarray:
        """Rows of a dataset, all of them or an error."""
        with _damage(f"{self.where}: {series}/{key}"):
            values = self._dataset(series, key)[(slice(start, stop), *pick)]
        if len(values) != stop - start:
            raise RunFileError(f"{self.where}: {series}/{key}: has {start + len(values)} rows, {stop} were promised")
        return values

    def _dataset(self, series: str, key: str) -> h5py.Dataset:
        """A dataset, refreshed once a `refresh`: what is `committed` is then certainly visible.

        Only where the file grows: another library may have a sealed one open, see `handles`.
        """
        if self.group is None:
            raise RunFileError(f"{self.where}: rows of {series!r} are missing: neither the file nor the log has them")
        generation, dataset = self._datasets.get((series, key), (-1, None))
        if not dataset:  # not opened yet, or closed with the file of another reader
            dataset = shared(self.group, f"{series}/{key}")
        if generation != self._generation:
            if self._grows:
                dataset.refresh()
            self._datasets[series, key] = (self._generation, dataset)
        return dataset

    def _check(self) -> None:
        """The datasets are those declared."""
        assert self.group is not None
        for s in (*self.series.values(), EVENTS):
            home = self.group[s.name]
            shapes = (
                [(item_key(i), sh) for i, sh in zip(s.items, s.ragged, strict=True)]
                if s.ragged
                else [("values", (len(s.items), *s.shape))]
            )
            for key, shape in shapes:
                dataset = home[key]
                if dataset.shape[1:] != shape or dataset.dtype != np.dtype(s.dtype):
                    raise RunFileError(
                        f"{self.where}: {s.name}/{key}: expected rows of {shape} {s.dtype}, "
                        f"found {dataset.shape[1:]} {dataset.dtype}"
                    )


@contextlib.contextmanager
def _damage(where: str) -> Iterator[None]:
    """What HDF5 says of broken data, in our words."""
    try:
        yield
    except RunFileError:
        raise
    except (OSError, RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise RunFileError(f"{where}: is damaged: {error}") from error


def _text(dataset: h5py.Dataset) -> bytes:
    if dataset.ndim != 1 or dataset.dtype != np.uint8 or dataset.shape[0] > MAX_TEXT:
        raise RunFileError(f"{dataset.name}: expected at most {MAX_TEXT} bytes of JSON, found {dataset.shape}")
    return dataset[:].tobytes()
