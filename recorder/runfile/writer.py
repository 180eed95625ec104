"""How does a run get onto disk without training ever waiting for it, or losing a step to a SIGKILL?

The training thread appends rows to logs (`runfile.log`) and keeps them in memory; when it returns, the row is
acknowledged. Another thread (`runfile.mover`) moves full blocks into HDF5, syncs them and removes their logs.
"""

from __future__ import annotations

import contextlib
import os
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from recorder.errors import InstrumentError
from recorder.runfile import outage
from recorder.runfile.declaration import Status, event_row
from recorder.runfile.filesystem import takes_live_files
from recorder.runfile.layout import BLOCK_BYTES, log_path, run_paths
from recorder.runfile.lock import HEARTBEAT
from recorder.runfile.log import Block
from recorder.runfile.mover import Mover
from recorder.runfile.outage import Losses
from recorder.runfile.part import Cell, Homes, Part, PartAxis, check_declaration
from recorder.runfile.reservation import next_number, reserve
from recorder.runfile.schema import Event, Series, State


class RunWriter:
    """Writes one run. Only mistakes at the door raise; of a disk that fails later `news` tells."""

    def __init__(
        self,
        path: Path | str,
        *,
        meta: Mapping[str, Any],
        block_bytes: int = BLOCK_BYTES,
        extend: bool = False,
        resumed: int | None = None,
        measured: bool = False,
    ) -> None:
        """Reserve `path` ("runs/mlp.h5"); `extend` adds parts to a run that is there and that nobody writes.

        Where the training itself goes on there, `resumed` is the step at which: older rows from there on are hidden.
        What is `measured` at checkpoints joins older rows in the order of steps.
        """
        self.path, self.folder = run_paths(path)
        live = takes_live_files(self.folder)
        lock = reserve(self.path, self.folder, extend=extend)
        self._block_bytes = block_bytes
        self._pid = os.getpid()
        self._closed = False
        self._homes = Homes()
        status = Status(started=time.time(), measured=measured)
        self._meta = dict(meta)
        self._mover = Mover(self.path, lock, status=status, block_bytes=block_bytes, live=live)
        self._mover.note = self._note
        self._changed, self._guard = self._mover.changed, self._mover.guard
        self._parts = self._mover.parts
        try:
            number = next_number(self.path, self.folder) if extend else 0
            self._parts.append(Part(number, block_bytes, meta=self._meta, resumed=resumed))
            self._mover.declare(self._parts[0])
        except BaseException:
            lock.release()
            with contextlib.suppress(OSError):
                self.folder.rmdir()
            raise
        self._mover.start()

    @property
    def problem(self) -> str | None:
        """Why rows cannot be written at this moment, if they cannot."""
        return self._mover.outage.reason if self._mover.outage else None

    @property
    def dropped(self) -> Losses:
        """The rows that were lost because the disk took none for too long."""
        return self._mover.losses

    @property
    def storage(self) -> str:
        """What is special about how rows are kept until the run is closed; "" if nothing."""
        return self._mover.storage

    @property
    def news(self) -> bool:
        """Whether there is something to tell the user."""
        return bool(self._mover.news)

    def take_news(self) -> list[str]:
        """What there is to tell the user, each thing once."""
        with self._changed:
            news, self._mover.news = self._mover.news, []
        return news

    # -- the training thread ------------------------------------------------------------------------------------

    def declare(self, *series: Series) -> None:
        """Say what will be appended; what comes after the first row goes into a part of its own."""
        if self._absent:
            return
        with self._changed:
            for s in series:
                check_declaration(s, self._parts)
                if not self._parts[-1].takes(s):
                    self._parts.append(Part(self._mover.next_number(), self._block_bytes, meta=self._meta))
                self._parts[-1].add(s)
                self._homes.add(s, self._parts[-1])

    def append(self, axis: str, *, step: int, epoch: int, time: float, values: Mapping[str, Any]) -> None:
        """Record one row of an axis; when this returns, a SIGKILL cannot lose it.

        `values[name]` is an array (item, *shape), a mapping item -> value (others stay NaN or 0), or for a ragged
        series a sequence or mapping of arrays. InstrumentError where it is not what was declared.
        """
        if self._absent:
            return
        with self._guard:
            if (whole := self._homes.whole(axis, values)) is not None:
                part, home, row = whole
                if (block := self._block(part, home, step)) is None:
                    return
                with contextlib.suppress(TypeError, ValueError, OverflowError, struct.error):  # said below, of which
                    block.fill((step, epoch, time, *row))
                    self._append(part, home, block, step, epoch)
                    return
            where = f"at step {step}"
            for part, cells in self._homes.routed(axis, values, where).items():
                if not part.begun:
                    for earlier in self._parts[: self._parts.index(part) + 1]:
                        self._begin(earlier)
                self._append_cells(part, part.axes[axis], cells, (step, epoch, time), where)

    def event(self, event: Event) -> None:
        """Record something that happened once."""
        if self._absent:
            return
        with self._changed:
            part = self._parts[0]
            cells = [(f"events/{k}", ..., value) for k, value in enumerate(event_row(event).values())]
            axis = part.axes["events"]
            step = max(event.step, axis.step)
            self._append_cells(part, axis, cells, (step, event.epoch, event.time), f"event {event.kind!r}")

    def learn(self, facts: Mapping[str, Any]) -> None:
        """Say more about the training: volumes that are declared from here on tell it."""
        with self._changed:
            self._meta = {**self._meta, **facts}

    def close(self, state: State = State.DONE, *, error: str = "", epochs: int = 0) -> str:
        """Commit everything, seal the run and return what there is to say ("" if nothing); may be called again.

        `epochs` are complete, also where no row follows that tells of the last.
        """
        if not self._absent:
            mover = self._mover
            with self._changed:
                mover.settle()
                self._closed = True
                for part in self._parts:
                    self._begin(part)
                    for axis in part.axes.values():
                        if axis.block is not None:
                            mover.full.append((part, axis, axis.block))
                            axis.block = None
                step, epoch = mover.reached
                mover.status = replace(
                    mover.status, state=state, ended=time.time(), error=error, steps=step, epochs=max(epoch, epochs)
                )
                with contextlib.suppress(OSError):
                    for part in self._parts:
                        mover.declare(part)
            mover.close()
        return "\n".join(self.take_news())

    @property
    def _absent(self) -> bool:
        """Closed, or in a forked child: recording is not its business."""
        return self._closed or os.getpid() != self._pid

    def _note(self, kind: str, text: str) -> None:
        step, epoch = self._mover.reached
        self.event(Event(kind, text, step, epoch, time.time()))

    def _begin(self, part: Part) -> None:
        """Put the declaration on disk, before the first row."""
        if part.begun:
            return
        part.begin()
        try:
            self._mover.declare(part)
        except OSError as error:
            part.declared = False
            self._mover.trouble(error)
        self._changed.notify_all()

    def _append_cells(
        self, part: Part, axis: PartAxis, cells: Sequence[Cell], clock: tuple[int, int, float], where: str
    ) -> None:
        step, epoch, time = clock
        if (block := self._block(part, axis, step)) is None:
            return
        k, fields = block.blank(), block.fields
        try:
            for name, column, value in cells:
                fields[name][k, column] = value
        except (TypeError, ValueError, OverflowError) as error:
            raise InstrumentError(f"{name!r} {where}: {error}") from error
        fields["step"][k], fields["epoch"][k], fields["time"][k] = step, epoch, time
        self._append(part, axis, block, step, epoch)

    def _block(self, part: Part, axis: PartAxis, step: int) -> Block | None:
        """Where the next row of the axis is prepared; None where there is no room for it."""
        if axis.block is not None and step >= axis.step:
            return axis.block
        if not self._room(axis, step):
            return None
        if step < axis.step:
            raise InstrumentError(
                f"axis {axis.name!r} at step {step}: steps go back; the last row was of step {axis.step}"
            )
        path = log_path(self.folder, part.number, axis.name, axis.next)
        axis.block = Block(path, axis.row, first=axis.next, capacity=axis.capacity)
        return axis.block

    def _append(self, part: Part, axis: PartAxis, block: Block, step: int, epoch: int) -> None:
        """Count the row that was prepared; it is written with this."""
        block.append()
        axis.step, axis.next = step, axis.next + 1
        if (step, epoch) > self._mover.reached:
            self._mover.reached = step, epoch
        if block.full:
            axis.block = None
            self._mover.full.append((part, axis, block))
            self._changed.notify_all()
        if block.error:
            self._mover.trouble(block.error, axis)

    def _room(self, axis: PartAxis, step: int) -> bool:
        """Whether one more row may wait in memory, where a block beyond those of PENDING_BYTES may not."""
        mover = self._mover
        while axis.block is None and sum(block.nbytes for _, _, block in mover.full) > outage.PENDING_BYTES:
            if mover.outage is not None:
                mover.outage.losses.add(axis.name, step, step)
                mover.losses.add(axis.name, step, step)
                return False
            if mover.works_here:  # its own notes, which nobody else would make room for
                return True
            self._changed.wait(HEARTBEAT)  # the disk is slower than training: wait rather than lose
            if self._absent:
                return False
        return True
