"""What is in a run: kinds, series, events and states, as declared before anything is written.

A run holds *series*. Each series is recorded on an *axis* (one schedule: its own steps, epochs and times) for
a fixed list of *items* (tensors, layers, scalars, ...). One row of a series has the shape (item, *shape).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import prod

import numpy as np

FLIGHT = "flight"  # the axis of what is written only at an anomaly: the steps before it
FORMAT = 1  # the number in the file; a reader refuses a higher one


class Kind(StrEnum):
    """How a series is drawn by default; nothing else depends on it."""

    SCALAR = "scalar"  # items are names of numbers: loss, learning_rate
    PER_ITEM = "per_item"  # one number a tensor or layer
    VECTOR = "vector"  # (unit,)
    DISTRIBUTION = "distribution"  # (bin,) counts: underflow, bins between `edges`, overflow, NaN
    MATRIX = "matrix"  # (row, column)
    SIGN_MAP = "sign_map"  # 2 bits a parameter
    POINTS = "points"  # (point, 2 or 3)
    IMAGE = "image"  # (height, width) or (height, width, 3)
    TRACE = "trace"  # (chain, draw)
    RAW = "raw"  # any shape, exact
    TABLE = "table"  # fixed columns


class State(StrEnum):
    """What became of the process that recorded the run."""

    RECORDING = "recording"  # its heart still beats
    DONE = "done"  # the block was left normally
    FAILED = "failed"  # the block was left by an exception
    KILLED = "killed"  # it stopped without a word
    DAMAGED = "damaged"  # it cannot be opened


@dataclass(frozen=True)
class Series:
    """The declaration of one recorded quantity.

    A row has the shape (item, *shape); where items differ in shape, `ragged` gives one shape an item and a row is a
    sequence of arrays. `axis` names the schedule and is filled in by the recorder. NaN means "not defined here".
    """

    name: str
    kind: Kind
    unit: str  # "loss / weight", "1" for pure numbers, "" where unknown
    doc: str  # one sentence, shown as caption
    items: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    dims: tuple[str, ...] = ()  # names of the dimensions in `shape`
    dtype: str = "float32"
    item_dim: str = "item"  # "tensor", "layer", "scalar", ...
    axis: str = ""
    instrument: str = ""  # who measures and draws it
    edges: tuple[float, ...] = ()  # bin edges of a DISTRIBUTION
    columns: tuple[str, ...] = ()  # of a TABLE
    ragged: tuple[tuple[int, ...], ...] = ()
    between: bool = False  # measured between two updates (a probe, the numbers of an epoch), not in an iteration

    def shape_of(self, item: str) -> tuple[int, ...]:
        """The shape of one row of one item."""
        return self.ragged[self.items.index(item)] if self.ragged else self.shape

    @property
    def row_bytes(self) -> int:
        """Bytes of one row over all items."""
        numbers = sum(prod(s) for s in self.ragged) if self.ragged else len(self.items) * prod(self.shape)
        return numbers * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Event:
    """Something that happened once: a phase, a checkpoint, a health finding, an instrument switched off."""

    kind: str  # "phase", "checkpoint", "health", "anomaly", "warning", "note", or of what was left out (left_out.py)
    text: str
    step: int
    epoch: int
    time: float  # seconds since 1970, UTC


@dataclass(frozen=True)
class Clock:
    """When the rows of one axis were recorded.

    A row at step t describes the network after t updates: gradients of step t are those at the weights w_t.
    """

    step: np.ndarray  # (row,) int64
    epoch: np.ndarray  # (row,) int64, epochs completed
    time: np.ndarray  # (row,) float64, seconds since 1970

    def __len__(self) -> int:
        return len(self.step)


def row_dtype(series: Sequence[Series]) -> np.dtype:
    """The packed structured dtype of one row of an axis: step, epoch, time, then each series' numbers.

    It is the one truth about layout: a log record's payload is one such row, and the writer's buffer is an array
    of them. A ragged series has one field an item, named "<series>/<position>".
    """
    fields: list[tuple[str, str] | tuple[str, str, tuple[int, ...]]] = [
        ("step", "<i8"),
        ("epoch", "<i8"),
        ("time", "<f8"),
    ]
    for s in series:
        code = np.dtype(s.dtype).newbyteorder("<").str
        if s.ragged:
            fields += [(f"{s.name}/{i}", code, shape) for i, shape in enumerate(s.ragged)]
        else:
            fields.append((s.name, code, (len(s.items), *s.shape)))
    return np.dtype(fields)
