"""How does a training step survive a SIGKILL? It is appended to a log before anything else happens to it.

A log holds the rows of one block of one axis as frames of one size:

    magic u32 | length u32 | CRC-32 u32 of all that follows | position in the block u32 | the row (schema.row_dtype)

The block in memory *is* the log: the same bytes, so that a row is written by one pwrite and needs no second copy.
A reader takes the longest whole prefix; a torn or damaged frame ends it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import threading
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recorder.runfile.guard import read_inside

MAGIC = 0x50534C31  # "1LSP"
LARGEST = 16 << 20  # bytes of a log that are read; a block has 4 MiB, or one row
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})  # what an open file survives: it goes on once there is
_HEAD = 12  # bytes before what the CRC covers
_CRC = _POSITION = struct.Struct("<I")


def frame_dtype(row: np.dtype) -> np.dtype:
    """One frame of the log."""
    return np.dtype([("magic", "<u4"), ("length", "<u4"), ("crc", "<u4"), ("position", "<u4"), ("row", row)])


def _blank(row: np.dtype) -> bytes:
    """The bytes of a frame whose every float is NaN and every other number 0."""
    frame = np.zeros(1, frame_dtype(row))
    frame["magic"], frame["length"] = MAGIC, row.itemsize
    for name in row.names or ():
        if row[name].base.kind in "fc":
            frame["row"][name] = np.nan
    return frame.tobytes()


def _numbers(row: np.dtype) -> struct.Struct | None:
    """How to pack a frame of one series of float64, as scalars are: numpy is slow where the caches are cold."""
    names = row.names or ()
    base, shape = (row[names[-1]].base, row[names[-1]].shape) if len(names) == 4 else (None, ())
    return struct.Struct(f"<4I2qd{shape[0]}d") if base == np.float64 and len(shape) == 1 else None


class Block:
    """The newest rows of one axis, in memory and in their log; `rows` is an array view of those appended so far.

    `append` never raises for a disk that fails: `logged` then stays behind `count` and the next append tries again.
    """

    def __init__(self, path: Path, row: np.dtype, *, first: int, capacity: int) -> None:
        frame = frame_dtype(row)
        self.path = path
        self.first = first
        self.capacity = capacity
        self.count = 0
        self.logged = 0
        self.synced = 0
        self.error: OSError | None = None
        self._size = frame.itemsize
        self._frames = frames = np.zeros(capacity, frame)
        self._memory = frames.view(np.uint8).data
        self._blank = _blank(row)
        self._length = row.itemsize
        self._numbers = _numbers(row)
        self._rows = frames["row"]
        self.fields = {name: self._rows[name] for name in row.names or ()}
        self._fd = -1

    @property
    def rows(self) -> np.ndarray:
        return self._rows[: self.count]

    @property
    def nbytes(self) -> int:
        return self.count * self._size

    @property
    def full(self) -> bool:
        return self.count == self.capacity

    def blank(self) -> int:
        """Prepare the next row, all NaN and 0, and return its place in `fields`; it counts only once `append`ed."""
        k = self.count
        self._memory[k * self._size : (k + 1) * self._size] = self._blank
        _POSITION.pack_into(self._memory, k * self._size + _HEAD, k)
        return k

    def fill(self, row: tuple[Any, ...]) -> None:
        """Prepare the next row from step, epoch, time and a value for each series: faster than one by one."""
        k = self.count
        if self._numbers is None:
            self._frames[k] = MAGIC, self._length, 0, k, row
        else:
            step, epoch, time, numbers = row
            self._numbers.pack_into(
                self._memory, k * self._size, MAGIC, self._length, 0, k, step, epoch, time, *numbers
            )

    def append(self) -> None:
        """Seal the prepared row and write it out."""
        start = self.count * self._size
        frame = self._memory[start : start + self._size]
        _CRC.pack_into(frame, _HEAD - _CRC.size, zlib.crc32(frame[_HEAD:]))
        self.count += 1
        self.write()

    def write(self) -> None:
        """Bring the log up to date; what cannot be written stays in memory and in `error`."""
        start, stop = self.logged * self._size, self.count * self._size
        if 0 < start == stop:
            return
        try:
            if self._fd < 0:  # for the first time, or once more from the beginning
                self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            while start < stop:  # a full disk writes a part and fails at the next turn
                start += os.pwrite(self._fd, self._memory[start:stop], start)
            self.logged, self.error = self.count, None
            if self.full:  # hundreds of them may wait for HDF5, and a process has few descriptors
                self.close()
        except OSError as error:
            self.error = error
            if error.errno not in NO_ROOM:
                self._forget()

    def sync(self, guard: threading.Condition) -> None:
        """See to it that other machines see the log, too; `guard` is not held while that takes its time."""
        with guard:
            if self._fd < 0 or self.synced == self.logged:
                return
            fd, logged = os.dup(self._fd), self.logged
        try:
            os.fsync(fd)
            self.synced = logged
        except OSError as error:  # some file systems say only here that there was no room
            with guard:
                self.error = error
                self._forget()
        finally:
            os.close(fd)

    def keep(self) -> None:
        """Write the log again if its file is gone, or no longer the one that was written."""
        try:
            there = os.stat(self.path).st_size >= self.logged * self._size
            if self._fd >= 0:
                there &= os.path.samestat(os.stat(self.path), os.fstat(self._fd))
        except OSError:
            there = False
        if not there:
            self._forget()
        self.write()

    def move(self, path: Path, first: int) -> Path:
        """Go on as another log; the old name, which is returned, is to be removed when all others have moved, too."""
        old, self.path, self.first = self.path, path, first
        try:
            try:
                os.link(old, path)
            except OSError:  # no links here
                os.rename(old, path)
        except OSError:
            self._forget()
            self.write()
        return old

    def close(self) -> None:
        if self._fd >= 0:
            with contextlib.suppress(OSError):  # NFS tells here what could not be written
                os.close(self._fd)
            self._fd = -1

    def discard(self) -> None:
        """Close and unlink the log: its rows are safe elsewhere."""
        self.close()
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _forget(self) -> None:
        """Nothing counts as logged."""
        self.close()
        self.logged = self.synced = 0


def whole_prefix(data: bytes, row: np.dtype, position: int = 0) -> np.ndarray:
    """The rows of the longest valid prefix of `data`, whose first frame should be the one at `position`."""
    frame = frame_dtype(row)
    count = len(data) // frame.itemsize
    frames = np.frombuffer(data, frame, count)
    ok = (frames["magic"] == MAGIC) & (frames["length"] == row.itemsize)
    ok &= frames["position"] == np.arange(position, position + count)
    memory = memoryview(data)
    for k in range(count):
        if not ok[k] or zlib.crc32(memory[k * frame.itemsize + _HEAD : (k + 1) * frame.itemsize]) != frames["crc"][k]:
            return frames["row"][:k]
    return frames["row"]


class Tail:
    """The reader's side: the rows of one axis that are in its logs, kept up to date by `refresh`.

    `first` is the number of the first of them; `rows` is their array.
    """

    def __init__(self, row: np.dtype) -> None:
        self._row = row
        self._logs: dict[int, np.ndarray] = {}
        self.first = 0
        self.rows = np.zeros(0, row)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def stop(self) -> int:
        return self.first + len(self.rows)

    def refresh(self, logs: Mapping[int, Path]) -> int | None:
        """Read what is new in the logs, given by first row; the first row of the last that went meanwhile.

        What was committed first is found below `committed` by `join`; what was not is in another volume now.
        """
        known: dict[int, np.ndarray] = {}
        gone: int | None = None
        for first, path in sorted(logs.items()):
            rows = self._logs.get(first, np.zeros(0, self._row))
            if not len(rows) or first + len(rows) not in logs:  # where another follows it, it is full
                try:
                    size = frame_dtype(self._row).itemsize
                    data = read_inside(path, start=len(rows) * size, most=max(LARGEST, size))
                    new = whole_prefix(data, self._row, len(rows))
                except FileNotFoundError:
                    gone = first
                    continue
                rows = np.concatenate([rows, new]) if len(new) else rows
            known[first] = rows
        self._logs = known
        return gone

    def join(self, committed: int) -> None:
        """Keep the unbroken chain of logs that carries on from row `committed`; what is before it is in the file."""
        chain: list[np.ndarray] = []
        start = stop = 0
        for first, rows in self._logs.items():
            if first != stop or not chain:
                if first > committed:  # rows are missing before this log: a whole prefix ends here
                    break
                chain, start, stop = [], first, first
            chain.append(rows)
            stop += len(rows)
        if stop < committed:
            chain = []
        self.first = start
        self.rows = chain[0] if len(chain) == 1 else np.concatenate(chain) if chain else np.zeros(0, self._row)
