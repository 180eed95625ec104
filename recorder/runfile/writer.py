"""How does a run get onto disk without training ever waiting for it, or losing a step to a SIGKILL?

The training thread appends rows to logs (`runfile.log`) and keeps them in memory; when it returns, the row is
acknowledged. One writer thread owns HDF5: it moves full blocks there, syncs them and removes their logs.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from recorder.errors import InstrumentError, RecordError, RunExistsError
from recorder.runfile.declaration import Status, event_row, write_sidecar
from recorder.runfile.fork import OpenFiles
from recorder.runfile.guard import open_checked
from recorder.runfile.layout import BLOCK_BYTES, log_path, part_of, run_paths, sidecar_path, volume_path
from recorder.runfile.lock import HEARTBEAT, Lock, alive, holder, take
from recorder.runfile.log import Block
from recorder.runfile.pack import fold
from recorder.runfile.part import Cell, Homes, Part, PartAxis, check_declaration
from recorder.runfile.schema import Event, Series, State
from recorder.runfile.volume import Volume, new_file

PENDING_BYTES = 64 << 20  # rows that may wait for the disk
PACK_BYTES = 256 << 20  # a run in parts below this is packed when it is closed


class RunWriter:
    """Writes one run. Only mistakes at the door raise; a disk that fails later is told in `problem`."""

    def __init__(
        self,
        path: Path | str,
        *,
        meta: Mapping[str, Any],
        block_bytes: int = BLOCK_BYTES,
        extend: bool = False,
        resumed: int | None = None,
    ) -> None:
        """Reserve `path` ("runs/mlp.h5"); `extend` adds parts to a run that is there and that nobody writes.

        Where the training itself goes on there, `resumed` is the step at which: older rows from there on are hidden.
        """
        self.path, self.folder = run_paths(path)
        self.dropped = 0
        self.problem: str | None = None
        self._meta = dict(meta)
        self._block_bytes = block_bytes
        self._status = Status(started=time.time())
        self._reached = (0, 0)  # the last step and its epoch
        self._lock = _reserve(self.path, self.folder, extend)
        self._pid = os.getpid()
        self._guard = threading.RLock()  # the training thread's side
        self._wake = threading.Condition()
        self._full: deque[tuple[Part, PartAxis, Block]] = deque()
        self._open = OpenFiles()
        self._closing = False
        self._closed = False
        self._homes = Homes()
        try:
            number = _next_number(self.path, self.folder) if extend else 0
            self._parts = [Part(number, block_bytes, resumed=resumed)]
            self._declare_on_disk(self._parts[0])
        except BaseException:
            self._lock.release()
            raise
        self._thread = threading.Thread(target=self._work, name=f"layerscope {self.path.name}", daemon=True)
        self._thread.start()

    # -- the training thread ------------------------------------------------------------------------------------

    def declare(self, *series: Series) -> None:
        """Say what will be appended; what comes after the first row goes into a part of its own."""
        if self._absent:
            return
        with self._guard:
            for s in series:
                check_declaration(s, self._parts)
                if not self._parts[-1].takes(s):
                    self._parts.append(Part(self._parts[-1].number + 1, self._block_bytes))
                self._parts[-1].add(s)
                self._homes.add(s, self._parts[-1])

    def learn(self, meta: Mapping[str, Any]) -> None:
        """Parts that begin from now on say this, too, of where they come from."""
        self._meta |= meta

    def append(self, axis: str, *, step: int, epoch: int, time: float, values: Mapping[str, Any]) -> None:
        """Record one row of an axis; when this returns, a SIGKILL cannot lose it.

        `values[name]` is an array (item, *shape), a mapping item -> value (others stay NaN or 0), or for a ragged
        series a sequence or mapping of arrays. InstrumentError where it is not what was declared.
        """
        if self._absent:
            return
        with self._guard:
            where = f"at step {step}"
            for part, cells in self._homes.routed(axis, values, where).items():
                if not part.begun:
                    for earlier in self._parts[: self._parts.index(part) + 1]:
                        self._begin(earlier)
                self._append(part, part.axes[axis], cells, (step, epoch, time), where)

    def event(self, event: Event) -> None:
        """Record something that happened once."""
        if self._absent:
            return
        with self._guard:
            part = self._parts[0]
            cells = [(f"events/{k}", ..., value) for k, value in enumerate(event_row(event).values())]
            axis = part.axes["events"]
            step = max(event.step, axis.step)
            self._append(part, axis, cells, (step, event.epoch, event.time), f"event {event.kind!r}")

    def close(self, state: State = State.DONE, *, error: str = "") -> str:
        """Commit everything, seal the run and return what there is to say ("" if nothing); may be called again."""
        if self._absent:
            return self.problem or ""
        with self._guard:
            self._closed = True
            for part in self._parts:
                self._begin(part)
                for axis in part.axes.values():
                    if axis.block and axis.block.count:
                        self._full.append((part, axis, axis.block))
            step, epoch = self._reached
            self._status = replace(self._status, state=state, ended=time.time(), error=error, steps=step, epochs=epoch)
            with contextlib.suppress(OSError):
                for part in self._parts:
                    self._declare_on_disk(part)
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()
        self._lock.release()
        return self.problem or ""

    @property
    def _absent(self) -> bool:
        """Closed, or in a forked child: recording is not its business."""
        return self._closed or os.getpid() != self._pid

    def _begin(self, part: Part) -> None:
        """Put the declaration on disk, before the first row."""
        if part.begun:
            return
        part.begin()
        try:
            self._declare_on_disk(part)
        except OSError as error:
            self.problem = f"{self.folder}: {error}"
        with self._wake:
            self._wake.notify()

    def _declare_on_disk(self, part: Part) -> None:
        write_sidecar(sidecar_path(self.folder, part.number), part.declaration(self._meta, self._status))

    def _append(
        self, part: Part, axis: PartAxis, cells: Sequence[Cell], clock: tuple[int, int, float], where: str
    ) -> None:
        step, epoch, when = clock
        if step < axis.step:
            raise InstrumentError(f"axis {axis.name!r} {where}: steps go back; the last row was of step {axis.step}")
        if not self._room(axis):
            return
        block = axis.block
        if block is None:
            path = log_path(self.folder, part.number, axis.name, axis.next)
            block = axis.block = Block(path, axis.row, first=axis.next, capacity=axis.capacity)
        k, fields = block.blank(), block.fields
        try:
            for name, column, value in cells:
                fields[name][k, column] = value
        except (TypeError, ValueError, OverflowError) as error:
            raise InstrumentError(f"{name!r} {where}: {error}") from error
        fields["step"][k], fields["epoch"][k], fields["time"][k] = step, epoch, when
        block.append()
        if block.error:
            self.problem = f"{block.path}: {block.error.strerror}; rows are kept in memory"
        axis.step, axis.next = step, axis.next + 1
        self._reached = max(self._reached, (step, epoch))
        if block.full:
            axis.block = None
            with self._wake:
                self._full.append((part, axis, block))
                self._wake.notify()

    def _room(self, axis: PartAxis) -> bool:
        """Whether one more row may wait in memory."""
        if axis.block is not None or not self._full:
            return True
        with self._wake:
            while sum(block.nbytes for _, _, block in self._full) > PENDING_BYTES:
                if self.problem:
                    self.dropped += 1
                    return False
                self._wake.wait(HEARTBEAT)  # the disk is slower than training: wait rather than lose
        return True

    # -- the writer thread --------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._wake:
                if not self._closing and (self.problem or not self._due):
                    self._wake.wait(HEARTBEAT)
                closing = self._closing
            self._lock.beat()
            try:
                with self._open.lock:
                    self._commit()
                    if closing:
                        self._seal()
            except Exception as error:  # the disk is full, gone, ...: rows stay in memory and in the logs
                self.problem = f"{self.path}: {error}"
            if closing:
                return

    @property
    def _due(self) -> bool:
        return any(part.begun for part, _, _ in self._full) or any(p.begun and p.volume is None for p in self._parts)

    def _commit(self) -> None:
        for part in list(self._parts):
            if part.begun and part.volume is None:
                part.volume = self._create(part)
        while self._full:
            part, axis, block = self._full[0]
            if part.volume is None:  # an event before the first row: its volume is not declared yet
                break
            if part.volume.count(axis.name) == block.first:
                part.volume.commit(axis.name, block.rows)
            os.fsync(part.volume.descriptor)
            block.discard()
            with self._wake:
                self._full.popleft()
                self._wake.notify_all()
            self.problem = None
            self._lock.beat()

    def _create(self, part: Part) -> Volume:
        """The volume's file, which appears under its name only once readers can open it."""
        path = volume_path(self.path, part.number)
        new = self.folder / f"new-{part.number:04}.h5"
        new.unlink(missing_ok=True)
        file = new_file(str(new))
        declaration = part.declaration(self._meta, self._status)
        volume = Volume(file, declaration, block_bytes=self._block_bytes, sync=True)
        file.swmr_mode = True
        os.fsync(volume.descriptor)
        try:
            os.link(new, path)  # unlike rename, never over an existing file
        except FileExistsError:
            file.close()
            raise
        except OSError:
            os.rename(new, path)
        else:
            new.unlink()
        self._open.descriptors.add(volume.descriptor)
        return volume

    def _seal(self) -> None:
        if self._full:  # could not be committed: the logs stay, and readers read them
            return
        for part in self._parts:
            if part.volume is not None:
                descriptor = part.volume.descriptor
                part.volume.seal(part.declaration({}, self._status).status)
                self._open.descriptors.discard(descriptor)
                part.volume = None
        for part in self._parts:
            sidecar_path(self.folder, part.number).unlink(missing_ok=True)
        if self._in_parts():
            self._fold()
        self._lock.release()
        with contextlib.suppress(OSError):  # checkpoints or parts live on in it
            self.folder.rmdir()

    def _in_parts(self) -> list[Path]:
        return [entry for entry in self.folder.iterdir() if part_of(entry.name) is not None]

    def _fold(self) -> None:
        """Make one file of main file and parts where that is quick; say how otherwise."""
        size = sum(entry.stat().st_size for entry in (self.path, *self._in_parts()) if entry.exists())
        begun_here = self._parts[0].number == 0  # the main file, which somebody took away if it is not there
        if size < PACK_BYTES and (self.path.exists() or not begun_here):
            fold(self.path)
        else:
            self.problem = (
                f"the run is in {len(self._in_parts()) + 1} parts; to make one file: layerscope repair {self.path}"
            )


