"""How do full blocks get from memory into HDF5, and what becomes of them while the disk does not take any?

One thread owns HDF5 and tries again and again. Until a block is there it stays in memory, and in its log where that
could be written. On a network disk, where nobody may read what is being written, it collects blocks and writes each
time a whole volume, which appears when it is finished.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from recorder.errors import RunExistsError
from recorder.runfile.declaration import Status, write_sidecar
from recorder.runfile.filesystem import kind_of
from recorder.runfile.fork import OpenFiles
from recorder.runfile.layout import log_of, log_path, part_of, run_paths, sidecar_path, volume_path
from recorder.runfile.lock import HEARTBEAT, Lock, holder, take
from recorder.runfile.log import NO_ROOM, Block
from recorder.runfile.outage import Losses, Outage
from recorder.runfile.pack import fold
from recorder.runfile.part import Part, PartAxis
from recorder.runfile.volume import Volume, abandon, new_file

PACK_BYTES = 256 << 20  # a run in parts below this is packed when it is closed
SEGMENT_BYTES = 32 << 20  # of rows make a volume on a network disk,
SEGMENT_BLOCKS = 64  # and so many logs do, which readers would have to keep


class Mover:
    """The writing thread of one run; everything here but `close` is under `changed` where both threads look at it."""

    def __init__(self, path: Path, lock: Lock, *, status: Status, block_bytes: int, live: bool) -> None:
        """`live`: others may read the HDF5 file while it is written."""
        self.path, self.folder = run_paths(path)
        self.live = live
        self.parts: list[Part] = []
        self.full: deque[tuple[Part, PartAxis, Block]] = deque()
        self.outage: Outage | None = None
        self.losses = Losses()
        self.news: list[str] = []  # what the user is to be warned of
        self.status = status
        self.reached = (0, 0)  # the last step and its epoch
        self.guard = threading.RLock()
        self.changed = threading.Condition(self.guard)  # to take the lock itself is faster
        self.note: Callable[[str, str], None] = _nowhere  # an event of the run
        self._lock = lock
        self._block_bytes = block_bytes
        self._disk = os.stat(self.folder).st_dev
        self._open = OpenFiles()
        self._numbers: set[int] = set()  # of all volumes that this writer had
        self._closing = False
        self._warned = False
        self._thread = threading.Thread(target=self._work, name=f"layerscope {self.path.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Move what is left and seal the run."""
        with self.changed:
            self._closing = True
            self.changed.notify_all()
        self._thread.join()
        self._lock.release()

    @property
    def works_here(self) -> bool:
        """Whether this is its thread."""
        return threading.current_thread() is self._thread

    def declare(self, part: Part, number: int | None = None) -> None:
        """Put the declaration of a volume on disk, before its first row."""
        number = part.number if number is None else number
        write_sidecar(sidecar_path(self.folder, number), part.declaration(self.status))
        self._numbers.add(number)
        part.declared = True

    def next_number(self) -> int:
        return max(part.number for part in self.parts) + 1

    def trouble(self, error: Exception, axis: PartAxis | None = None) -> None:
        """The disk does not take rows; warns once in a run."""
        with self.changed:
            if self.outage is None and not self._closing:
                self.outage = Outage(_said(error, self.folder), self.reached[0])
                if axis is None:
                    axis = self.full[0][1] if self.full else next(iter(self.parts[0].axes.values()))
                text = self.outage.warning(axis.name, axis.row.itemsize)
                self._tell(text)
            self.changed.notify_all()

    def settle(self) -> None:
        """Note what came of an outage that is over, or that the run does not outlive."""
        outage, self.outage = self.outage, None
        if outage is None:
            return
        self.note("note", outage.over(self.reached[0]))
        for name, dropped in outage.losses.axes.items():
            self.note("dropped", f"{dropped.text(name)} were dropped: {outage.reason}")

    # -- the thread ---------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self.changed:
                if not self._closing and (self.outage or not self._due):
                    self.changed.wait(HEARTBEAT)
                closing = self._closing
            try:
                self._stay()
                with self._open.lock:
                    for part in [part for part in self.parts if part.begun]:
                        self._advance(part, last=closing)
                    if closing:
                        self._seal()
                with self.changed:
                    self._recover()
            except Exception as error:  # the disk is full, gone, ...: rows stay in memory and in the logs
                self.trouble(error)
                if closing:
                    self._let_go(error)
            if closing:
                return

    @property
    def _due(self) -> bool:
        """Whether there is something to do before the next beat of the heart."""
        return any(
            part.begun and (part.volume is None if self.live else part.volume is None and self._ripe(part))
            for part in self.parts
        ) or any(part.volume is not None for part, _, _ in self.full)

    def _recover(self) -> None:
        """Bring logs up to date; without an error left the outage is over."""
        blocks = [block for part in self.parts for block in self._waiting(part)]
        for block in blocks:
            if block.error:
                block.write()
        if not any(block.error for block in blocks):
            self.settle()

    def _waiting(self, part: Part) -> Iterator[Block]:
        """Blocks that are not in HDF5, in order within each axis."""
        yield from (block for home, _, block in self.full if home is part)
        yield from (axis.block for axis in part.axes.values() if axis.block is not None)

    def _stay(self) -> None:
        """Show that we live. Where the lock is gone the folder is, or was: everything in it is written again."""
        if self._lock.beat():
            return
        if not self.folder.is_dir():
            if os.stat(self.path.parent).st_dev != self._disk:
                raise OSError(errno.ENODEV, "another disk is mounted here", str(self.path.parent))
            self.folder.mkdir()
        try:
            self._lock = take(self.folder)
        except FileExistsError:
            raise RunExistsError(f"{self.path}: was taken over by {holder(self.folder)}") from None
        with self.changed:
            for part in self.parts:
                self.declare(part)
                for block in self._waiting(part):
                    block.keep()
            self._tell(
                f"{self.folder} was removed while the run was recorded; it was made again, and recording goes on"
            )

    def _advance(self, part: Part, *, last: bool) -> None:
        """Put what waits of a part into HDF5."""
        while True:
            if part.finished:
                self._go_on(part)
            if not part.declared:
                self.declare(part)
            if part.volume is None and self.live:
                part.volume = self._created(part)
            if part.volume is None:
                self._collect(part, last=last)
            elif not self._move(part):
                continue
            return

    def _move(self, part: Part) -> bool:
        """Put full blocks into the volume's file, one by one; False where that is there no more."""
        assert part.volume is not None
        for axis, block in [(axis, block) for home, axis, block in self.full if home is part]:
            part.volume.commit(axis.name, block.rows)
            if not self._is_there(part):
                return False
            self._done(block)
            self._lock.beat()
        return True

    def _is_there(self, part: Part) -> bool:
        """Whether readers will find the volume's file; the part goes on in another one where they will not."""
        path, volume = volume_path(self.path, part.number), part.volume
        if volume is None or volume.is_at(path):
            return True
        part.volume, part.finished = None, True
        self._open.descriptors.discard(volume.descriptor)
        abandon(volume.group.file)
        with self.changed:
            self._tell(f"{path} was removed or replaced while it was recorded; recording goes on in another part")
        return False

    def _done(self, block: Block) -> None:
        """A block is in HDF5, synced."""
        block.discard()
        with self.changed:
            self.full.remove(next(entry for entry in self.full if entry[2] is block))
            self.changed.notify_all()

    def _go_on(self, part: Part) -> None:
        """The part becomes another volume, whose first rows are those that wait now."""
        with self.changed:
            number = self.next_number()
            self.declare(part, number)
            part.number, left = number, []
            for axis in part.axes.values():
                blocks = [block for _, home, block in self.full if home is axis]
                blocks += [axis.block] if axis.block is not None else []
                base = blocks[0].first if blocks else axis.next
                axis.next -= base
                for block in blocks:
                    first = block.first - base
                    left.append(block.move(log_path(self.folder, number, axis.name, first), first))
            for old in reversed(left):  # at every moment the logs of one of both volumes are whole
                with contextlib.suppress(OSError):
                    old.unlink(missing_ok=True)
            part.finished = False

    def _created(self, part: Part) -> Volume | None:
        """The volume's file, which appears under its name once readers can open it; None where they never can."""
        new, volume = self._new(part)
        try:
            try:
                volume.group.file.swmr_mode = True
            except (OSError, RuntimeError, ValueError) as error:
                if isinstance(error, OSError) and error.errno in NO_ROOM:
                    raise
                self.live = False
                abandon(volume.group.file)
                self.note("note", f"{self.storage} ({_said(error, new)})")
                return None
            self._publish(part, new)
        except BaseException:
            abandon(volume.group.file)
            raise
        self._open.descriptors.add(volume.descriptor)
        return volume

    def _new(self, part: Part) -> tuple[Path, Volume]:
        new = self._new_path(part.number)
        new.unlink(missing_ok=True)
        declaration = part.declaration(self.status)
        file = new_file(str(new), {"/": declaration}, block_bytes=self._block_bytes)
        return new, Volume(file, declaration, sync=True)

    def _new_path(self, number: int) -> Path:
        """Where a volume's file is until readers can open it."""
        return self.folder / f"new-{number:04}.h5"

    def _publish(self, part: Part, new: Path) -> None:
        path = volume_path(self.path, part.number)
        try:
            os.link(new, path)  # unlike rename, never over an existing file
        except FileExistsError:
            raise
        except OSError:  # no links here
            os.rename(new, path)
        else:
            with contextlib.suppress(OSError):  # two names do no harm, and the run has begun
                new.unlink()

    # -- on network disks ---------------------------------------------------------------------------------------

    @property
    def storage(self) -> str:
        """What is special about how rows are kept until the run is closed; "" if nothing."""
        if self.live:
            return ""
        disk = kind_of(self.folder) or "this disk"
        return f"{disk}: rows stay in logs until a part of the run is finished, as others may not read HDF5 meanwhile"

    def _ripe(self, part: Part) -> bool:
        """Whether what waits is enough for a volume."""
        blocks = sum(home is part for home, _, _ in self.full)
        waiting = sum(block.nbytes for _, _, block in self.full)
        return blocks >= SEGMENT_BLOCKS or (blocks > 0 and waiting >= SEGMENT_BYTES)

    def _collect(self, part: Part, *, last: bool) -> None:
        """Write a whole volume of what waits, if that is enough; readers have the logs until then."""
        if last or self._ripe(part):
            blocks = [(axis, block) for home, axis, block in self.full if home is part]
            new, volume = self._new(part)
            try:
                for axis, block in blocks:
                    volume.commit(axis.name, block.rows)
                volume.seal(part.declaration(self.status).status)
                self._publish(part, new)
            except BaseException:
                abandon(volume.group.file)
                raise
            part.finished, part.resumed = True, None
            for _, block in blocks:
                self._done(block)
            if not last:
                self._go_on(part)
        with self.changed:
            waiting = list(self._waiting(part))
        for block in waiting:
            block.sync(self.changed)

    # -- the end ------------------------------------------------------------------------------------------------

    def _seal(self) -> None:
        for part in self.parts:
            if not self._is_there(part):
                self._advance(part, last=True)
            if part.volume is not None:
                descriptor = part.volume.descriptor
                part.volume.seal(part.declaration(self.status).status)
                self._open.descriptors.discard(descriptor)
                part.volume = None
        own = {sidecar_path(self.folder, number).name for number in self._numbers}
        own |= {self._new_path(number).name for number in self._numbers}
        for name in os.listdir(self.folder):  # what another process left stays
            log = log_of(name)
            if (log is not None and log[0] in self._numbers) or name in own:
                (self.folder / name).unlink(missing_ok=True)
        if parts := [self.folder / name for name in os.listdir(self.folder) if part_of(name) is not None]:
            self._fold(parts)
        if self.losses:
            self.news.append(
                f"{self.losses} were dropped: the disk took no rows for too long. All others are in the run"
            )
        self._lock.release()
        with contextlib.suppress(OSError):  # checkpoints or parts live on in it
            self.folder.rmdir()

    def _fold(self, parts: list[Path]) -> None:
        """Make one file of main file and parts where that is quick; say how otherwise."""
        size = sum(entry.stat().st_size for entry in (self.path, *parts) if entry.exists())
        try:
            begun_here = 0 in self._numbers  # the main file, which somebody took away if it is not there
            if size < PACK_BYTES and (self.path.exists() or not begun_here):
                fold(self.path)
                return
            why = ""
        except Exception as error:  # everything is there, only not in one file
            why = f" ({_said(error, self.folder)})"
        self.news.append(f"the run is in {len(parts) + 1} parts{why}; to make one file: layerscope repair {self.path}")

    def _let_go(self, error: Exception) -> None:
        """The end has come and the disk still does not take everything: say what is where."""
        for part in self.parts:
            if part.volume is not None:
                self._open.descriptors.discard(part.volume.descriptor)
                abandon(part.volume.group.file)
                part.volume = None
        for _, axis, block in self.full:
            block.write()
            if block.logged < block.count:
                steps = block.rows["step"][block.logged :]
                self.losses.add(axis.name, int(steps[0]), int(steps[-1]), len(steps))
            block.close()
        for part in self.parts:
            with contextlib.suppress(OSError):
                self.declare(part)
        lost = f"{self.losses} are lost; all others" if self.losses else "all rows"
        where = f"{self.path} and {self.folder}" if self.path.exists() else f"{self.folder}"
        self.news.append(
            f"{_said(error, self.folder)}. The run could not be finished: {lost} are in {where} and can be read there; "
            f"to make one file of them, once that is possible: layerscope repair {self.path}"
        )

    def _tell(self, text: str) -> None:
        """In the run and, for the first trouble that there is, to the user."""
        if not self._warned:
            self.news.append(text)
        self._warned = True
        self.note("warning", text)


def _nowhere(kind: str, text: str) -> None:
    """Until there is a run."""


def _said(error: Exception, folder: Path) -> str:
    """What the system said, without the details of HDF5."""
    inside = re.search(r"error message = '([^']*)'", str(error))
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, OSError) and error.errno:
        return f"{folder}: {os.strerror(error.errno)}"
    if inside:
        return f"{folder}: {inside[1]}"
    return f"{folder}: {error}"
