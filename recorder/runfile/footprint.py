"""How many bytes will rows take in HDF5, before any of them is written?

Chunks are written whole, so a dataset grows in steps of all chunks side by side: 200 float32 numbers a row cost 850 kB
at the first row, and nothing more up to row 1,024. Levels grow by whole chunks behind the rows. What gzip packs is
counted in full.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from recorder.runfile.layout import (
    BLOCK_BYTES,
    BUCKET,
    CHUNK_LIMIT,
    CLOCK,
    block_rows,
    chunk_limit,
    chunk_shape,
    has_level,
    is_packed,
    level_chunk,
    level_dtype,
)
from recorder.runfile.schema import Series, row_dtype

VOLUME = 14_000  # bytes of a volume without a row: groups, the declaration, the axis of events
DATASET = 1_800  # of a dataset without a row, with its attributes and scales
NAMED = 3  # of each letter of an item's name: in its dimension and in the declaration
CHECKSUM = 4  # Fletcher-32, of each chunk
INDEX = 24  # of each chunk, where HDF5 notes where it lies


@dataclass(frozen=True)
class Grid:
    """A dataset along its rows: every `rows` of them take `bytes`, all chunks side by side."""

    rows: int
    bytes: int
    late: bool = False  # written behind its rows (a level), not ahead of them

    def size(self, rows: int) -> int:
        return (rows // self.rows if self.late else -(-rows // self.rows)) * self.bytes


@dataclass(frozen=True)
class Footprint:
    """What the rows of one axis take in one volume."""

    header: int = 0  # bytes without a row
    plain: tuple[Grid, ...] = ()
    packed: tuple[Grid, ...] = ()  # at most, before compression

    def size(self, rows: int) -> int:
        """Bytes of so many rows; of what is packed, the most that it can take."""
        return self.header + sum(grid.size(rows) for grid in (*self.plain, *self.packed))

    @property
    def row(self) -> float:
        """Bytes that a row adds in the long run."""
        return _row(self.plain) + _row(self.packed)

    @property
    def packed_row(self) -> float:
        """The part of `row` that gzip makes smaller."""
        return _row(self.packed)


def footprints(series: Iterable[Series]) -> dict[str, Footprint]:
    """The footprint of each axis."""
    axes: dict[str, list[Series]] = {}
    for s in series:
        axes.setdefault(s.axis, []).append(s)
    return {axis: footprint(together) for axis, together in axes.items()}


def footprint(series: Sequence[Series], *, block_bytes: int = BLOCK_BYTES) -> Footprint:
    """The footprint of an axis that holds these series."""
    block = block_rows(row_dtype(()).itemsize + sum(s.row_bytes for s in series), block_bytes)
    plain = [_grid((), np.dtype("f8"), block, items=False, limit=CHUNK_LIMIT)] * len(CLOCK)
    packed: list[Grid] = []
    datasets, names = len(CLOCK), 0
    for s in series:
        dtype = np.dtype(s.dtype)
        shapes = s.ragged if s.ragged else ((len(s.items), *s.shape),)
        (packed if is_packed(s) else plain).extend(
            _grid(shape, dtype, block, items=not s.ragged, limit=chunk_limit(s)) for shape in shapes
        )
        datasets += len(shapes) + 1
        names += len(s.items) * max(map(len, s.items), default=0)
        if has_level(s):
            chunk = level_chunk(len(s.items))
            across = -(-len(s.items) // chunk[2])
            plain.append(Grid(chunk[0] * BUCKET, _chunks(across, chunk, level_dtype(s)), late=True))
            datasets += 1
    return Footprint(datasets * DATASET + NAMED * names, tuple(plain), tuple(packed))


def _grid(shape: tuple[int, ...], dtype: np.dtype, block: int, *, items: bool, limit: int) -> Grid:
    chunk = chunk_shape(shape, dtype.itemsize, block=block, items=items, limit=limit)
    return Grid(chunk[0], _chunks(prod(-(-n // c) for n, c in zip(shape, chunk[1:], strict=True)), chunk, dtype))


def _chunks(count: int, chunk: tuple[int, ...], dtype: np.dtype) -> int:
    return count * (prod(chunk) * dtype.itemsize + CHECKSUM + INDEX)


def _row(grids: Sequence[Grid]) -> float:
    return sum(grid.bytes / grid.rows for grid in grids)
