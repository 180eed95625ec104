"""Which volumes has a run at this moment? Those of its file, of its parts and of its logs, opened once and followed.

While a run is recorded its logs become blocks of an HDF5 file, its parts appear, and in the end all of them are packed
into one file: what is looked for may have gone elsewhere just now, and is looked for again.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

import h5py

from recorder.errors import RunFileError
from recorder.runfile.declaration import Declaration, Status, read_sidecar
from recorder.runfile.guard import close, damage, group_in, names_in, open_checked
from recorder.runfile.layout import log_of, part_of, sidecar_path, volume_path
from recorder.runfile.lock import alive
from recorder.runfile.processes import hide
from recorder.runfile.schema import State
from recorder.runfile.stored import StoredVolume

PART = re.compile(r"\d{4,9}")  # of a packed run, by its volume's number


class Volumes:
    """The volumes of the run NAME.h5, NAME.d, and what their newest writer says became of it."""

    def __init__(self, path: Path, folder: Path, *, trusted: bool) -> None:
        """A `trusted` run, one's own, is not tried in another process first."""
        self.path, self.folder = path, folder
        self.status = Status()
        self._trusted = trusted
        self._file: h5py.File | None = None
        self._identity: tuple[int, int] | None = None
        self._parts: list[h5py.File] = []
        self._known: dict[int, StoredVolume] = {}

    @property
    def all(self) -> tuple[StoredVolume, ...]:
        """The main volume and the parts, oldest first."""
        return tuple(self._known.values())

    @property
    def newest(self) -> StoredVolume:
        """The volume that says what became of the run: the newest that is not measured after a training."""
        trained = [v for v in self.all if not v.declaration.status.measured]
        return (trained or self.all)[-1]

    @property
    def state(self) -> State:
        """What became of the run; one that nobody records any more and that says nothing was killed."""
        if self.status.state is not State.RECORDING:
            return self.status.state
        if self._known and self.newest is not self.all[-1]:  # who writes now measures, and the training is over
            return State.KILLED
        return State.RECORDING if alive(self.folder) else State.KILLED

    def refresh(self) -> bool:
        """Look for new volumes and rows; True if anything is otherwise than before."""
        for _ in range(4):
            try:
                return self._look()
            except FileNotFoundError:  # something went into another file between the listing and now: look again
                self.close()
        return self._look()

    def close(self) -> None:
        """Let go of all files; the next `refresh` opens them again."""
        for file in (self._file, *self._parts):
            if file is not None:
                close(file)
        self._file, self._identity, self._parts, self._known = None, None, [], {}

    def _look(self) -> bool:
        names = names_in(self.folder)
        for _ in range(10):  # a list that is read while a name changes may have neither the old one nor the new one
            before, names = names, names_in(self.folder)
            if names == before:
                break
        logs: dict[int, dict[str, dict[int, Path]]] = {}
        for name in names:
            if (log := log_of(name)) is not None:
                logs.setdefault(log[0], {}).setdefault(log[1], {})[log[2]] = self.folder / name
        numbers = {n for name in names if (n := part_of(name)) is not None} | set(logs)
        new = self._open_main()
        for number in sorted(numbers):
            new |= self._open_part(number)
        was = (self.status, self.state)
        self._known = dict(sorted(self._known.items()))
        hide(self.all)
        for number, volume in self._known.items():
            new |= volume.refresh(logs.get(number, {}))
        if self._known:
            self.status = self._newest_status()
        return new | (was != (self.status, self.state))

    def _open_main(self) -> bool:
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise RunFileError(f"{self.path}: cannot be opened: {error.strerror}") from error
        if self._file is not None and self._identity == (status.st_dev, status.st_ino):
            return False
        self.close()  # the first look, or packed meanwhile: another file under the same name
        self._file = open_checked(self.path, trusted=self._trusted)
        self._identity = (status.st_dev, status.st_ino)
        self._known |= volumes_in(self._file, str(self.path))
        return True

    def _open_part(self, number: int) -> bool:
        known = self._known.get(number)
        if known is not None and known.group is not None:
            return False
        path, sidecar = volume_path(self.path, number), sidecar_path(self.folder, number)
        if number and path.exists():
            try:
                file = open_checked(path, inside=True, trusted=self._trusted)
            except RunFileError:
                path.stat()  # FileNotFoundError: packed away just now
                raise
            self._parts.append(file)
            self._known[number] = StoredVolume.open(number, file, str(path))
            return True
        if known is None or not known.series:
            declaration = read_sidecar(sidecar) if sidecar.exists() else Declaration()
            if known is None or declaration != known.declaration:
                self._known[number] = StoredVolume(number, declaration, None, str(sidecar))
                return True
        return False

    def _newest_status(self) -> Status:
        volume = self.newest
        volume.refresh_status()
        status = volume.declaration.status
        sidecar = sidecar_path(self.folder, volume.number)
        if status.state is State.RECORDING:
            with contextlib.suppress(FileNotFoundError, RunFileError):  # a damaged one says less than the file
                status = read_sidecar(sidecar).status
        return status


def volumes_in(file: h5py.File, where: str) -> dict[int, StoredVolume]:
    """The volumes of a file by number: its own, and those that were packed into it."""
    volumes = {0: StoredVolume.open(0, file, where)}
    with damage(where):
        parts = group_in(file, "parts", where) if "parts" in file else ()
        for name in filter(PART.fullmatch, parts):
            volumes[int(name)] = StoredVolume.open(int(name), group_in(parts, name, where), f"{where}:{name}")
    return volumes
