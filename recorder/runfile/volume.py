"""How does a volume lie in HDF5? Created whole, then only grown, in whole chunks.

    /axes/<axis>/step, epoch, time, committed      when rows were recorded, and how many of them are valid
    /<series>/values  (row, item, *shape)          or one dataset an item, /<series>/<item>, where shapes differ
    /<series>/<item_dim>, level, edges             the items' names, its level, the bin edges
    /layerscope/series, meta, status               JSON: the declaration

A volume is an HDF5 group: the root of a file while it is recorded, /parts/NNNN of a packed run.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from recorder.runfile.declaration import Declaration, Status, meta_json, series_json, status_json
from recorder.runfile.guard import own_version
from recorder.runfile.layout import (
    BLOCK_BYTES,
    BLOCK_ROWS,
    BUCKET,
    CLOCK,
    block_rows,
    chunk_limit,
    chunk_shape,
    has_level,
    is_packed,
    item_key,
    level_chunk,
    level_dtype,
)
from recorder.runfile.level import Level
from recorder.runfile.schema import FORMAT, Series, row_dtype

CLOCK_UNITS = {"step": "1", "epoch": "1", "time": "seconds since 1970-01-01T00:00:00Z"}
CLOCK_DTYPE = {"step": "i8", "epoch": "i8", "time": "f8"}
NO_VARIABLE = b"This is a netCDF dimension but not a netCDF variable."


@dataclass
class _Axis:
    """The datasets of one axis."""

    clock: dict[str, h5py.Dataset]
    committed: h5py.Dataset
    values: dict[str, h5py.Dataset]  # field of the row -> where it goes
    levels: dict[str, tuple[h5py.Dataset, Level]]
    count: int = 0


def new_file(path: str, volumes: Mapping[str, Declaration], *, block_bytes: int = BLOCK_BYTES) -> h5py.File:
    """A new file of empty volumes, by the names of their groups ("/", "parts/0001"), open for writing.

    h5py 3.11 and later read its form. It never replaces a file, and is made in memory and written at once: a disk that
    is full then costs an OSError, while HDF5 itself crashes the process over a file that it could not finish.
    """
    form: dict[str, Any] = {"libver": ("v110", "v110")}
    image = io.BytesIO()  # the core driver's image has a wrong checksum before HDF5 2.0
    with h5py.File(image, "w", track_order=False, **form) as memory:
        memory.attrs["format"] = FORMAT
        memory.attrs["layerscope"] = np.bytes_(own_version())
        memory.attrs["Conventions"] = np.bytes_("CF-1.11")
        for name, declaration in volumes.items():
            _create(memory.require_group(name), declaration, block_bytes)
    left = image.getbuffer()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        while left:
            left = left[os.write(fd, left) :]
        os.fsync(fd)
    finally:
        os.close(fd)
    # No chunk cache: chunks are written whole, and hundreds of datasets would each keep theirs.
    return h5py.File(path, "r+", locking=False, rdcc_nbytes=0, **form)


def abandon(file: h5py.File) -> None:
    """Let go of a file that could not be written. It stays as it is, readable up to what was committed.

    HDF5 tries again when a file is closed and when the process ends, and crashes it where that fails. So what it still
    wants to write goes nowhere.
    """
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    with contextlib.suppress(Exception):
        os.dup2(nowhere, int(file.id.get_vfd_handle()), inheritable=False)
    os.close(nowhere)
    with contextlib.suppress(Exception):
        file.close()


class Volume:
    """The writing side of one volume that was created empty: from here on it only grows (SWMR allows no more)."""

    def __init__(self, group: h5py.Group, declaration: Declaration, *, sync: bool = False) -> None:
        self.group = group
        self._sync = sync
        self._status = group["layerscope/status"]
        self._axes = {axis: _opened(group, axis, series) for axis, series in declaration.axes.items()}

    def count(self, axis: str) -> int:
        """Rows committed on an axis."""
        return self._axes[axis].count

    def commit(self, axis: str, rows: np.ndarray) -> None:
        """Add rows (of the axis' row_dtype) behind those committed; safe to repeat after a failure.

        The order is the promise to readers: data, flush, count, flush. With an fsync before the count it is one to
        those after a power cut too: its rows are there, while a chunk never written reads as rows of nothing. With one
        after it, their log is needed no more.
        """
        into = self._axes[axis]
        start, stop = into.count, into.count + len(rows)
        for name, dataset in (*into.clock.items(), *into.values.items()):
            dataset.resize(stop, axis=0)
            dataset[start:stop] = np.ascontiguousarray(rows[name])
        levels = {}
        for name, (dataset, level) in into.levels.items():
            entries, level = level.extended(rows[name]).whole(dataset.chunks[0])
            if entries is not None:
                first = level.written - len(entries)
                dataset.resize(level.written, axis=0)
                dataset.dims[0][0].resize(level.written, axis=0)
                dataset[first:] = entries
            levels[name] = (dataset, level)
        file = self.group.file
        file.flush()
        if self._sync:
            os.fsync(self.descriptor)
        into.committed[()] = stop
        file.flush()
        if self._sync:
            os.fsync(self.descriptor)
        into.count, into.levels = stop, levels

    @property
    def descriptor(self) -> int:
        """The file descriptor of its file."""
        return int(self.group.file.id.get_vfd_handle())

    def is_at(self, path: Path) -> bool:
        """Whether its file is (still) the one at `path`."""
        try:
            return os.path.samestat(os.stat(path), os.fstat(self.descriptor))
        except OSError:
            return False

    def seal(self, status: Status) -> None:
        """Say how it ended, and close its file; on the disk when this returns."""
        self._status[:] = np.frombuffer(status_json(status), np.uint8)
        self.group.file.flush()
        fd = os.dup(self.descriptor)
        try:
            os.fsync(fd)
            self.group.file.close()
            os.fsync(fd)  # closing writes once more
        finally:
            os.close(fd)


def _opened(group: h5py.Group, axis: str, series: tuple[Series, ...]) -> _Axis:
    place = group["axes"][axis]
    values: dict[str, h5py.Dataset] = {}
    for s in series:
        if s.ragged:
            values |= {f"{s.name}/{k}": group[s.name][item_key(item)] for k, item in enumerate(s.items)}
        else:
            values[s.name] = group[s.name]["values"]
    levels = {s.name: (group[s.name]["level"], Level()) for s in series if has_level(s)}
    return _Axis({name: place[name] for name in CLOCK}, place["committed"], values, levels)


def _create(group: h5py.Group, declaration: Declaration, block_bytes: int) -> None:
    """Every dataset, attribute and scale."""
    own = group.create_group("layerscope")
    own.attrs["format"] = FORMAT
    own.create_dataset("series", data=np.frombuffer(series_json(declaration.series), np.uint8))
    own.create_dataset("meta", data=np.frombuffer(meta_json(declaration.meta), np.uint8))
    own.create_dataset("status", data=np.frombuffer(status_json(declaration.status), np.uint8))
    for axis, series in declaration.axes.items():
        _create_axis(group, axis, series, block_bytes)


def _create_axis(group: h5py.Group, axis: str, series: tuple[Series, ...], block_bytes: int) -> None:
    rows = block_rows(row_dtype(series).itemsize, block_bytes)
    place = group.create_group(f"axes/{axis}")
    clock = {
        name: place.create_dataset(name, (0,), CLOCK_DTYPE[name], maxshape=(None,), chunks=(rows,), fletcher32=True)
        for name in CLOCK
    }
    clock["step"].make_scale("step")
    for name, dataset in clock.items():
        dataset.attrs["units"] = np.bytes_(CLOCK_UNITS[name])
        if name != "step":
            dataset.dims[0].attach_scale(clock["step"])
    place.create_dataset(
        "committed", data=np.uint64(0)
    )  # has its place from the start: readers know how far the file went
    for s in series:
        home = group.create_group(s.name)
        for name, dataset in clock.items():
            home[name] = dataset  # the same dataset once more, where xarray looks for coordinates
        if s.ragged:
            keys = dict.fromkeys(map(item_key, s.items))
            for key, shape in zip(keys, s.ragged, strict=True):
                _create_values(home, s, key, shape, rows, (), taken=keys)
        else:
            names = _create_items(home, s)
            _create_values(home, s, "values", (len(s.items), *s.shape), rows, (names,))
        if s.edges:
            home.create_dataset("edges", data=np.array(s.edges, "f8")).make_scale("edges")
        if has_level(s):
            chunk = level_chunk(len(s.items))
            level = home.create_dataset(
                "level", (0, 4, len(s.items)), level_dtype(s), maxshape=(None, 4, len(s.items)), chunks=chunk,
                fletcher32=True, fillvalue=np.nan,
            )  # fmt: skip
            level.attrs["rows"] = BUCKET
            _attach(level, [_dimension(home, "bucket", None), _dimension(home, "min_mean_max_nonfinite", 4), names])


def _create_items(home: h5py.Group, s: Series) -> h5py.Dataset:
    texts = [item.encode("utf-8", "replace") for item in s.items]
    width = max([1, *map(len, texts)])
    name = s.item_dim if s.item_dim not in (*CLOCK, "values", "level", "edges", "") else "item"
    dataset = home.create_dataset(name, data=np.array(texts, f"S{width}"))
    dataset.make_scale(name)
    return dataset


def _create_values(
    home: h5py.Group,
    s: Series,
    key: str,
    shape: tuple[int, ...],
    block: int,
    scales: tuple[h5py.Dataset, ...],
    *,
    taken: Collection[str] = (),
) -> None:
    dtype = np.dtype(s.dtype).newbyteorder("<")
    packed: dict[str, Any] = {}
    if is_packed(s):
        packed = {"compression": "gzip", "compression_opts": 1, "shuffle": dtype.kind != "S"}
    dataset = home.create_dataset(
        key, (0, *shape), dtype, maxshape=(None, *shape), fletcher32=True,
        chunks=chunk_shape(shape, dtype.itemsize, block=block, items=not s.ragged, limit=chunk_limit(s)),
        fillvalue=np.nan if dtype.kind in "fc" else None, **packed,
    )  # fmt: skip
    if s.unit:
        dataset.attrs["units"] = np.bytes_(s.unit.encode())
    dataset.attrs["long_name"] = np.bytes_(s.doc.encode("utf-8", "replace"))
    dataset.attrs["coordinates"] = np.bytes_("epoch time")
    rest = shape[len(scales) :]
    dims = s.dims if len(s.dims) == len(rest) and not s.ragged else tuple(f"{key}_{k}" for k in range(len(rest)))
    _attach(dataset, [home["step"], *scales, *(_dimension(home, d, n, taken) for d, n in zip(dims, rest, strict=True))])


def _dimension(home: h5py.Group, name: str, size: int | None, taken: Collection[str] = ()) -> h5py.Dataset:
    """A dimension without coordinates (None: one that grows); under another name where this one is taken.

    `taken` are names that come later: the dimension "dense_1" of the layer "dense" would be in the way of the next one.
    """
    while name in home or name in taken:
        name += "_"
    if size is None:
        dataset = home.create_dataset(name, (0,), "f4", maxshape=(None,), chunks=(BLOCK_ROWS,))
    else:
        dataset = home.create_dataset(name, (size,), "f4")
    dataset.make_scale(NO_VARIABLE + b"%10d" % (size or 0))
    return dataset


def _attach(dataset: h5py.Dataset, scales: list[h5py.Dataset]) -> None:
    for dimension, scale in zip(dataset.dims, scales, strict=True):
        dimension.attach_scale(scale)
