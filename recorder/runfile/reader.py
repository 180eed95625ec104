"""What has been recorded so far? One run, joined from its file, its parts and its logs, also while it grows.

Volumes are numbered; where a newer one records an item again, its rows hide older rows from its first step on, and a
resumed training hides all that is older from there on (`processes`).
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from recorder.errors import NotRecordedError, RunFileError
from recorder.runfile.declaration import Status
from recorder.runfile.guard import clean
from recorder.runfile.layout import run_paths
from recorder.runfile.merge import cleaned, epoch_knots, groups_of, last_row, merged_series, read_rows
from recorder.runfile.on_disk import allocated_to, on_disk
from recorder.runfile.processes import Process, completed, last_time, merged_meta, processes, visible_events
from recorder.runfile.recorded import Recorded
from recorder.runfile.schema import Clock, Event, Kind, Series, State
from recorder.runfile.stored import StoredVolume
from recorder.runfile.volumes import Volumes
from recorder.runfile.window import Group, bucket_steps, summary
from recorder.view import Envelope, Window

ROWS_BYTES = 64 << 20  # of rows that are read at once
GAIN = 8  # where every row is wanted, it may be so many times what the run takes of the disk


class Run:
    """A recorded run, read-only; implements `recorder.view.RunView`."""

    def __init__(self, path: Path | str, *, trusted: bool = False) -> None:
        """Open NAME.h5, NAME.d or the bare NAME; RunFileError where there is no run that can be opened safely.

        A `trusted` run, one's own, is not tried in another process first.
        """
        self.path, self._folder = run_paths(path)
        self._volumes = Volumes(self.path, self._folder, trusted=trusted)
        self._series: dict[str, Series] | None = None
        self._events: list[Event] | None = None
        self._cache: dict[tuple[str, str | None], list[Group]] = {}
        self._epochs: tuple[np.ndarray, np.ndarray] | None = None
        self.refresh()
        if not self.volumes:
            raise RunFileError(f"{self.path}: there is no run; looked for {self.path} and the folder {self._folder}")

    @classmethod
    def open(cls, path: Path | str, *, trusted: bool = False) -> Run:
        """The run at NAME.h5, NAME.d or the bare NAME."""
        return cls(path, trusted=trusted)

    # -- what it is ---------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return clean(self.path.stem)

    @property
    def folder(self) -> Path:
        """NAME.d, where checkpoints are; it need not exist."""
        return self._folder

    @property
    def meta(self) -> Mapping[str, Any]:
        """Provenance and the user's own settings; of a resumed run those of its newest process."""
        return cleaned(merged_meta(self.volumes))

    @property
    def processes(self) -> tuple[Process, ...]:
        """Who trained, one after the other: more than one where the training was resumed."""
        status = replace(self.status, state=self.state, ended=self.ended)
        found = processes(self.volumes, status)
        return tuple(replace(p, error=clean(p.error), meta=cleaned(p.meta)) for p in found)

    @property
    def series(self) -> Mapping[str, Series]:
        """Every series by name, its items united over all volumes."""
        if self._series is None:
            self._series = merged_series(self.volumes)
        return self._series

    @property
    def events(self) -> Sequence[Event]:
        """What happened, in order of time; what lies in the hidden part of a resumed run is left out."""
        if self._events is None:
            found = (replace(e, kind=clean(e.kind), text=clean(e.text)) for e in visible_events(self.volumes))
            self._events = sorted(found, key=lambda e: e.time)
        return self._events

    @property
    def state(self) -> State:
        return self._volumes.state

    @property
    def error(self) -> str:
        return clean(self.status.error)

    @property
    def started(self) -> float:
        """Seconds since 1970."""
        return self.volumes[0].declaration.status.started

    @property
    def ended(self) -> float | None:
        """Seconds since 1970; of a killed run the time of its last row; None while it records."""
        if self.status.ended is not None:
            return self.status.ended
        return last_time(self.volumes) if self.state is State.KILLED else None

    @property
    def last_step(self) -> int:
        """The last step recorded; -1 if none."""
        return int(self._last("step") if self._any_rows else -1)

    @property
    def steps(self) -> int:
        """Steps completed: rows of iteration t have step t, what is measured after it has t + 1."""
        return completed(self.volumes)

    @property
    def epochs(self) -> int:
        """Epochs completed; of a run that goes on, or was killed, those that a row tells of."""
        return max(int(self._last("epoch") if self._any_rows else 0), self.status.epochs)

    def epochs_at(self, step: int) -> int:
        """Epochs completed at the last row at or before a step."""
        found = 0
        for volume in self.volumes:
            for axis in volume.axes:
                steps = volume.clock_column(axis, "step")[: volume.visible(axis)]
                if rows := int(np.searchsorted(steps, step, side="right")):
                    found = max(found, int(volume.clock_column(axis, "epoch")[rows - 1]))
        return found

    @property
    def size(self) -> int:
        """Bytes on disk, without checkpoints."""
        return on_disk(self.path)

    @property
    def volumes(self) -> tuple[StoredVolume, ...]:
        """The main volume and the parts, oldest first."""
        return self._volumes.all

    @property
    def newest(self) -> StoredVolume:
        """The volume that says what became of the run: the newest that is not measured after a training."""
        return self._volumes.newest

    @property
    def status(self) -> Status:
        """What the newest writer said last."""
        return self._volumes.status

    @property
    def parts(self) -> int:
        """How many volumes there are besides the main file."""
        return len(self.volumes) - 1

    @property
    def axes(self) -> Mapping[str, int]:
        """How many rows each axis has, over all volumes."""
        found: dict[str, list[StoredVolume]] = {}
        for volume in self.volumes:
            for axis in volume.axes:
                found.setdefault(axis, []).append(volume)
        return {
            axis: volumes[0].visible(axis)
            if len(volumes) == 1
            else len(np.unique(np.concatenate([v.clock_column(axis, "step")[: v.visible(axis)] for v in volumes])))
            for axis, volumes in found.items()
        }

    def doc_of(self, series: str, item: str) -> str:
        """What an item is, as it was declared: scalars of steps and scalars of epochs differ."""
        for volume in reversed(self.volumes):
            declared = volume.series.get(series)
            if declared is not None and item in map(clean, declared.items):
                return clean(declared.doc)
        return self._declared(series).doc

    def bytes_of(self, series: str) -> int:
        """Bytes that a series takes in HDF5."""
        return sum(v.bytes_of(series) for v in self.volumes if series in v.series)

    # -- what it recorded ---------------------------------------------------------------------------------------

    def clock(self, series: str, item: str | None = None) -> Clock:
        groups = self._groups(series, item)
        clocks = [s.volume.clock(s.series.axis, slice(s.start, s.stop)) for group in groups for s in group.segments]
        if len(clocks) == 1:
            return clocks[0]
        step, epoch, time = (
            np.concatenate([getattr(c, n) for c in clocks]) if clocks else np.zeros(0, "f8" if n == "time" else "i8")
            for n in ("step", "epoch", "time")
        )
        if len(groups) > 1:
            step, first = np.unique(step, return_index=True)
            epoch, time = epoch[first], time[first]
        return Clock(step, epoch, time)

    def window(self, series: str, window: Window, item: str | None = None) -> Envelope:
        groups = self._groups(series, item)
        items = 1 if item is not None else len(self._declared(series).items)
        if item is None and self._declared(series).ragged:
            raise NotRecordedError(
                f"{series!r} has items of different shapes; ask for one of {_some(self.series[series])}"
            )
        steps = bucket_steps(groups, lo=window.lo, hi=window.hi, points=window.points)
        s = summary(groups, steps, items=items, hi=window.hi)
        some = s.finite > 0
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(some, s.total / s.finite, np.nan)
        columns = [np.where(some, s.low, np.nan), mean, np.where(some, s.high, np.nan), s.nonfinite]
        low, mean, high, bad = (c[:, 0] if item is not None else c for c in columns)
        rows = self._rows_within(groups, window)
        return Envelope(steps, self._x(series, item, steps, window), low, mean, high, bad, rows)

    def row(self, series: str, step: int | None = None, item: str | None = None) -> tuple[int, np.ndarray]:
        """The last row at or before `step`; where items have rows of their own, each item's last."""
        declared, groups = self._declared(series), self._groups(series, item)
        if item is None and declared.ragged:
            found = [self.row(series, step, name) for name in declared.items]
            values = np.empty(len(found), object)
            values[:] = [v for _, v in found]
            return max(s for s, _ in found), values
        rows = [(group, *hit) for group in groups if (hit := last_row(group, step)) is not None]
        if not rows:
            when = "" if step is None else f" at or before step {step}"
            raise NotRecordedError(f"{series!r} has no row{when} in run {self.name!r}")
        if item is not None or len(rows[0][0].places) == len(declared.items):
            return rows[0][1], rows[0][2]
        blank = np.nan if np.dtype(declared.dtype).kind == "f" else 0
        values = np.full((len(declared.items), *declared.shape), blank, declared.dtype)
        for group, _, found_values in rows:
            values[group.places] = found_values
        return max(found_step for _, found_step, _ in rows), values

    def rows(
        self, series: str, item: str, window: Window, *, part: tuple[int, int] | None = None
    ) -> tuple[Clock, np.ndarray]:
        segments = [s for group in self._groups(series, item) for s in group.segments]
        spans = [s.bounds(window.lo, window.hi) for s in segments]
        total = sum(b - a for a, b in spans)
        row, points = self._row_bytes(series, item, part), max(1, window.points)
        if points == sys.maxsize:
            self._check_size(total * row, f"all {total:,} rows of {series!r}, {item!r}: ask for a stretch of them")
        else:
            points = min(points, max(1, ROWS_BYTES // row))
        chosen = np.unique(np.linspace(0, max(0, total - 1), min(total, points)).round().astype(np.int64))
        clocks, values, before = [], [], 0
        for segment, (a, b) in zip(segments, spans, strict=True):
            rows = chosen[(chosen >= before) & (chosen < before + b - a)] - before + a
            before += b - a
            values.append(read_rows(segment, rows, part, row=row))
            clock = segment.volume.clock(segment.series.axis)
            clocks.append(Clock(clock.step[rows], clock.epoch[rows], clock.time[rows]))
        if not segments:
            return self.clock(series, item), np.zeros((0, *self._declared(series).shape_of(item)))
        step, epoch, time = (np.concatenate([getattr(c, n) for c in clocks]) for n in ("step", "epoch", "time"))
        return Clock(step, epoch, time), np.concatenate(values)

    def values(self, series: str, item: str | None = None) -> np.ndarray:
        """Every row, exact: (row, item, *shape) or (row, *shape) of one item, rows as in `clock(series, item)`."""
        declared, groups = self._declared(series), self._groups(series, item)
        if item is None and declared.ragged:
            raise NotRecordedError(f"{series!r} has items of different shapes; ask for one of {_some(declared)}")
        if (
            len(groups) == 1
            and groups[0].segments
            and (item is not None or len(groups[0].places) == len(declared.items))
        ):
            return np.concatenate([s.read(s.start, s.stop) for s in groups[0].segments])
        steps = self.clock(series, item).step
        blank = np.nan if np.dtype(declared.dtype).kind == "f" else 0
        shape = declared.shape_of(item) if item is not None else (len(declared.items), *declared.shape)
        size = len(steps) * prod(shape) * np.dtype(declared.dtype).itemsize
        self._check_size(size, f"all items of {series!r} in one array: ask for one of {_some(declared)}")
        values = np.full((len(steps), *shape), blank, declared.dtype)
        for group in groups:
            for s in group.segments:
                values[np.ix_(np.searchsorted(steps, s.steps), group.places)] = s.read(s.start, s.stop)
        return values

    def __getitem__(self, name: str) -> Recorded:
        """A series by name, or a scalar by its own: run["loss"].

        Of items that may differ in shape the only one, where there is one: run["probe_input"].values.
        """
        if (s := self.series.get(name)) is not None:
            return Recorded(self, name, s.items[0] if s.ragged and len(s.items) == 1 else None)
        for s in self.series.values():
            if s.kind is Kind.SCALAR and name in s.items:
                return Recorded(self, s.name, name, doc=self.doc_of(s.name, name))
        raise self._unknown(name)

    def __contains__(self, name: object) -> bool:
        return name in self.series or any(s.kind is Kind.SCALAR and name in s.items for s in self.series.values())

    def __iter__(self) -> Iterator[str]:
        return iter(self.series)

    def __len__(self) -> int:
        return len(self.series)

    def __repr__(self) -> str:
        rows = f"{self.steps} steps" if self._any_rows else "no steps yet"
        return f"<Run {self.name!r}: {self.state}, {rows}, {len(self.series)} series: {', '.join(self.series)}>"

    # -- following ----------------------------------------------------------------------------------------------

    def refresh(self) -> bool:
        """Look for new rows; True if there is anything new."""
        new = True  # also where looking fails: what was found may be gone
        try:
            new = self._volumes.refresh()
        finally:
            if new:
                self._forget()
        return new

    def close(self) -> None:
        self._volumes.close()
        self._forget()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # -- inside -------------------------------------------------------------------------------------------------

    def _forget(self) -> None:
        self._series, self._events, self._cache, self._epochs = None, None, {}, None

    @property
    def _any_rows(self) -> bool:
        return any(v.visible(axis) for v in self.volumes for axis in v.axes)

    def _last(self, column: str) -> float:
        axes = [(v, axis, v.visible(axis)) for v in self.volumes for axis in v.axes]
        return max((v.clock_entry(axis, column, rows - 1) for v, axis, rows in axes if rows), default=0.0)

    def _declared(self, series: str) -> Series:
        try:
            return self.series[series]
        except KeyError:
            raise self._unknown(series) from None

    def _unknown(self, name: str) -> NotRecordedError:
        known = [*self.series, *(i for s in self.series.values() if s.kind is Kind.SCALAR for i in s.items)]
        near = difflib.get_close_matches(str(name), known, n=3)
        hint = (
            f"did you mean {' or '.join(map(repr, near))}?" if near else f"it has {', '.join(known) or 'nothing yet'}"
        )
        return NotRecordedError(f"{name!r} was not recorded in run {self.name!r}; {hint}")

    def _groups(self, series: str, item: str | None) -> list[Group]:
        """Where the rows of a series, or of one item, are."""
        key = (series, item)
        if key not in self._cache:
            declared = self._declared(series)
            if item is not None and item not in declared.items:
                near = difflib.get_close_matches(item, declared.items, n=3) or list(declared.items[:3])
                raise NotRecordedError(f"{series!r} has no item {item!r}; near are {', '.join(map(repr, near))}")
            self._cache[key] = groups_of(self.volumes, declared, item)
        return self._cache[key]

    def _row_bytes(self, series: str, item: str, part: tuple[int, int] | None) -> int:
        """Of a row of an item, or of a part of it."""
        declared = self._declared(series)
        shape = declared.shape_of(item)
        if part is not None:
            shape = (max(0, min(part[1], shape[0]) - max(part[0], 0)), *shape[1:])
        return max(1, prod(shape) * np.dtype(declared.dtype).itemsize)

    def _check_size(self, size: int, what: str) -> None:
        """Raise NotRecordedError where that takes much more memory than the run takes of the disk."""
        if size > max(ROWS_BYTES, GAIN * allocated_to(self.path)):
            raise NotRecordedError(f"{self.name!r}: {size >> 20:,} MiB are too much to read {what}")

    @staticmethod
    def _rows_within(groups: Sequence[Group], window: Window) -> int:
        spans = [[s.bounds(window.lo, window.hi) for s in group.segments] for group in groups]
        return max((sum(b - a for a, b in span) for span in spans), default=0)

    def _x(self, series: str, item: str | None, steps: np.ndarray, window: Window) -> np.ndarray:
        if window.x == "step" or not len(steps):
            return steps.astype(np.float64)
        if window.x == "time":
            clock = self.clock(series, item)
            return np.interp(steps, clock.step, clock.time) - self.started
        return self.epoch_of(steps)

    def epoch_of(self, steps: np.ndarray) -> np.ndarray:
        """Steps as fractions of epochs: e exactly where e epochs are complete, linear between.

        The unfinished last epoch is taken to be as long as the one before; it never reaches its end.
        """
        if self._epochs is None:
            self._epochs = epoch_knots(self.volumes, self.last_step)
        at, epoch = self._epochs
        return np.interp(steps, at, epoch)


def _some(s: Series) -> str:
    shown = ", ".join(map(repr, s.items[:3]))
    return shown + (f" and {len(s.items) - 3} more" if len(s.items) > 3 else "")