def _reserve(path: Path, folder: Path, extend: bool) -> Lock:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not extend and alive(folder):  # with or without its file yet
        raise _being_recorded(path, folder)
    if extend:
        if not path.exists() and not folder.exists():
            raise RecordError(f"{path}: there is no run to extend")
        folder.mkdir(exist_ok=True)
    elif path.exists():
        raise RunExistsError(
            f"{path}: a run is already there; choose another path, remove it, or continue it with resume=True. "
            "Nothing was touched"
        )
    else:
        try:
            folder.mkdir()
        except FileExistsError:
            raise RunExistsError(
                f"{folder}: a run that was cut short is there; choose another path, continue it with resume=True, or "
                f"finish it with: layerscope repair {path}. Nothing was touched"
            ) from None
    try:
        return take(folder) if extend else Lock(folder)
    except FileExistsError:  # somebody was faster
        raise _being_recorded(path, folder) from None


def _being_recorded(path: Path, folder: Path) -> RunExistsError:
    return RunExistsError(
        f"{path}: a run is being recorded by {holder(folder)}; choose another path. Nothing was touched"
    )


def _next_number(path: Path, folder: Path) -> int:
    """One above every volume of the run."""
    numbers = [n for entry in folder.iterdir() if (n := part_of(entry.name)) is not None]
    if path.exists():
        with open_checked(path) as file:
            numbers += [0, *(int(name) for name in file.get("parts", ()) if name.isdigit())]
    return max(numbers, default=-1) + 1
