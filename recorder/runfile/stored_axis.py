"""How many rows of one axis are there, in HDF5 and in its logs, and when were they recorded?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import numpy as np

from recorder.runfile.layout import CLOCK
from recorder.runfile.log import Tail
from recorder.runfile.schema import Series, row_dtype

Read = Callable[[int, int], np.ndarray]  # rows start..stop of a clock column, from the file


class StoredAxis:
    """The rows of one axis in one volume: those before `split` are read from HDF5, the others from the log."""

    def __init__(self, series: tuple[Series, ...], count_in_file: h5py.Dataset | None) -> None:
        self.series = series
        self.tail = Tail(row_dtype(series))
        self.committed = 0
        self.count = 0
        self._count_in_file = count_in_file
        self._columns = {name: np.zeros(0, "f8" if name == "time" else "i8") for name in CLOCK}
        self._room = dict(self._columns)  # what the columns are cut from
        self._stored = dict.fromkeys(CLOCK, 0)  # how much of a column came from HDF5, and so is final

    @property
    def split(self) -> int:
        return min(self.tail.first, self.count) if len(self.tail) else self.count

    def refresh(self, logs: Mapping[int, Path]) -> bool:
        """Whether there are new rows; FileNotFoundError where some have gone into another file meanwhile."""
        before = self.count
        gone = self.tail.refresh(logs)
        if self._count_in_file is not None:
            self._count_in_file.refresh()
            self.committed = max(self.committed, int(self._count_in_file[()]))
        self.tail.join(self.committed)
        self.count = max(self.committed, self.tail.stop if len(self.tail) else 0)
        if self.count < before or (gone is not None and gone >= self.committed):
            raise FileNotFoundError("rows went into a file that was not there a moment ago")
        return self.count != before

    def column(self, name: str, read: Read) -> np.ndarray:
        """(row,) all steps, epochs or times; what was read once is kept."""
        known, split = self._stored[name], self.split
        if len(self._columns[name]) != self.count or known < split:
            pieces = [read(known, split)] if split > known else []
            if len(self.tail):
                pieces.append(self.tail.rows[name][split - self.tail.first : self.count - self.tail.first])
            self._columns[name] = self._extended(name, known, pieces)
            self._stored[name] = max(known, split)
        return self._columns[name]

    def entry(self, name: str, row: int, read: Read) -> float:
        """One of them, without the others."""
        if row < len(self._columns[name]):
            return float(self._columns[name][row])
        if row >= self.split:
            return float(self.tail.rows[name][row - self.tail.first])
        return float(read(row, row + 1)[0])

    def _extended(self, name: str, known: int, pieces: list[np.ndarray]) -> np.ndarray:
        """The first `known` entries of a column and the pieces behind them.

        There is room to spare, so that following a run does not copy the whole column each second. Who holds an
        earlier column keeps it: what is written again is the same.
        """
        total = known + sum(map(len, pieces))
        room = self._room[name]
        if total > len(room):
            self._room[name] = np.empty(total + total // 4, room.dtype)
            self._room[name][:known] = room[:known]
            room = self._room[name]
        at = known
        for piece in pieces:
            room[at : at + len(piece)] = piece
            at += len(piece)
        return room[:total]
